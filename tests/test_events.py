"""Numbers, feed ids and cursors: each written form is read back, and nothing else is."""

from hypothesis import given, settings
from hypothesis import strategies as st

from quartchat import events
from quartchat.events import FeedId, MemberEvent, Message, Position, Reaction, RoomId, User, UserId

few = settings(max_examples=100, deadline=None)
entry_ids = st.tuples(st.integers(0, (1 << 42) - 1), st.integers(0, (1 << 20) - 1))
feed_ids = st.integers(0, (1 << 63) - 1).map(FeedId)
positions = st.lists(feed_ids, min_size=1, max_size=4).map(tuple)
texts = st.text(max_size=50)
users = st.builds(User, st.integers(1, 1 << 53).map(UserId), texts, texts, texts)

ANN = User(UserId(1), "ann", "Ann", "2026-01-01T00:00:00.000Z")


@few
@given(entry_ids)
def test_a_feed_id_is_read_back(entry: tuple[int, int]) -> None:
    text = f"{entry[0]}-{entry[1]}"
    assert events.unpack(events.pack(text)) == text
    assert events.pack(text.encode()) == events.pack(text)


@few
@given(entry_ids, entry_ids)
def test_feed_ids_sort_as_entry_ids_do(one: tuple[int, int], other: tuple[int, int]) -> None:
    packed = [events.pack(f"{ms}-{seq}") for ms, seq in (one, other)]
    assert (packed[0] < packed[1]) == (one < other)


@few
@given(positions)
def test_a_cursor_is_read_back(position: Position) -> None:
    assert events.parse_cursor(events.cursor(position), len(position)) == position


@few
@given(positions, st.integers(1, 4))
def test_a_cursor_of_another_number_of_partitions_is_refused(
    position: Position, partitions: int
) -> None:
    known = events.parse_cursor(events.cursor(position), partitions)
    assert (known is not None) == (len(position) == partitions or position == (0,))


def test_zero_is_the_beginning_whatever_the_number_of_partitions() -> None:
    assert events.parse_cursor("0", 1) == (0,)
    assert events.parse_cursor("0", 3) == (0, 0, 0)


@few
@given(st.text(max_size=20) | st.text(alphabet="0123456789abcdefxA.-_+ \n\u0661", max_size=20))
def test_any_text_is_a_cursor_in_its_one_form_or_none(text: str) -> None:
    position = events.parse_cursor(text, 1)
    assert position is None or events.cursor(position) == (text.lstrip("0") or "0")


@few
@given(
    st.text(max_size=40)
    | st.text(alphabet="0123456789abcdefF.-+_ \n\u0661", max_size=40)
    | st.lists(st.text(alphabet="0123456789abcdef", min_size=1, max_size=17)).map(".".join),
    st.integers(1, 4),
)
def test_any_text_is_as_many_places_as_there_are_partitions_or_none(
    text: str, partitions: int
) -> None:
    position = events.parse_cursor(text, partitions)
    if position is not None:
        assert len(position) == partitions
        assert all(0 <= feed < 1 << 63 for feed in position)
        parts = text.split(".") if text != "0" else ["0"] * partitions
        assert events.cursor(position) == ".".join(part.lstrip("0") or "0" for part in parts)


@few
@given(positions, st.integers(0, 80), st.characters())
def test_a_cursor_with_a_foreign_character_is_refused(
    position: Position, where: int, character: str
) -> None:
    text = events.cursor(position)
    where %= len(text) + 1
    spoilt = events.parse_cursor(text[:where] + character + text[where:], len(position))
    assert spoilt is None or character in "0123456789abcdef"


def test_a_cursor_that_no_sql_column_holds_is_refused() -> None:
    assert events.parse_cursor("7fffffffffffffff", 1) == ((1 << 63) - 1,)
    assert events.parse_cursor("8000000000000000", 1) is None


@few
@given(st.integers(-9, 10**16))
def test_a_number_is_read_back_if_a_room_could_have_it(n: int) -> None:
    assert events.parse_number(str(n)) == (n if 0 <= n < 10**15 else None)


@few
@given(st.text(max_size=20) | st.text(alphabet="0123456789_+- .\n\u0661\u00b2", max_size=20))
def test_a_number_is_made_of_few_ascii_digits_alone(text: str) -> None:
    digits = text.isascii() and text.isdigit() and len(text) <= 15
    assert events.parse_number(text) == (int(text) if digits else None)


@few
@given(st.lists(st.tuples(feed_ids, feed_ids), min_size=1, max_size=4))
def test_a_position_is_reached_where_each_of_its_partitions_is(
    pairs: list[tuple[FeedId, FeedId]],
) -> None:
    one = tuple(a for a, _ in pairs)
    other = tuple(b for _, b in pairs)
    assert events.reached(one, other) == all(a <= b for a, b in pairs)
    assert not events.reached(one, (*other, FeedId(0)))


@few
@given(st.integers(1, 1 << 53), users, texts, st.none() | texts, st.none() | st.integers(1, 99))
def test_a_message_is_numbered_without_being_printed_again(
    n: int, author: User, body: str, client_id: str | None, reply_to: int | None
) -> None:
    def message(number: int) -> Message:
        reactions = [Reaction("👍", 1, [author.id])]
        return Message(
            number, RoomId(7), author, body, body, "", None, None, client_id, reply_to, reactions
        )

    assert events.numbered(n, events.unnumbered(message(0))) == events._encode(message(n))


def test_a_membership_is_numbered_likewise() -> None:
    rest = events.unnumbered(MemberEvent(0, RoomId(7), ANN, "member"))
    assert events.numbered(42, rest) == events._encode(MemberEvent(42, RoomId(7), ANN, "member"))


def test_now_is_utc_to_the_millisecond() -> None:
    assert len(events.now()) == len(ANN.created_at)
    assert events.now().endswith("Z")
