"""The wire format, read back by a client that others wrote."""

from collections.abc import Iterator
from itertools import pairwise

import httpx
import httpx_sse
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from quartchat import events, recent, sse
from quartchat.events import Event, FeedId, Message, RoomId, User, UserId

LINE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=40)
# What a person may type, and what ends a line somewhere: here, in Unicode, in `str.splitlines`.
TYPED = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from('\r\n\0\v\f\x1c\x1d\x1e\x85\u2028\u2029\ufeff :{}\\"'),
    max_size=40,
)
few = settings(max_examples=100, deadline=None)


def read(stream: bytes, cuts: list[int] | None = None) -> list[httpx_sse.ServerSentEvent]:
    """The events of a stream, which arrives in pieces; also characters are cut."""

    def pieces() -> Iterator[bytes]:
        places = sorted({0, *(cut % (len(stream) + 1) for cut in cuts or ()), len(stream)})
        yield from (stream[start:end] for start, end in pairwise(places))

    response = httpx.Response(200, headers=sse.HEADERS, content=pieces())
    return list(httpx_sse.EventSource(response).iter_sse())


def test_a_frame_carries_one_line_of_json_with_its_type_and_id() -> None:
    stream = sse.frame("message", b'{"id":42}', "42")
    assert stream == b'id: 42\nevent: message\ndata: {"id":42}\n\n'
    assert sse.frame("ready", b"{}") == b"event: ready\ndata: {}\n\n"


@few
@given(st.lists(st.tuples(LINE, LINE, LINE), max_size=5))
def test_frames_may_be_joined_without_anything_between(frames: list[tuple[str, str, str]]) -> None:
    stream = b"".join(sse.frame(event, data.encode(), id_) for event, data, id_ in frames)
    found = [(each.event, each.data, each.id) for each in read(stream)]
    assert found == [(event or "message", data, id_) for event, data, id_ in frames]


@few
@given(
    st.lists(st.tuples(TYPED, TYPED), min_size=1, max_size=4),
    st.lists(st.integers(0, 2000), max_size=6),
)
def test_whatever_is_typed_comes_back_from_both_kinds_of_streams_however_it_is_cut(
    typed: list[tuple[str, str]], cuts: list[int]
) -> None:
    ann = User(UserId(1), "ann", "Ann", "")
    said = [
        Message(n, RoomId(7), msgspec.structs.replace(ann, display_name=name), body, body, "")
        for n, (name, body) in enumerate(typed, start=1)
    ]
    # As `append` does it: made without its number, which is put in front.
    rest = [events.unnumbered(msgspec.structs.replace(message, id=0)) for message in said]
    data = [events.numbered(n, each) for n, each in enumerate(rest, start=1)]
    log = [Event(RoomId(7), m.id, "message", d) for m, d in zip(said, data, strict=True)]
    room = sse.prelude(1000) + b"".join(recent.room_frame(event) for event in log)
    position = (FeedId(255), FeedId(1))
    every = sse.prelude(1000) + b"".join(recent.feed_frame(event, position) for event in log)
    for stream, ids in ((room, [str(m.id) for m in said]), (every, ["ff.1"] * len(said))):
        found = [each for each in read(stream, cuts) if each.data]
        assert [(each.event, each.id) for each in found] == [("message", id_) for id_ in ids]
        assert [msgspec.json.decode(each.data, type=Message) for each in found] == said


def test_the_prelude_says_when_to_come_back() -> None:
    [found] = read(sse.prelude(1500) + sse.HEARTBEAT)[-1:]
    assert (found.event, found.data) == ("heartbeat", "{}")
    assert sse.prelude(1500).startswith(b"retry: 1500\n")
