"""One sequence over Redis and SQL, wherever it is cut between the two."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import harness
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartchat import events, group, history, recent, records, store
from quartchat.events import NEVER, Event, FeedId, MemberEvent, RoomId, User, UserId, unpack
from quartchat.history import Page
from quartchat.records import Head
from quartchat.store import events as archive
from quartchat.store.events import Archived
from quartchat.stream import Draft, Streams

Run = Callable[[Coroutine[Any, Any, Any]], Any]

ANN = UserId(1)
KINDS = {"m": "message", "j": "member.join"}
room_ids = map(RoomId, itertools.count(1))
few = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="module")
def streams(
    run: Run, valkey: harness.Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Streams]:
    """Redis with two partitions, and the open database; a test takes rooms of its own."""
    url = harness.new_database(tmp_path_factory.mktemp("history") / "chat.db")
    run(store.migrate(url))
    store.open_database(url)
    streams = Streams(valkey.url(keep=True), 2)
    yield streams
    run(streams.close())
    run(store.close_database())


async def new_room(streams: Streams, partition: int = 0) -> RoomId:
    room_id = next(id_ for id_ in room_ids if streams.partition(id_) == partition)
    await streams.seed(room_id, 0, 0)
    return room_id


async def add(streams: Streams, room_id: RoomId, kinds: str) -> None:
    """Append events: m is a message, j a join."""
    for kind in kinds:
        draft = Draft(
            room_id, ANN, KINDS[kind], b',"k":"%s"}' % kind.encode(), records.random_key(), ""
        )
        assert (await streams.append(draft)).outcome == "new"


async def log_of(streams: Streams, *rooms: RoomId) -> list[Event]:
    """The rooms' events as the feed has them, before any of it is cut."""
    partition = streams.partition(rooms[0])
    entries = await streams.read_feed(partition, FeedId(0), 100_000)
    return [entry for entry in entries if isinstance(entry, Event) and entry.room_id in rooms]


async def archive_events(events: list[Event]) -> None:
    await store.run(archive.add_events, [Archived(event, ANN, None) for event in events])


def numbers(found: list[Event]) -> list[int]:
    return [event.n for event in found]


@dataclass(frozen=True)
class Split:
    """A room's events, how many SQL holds, and how many of those Redis has let go."""

    kinds: str
    archived: int
    trimmed: int

    @property
    def messages(self) -> list[int]:
        return [n for n, kind in enumerate(self.kinds, start=1) if kind == "m"]

    async def make(self, streams: Streams) -> RoomId:
        room_id = await new_room(streams)
        await add(streams, room_id, self.kinds)
        await archive_events(
            await streams.read(room_id, 0, self.archived or 1) if self.archived else []
        )
        window = len(self.kinds) - self.trimmed
        if self.trimmed:
            await streams.trim(room_id, self.archived, window)
            held = await streams.read(room_id, 0, 1000)
            assert numbers(held) == list(range(self.trimmed + 1, len(self.kinds) + 1))
        return room_id


@st.composite
def splits(draw: st.DrawFn) -> Split:
    # Runs of one kind, because a page may have to skip many joins to find a message.
    runs = draw(st.lists(st.tuples(st.sampled_from("mj"), st.integers(1, 9)), max_size=6))
    kinds = "".join(kind * count for kind, count in runs)
    archived = draw(st.integers(0, len(kinds)))
    return Split(kinds, archived, draw(st.integers(0, max(0, min(archived, len(kinds) - 1)))))


@few
@given(splits(), st.integers(1, 12))
def test_pages_are_those_of_a_plain_list(
    run: Run, streams: Streams, split: Split, limit: int
) -> None:
    async def scenario() -> None:
        room_id = await split.make(streams)
        messages = split.messages

        def shape(page: Page) -> tuple[list[int], bool, bool]:
            return numbers(page.messages), page.more_before, page.more_after

        def expected(first: int, last: int) -> tuple[list[int], bool, bool]:
            """The page from one index of `messages` up to another."""
            first = max(0, first)
            return messages[first:last], first > 0, last < len(messages)

        newest = await history.page_before(streams, room_id, None, limit)
        assert shape(newest) == expected(len(messages) - limit, len(messages))
        for n in range(len(split.kinds) + 3):
            below = sum(each < n for each in messages)
            upto = sum(each <= n for each in messages)
            before = await history.page_before(streams, room_id, n, limit)
            assert shape(before) == expected(below - limit, below)
            after = await history.page_after(streams, room_id, n, limit)
            assert shape(after) == expected(upto, upto + limit)
            around = await history.page_around(streams, room_id, n, limit)
            half = limit // 2
            assert shape(around) == expected(below - half, below + limit - half)

    run(scenario())


@few
@given(splits(), st.integers(1, 12))
def test_what_follows_a_number_has_no_hole(
    run: Run, streams: Streams, split: Split, limit: int
) -> None:
    async def scenario() -> None:
        room_id = await split.make(streams)
        last = len(split.kinds)
        for n in range(last + 2):
            found = await history.after(streams, room_id, n, limit)
            assert numbers(found) == list(range(n + 1, min(n + limit, last) + 1))
            assert all(event.type == KINDS[split.kinds[event.n - 1]] for event in found)
        for n in range(1, last + 1):
            one = await history.event(streams, room_id, n)
            assert one is not None
            assert (one.n, one.data) == (
                n,
                b'{"id":%d,"k":"%s"}' % (n, split.kinds[n - 1].encode()),
            )
        assert await history.event(streams, room_id, last + 1) is None
        assert await history.event(streams, room_id, 0) is None

    run(scenario())


def test_what_another_worker_still_holds_is_no_hole(run: Run, streams: Streams) -> None:
    async def scenario() -> None:
        room_id = await new_room(streams)
        await add(streams, room_id, "m" * 10)
        events = await streams.read(room_id, 0, 10)
        await archive_events(events[:4])
        await streams.trim(room_id, 4, 6)
        await archive_events(events[7:])  # 5 to 7 are with a worker that sleeps
        for limit in (3, 6, 10, 20):
            found = await history.after(streams, room_id, 0, limit)
            assert numbers(found) == list(range(1, min(limit, 10) + 1))
        page = await history.page_after(streams, room_id, 0, 20)
        assert numbers(page.messages) == list(range(1, 11))
        page = await history.page_before(streams, room_id, None, 20)
        assert numbers(page.messages) == list(range(1, 11))

    run(scenario())


def test_no_more_is_read_of_the_archive_than_is_wanted(run: Run, streams: Streams) -> None:
    async def scenario() -> None:
        # Newest first: one join and three messages, three more in Redis, the rest archived.
        split = Split("m" * 50 + "mmm" + "mmmj", archived=57, trimmed=50)
        room_id = await split.make(streams)
        assert numbers(await history._before(streams, room_id, None, 4)) == [56, 55, 54, 53]

    run(scenario())


def test_a_page_takes_few_round_trips_however_many_joined(run: Run, streams: Streams) -> None:
    async def commands() -> int:
        info = await streams._redis.info("stats")
        return int(info["total_commands_processed"])

    async def scenario() -> None:
        room_id = await new_room(streams)
        await add(streams, room_id, "m" + "j" * 300)
        start = await commands()
        page = await history.page_before(streams, room_id, 2, 50)
        assert numbers(page.messages) == [1]
        assert await commands() - start < 50

    run(scenario())


def test_a_room_that_redis_lost_goes_on_where_sql_ends(run: Run, streams: Streams) -> None:
    async def scenario() -> None:
        room_id = await new_room(streams)
        await add(streams, room_id, "mjm")
        await archive_events(await log_of(streams, room_id))
        await streams._redis.delete(streams._key("room", room_id), streams._key("meta", room_id))
        other = await new_room(streams, 1)
        unknown = next(room_ids)
        position, heads = await history.heads(streams, [room_id, other, unknown], ANN)
        assert heads == {
            room_id: Head(3, 2, 0, 0),
            other: Head(0, 0, 0, 0),
            unknown: Head(0, 0, 0, 0),
        }
        assert position == await streams.position()
        await add(streams, room_id, "m")
        assert numbers(await history.after(streams, room_id, 0, 9)) == [1, 2, 3, 4]
        assert await history.head(streams, room_id, ANN) == Head(4, 3, 4, 3)

    run(scenario())


@few
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from("mj")), max_size=25),
    st.tuples(st.integers(0, 25), st.integers(0, 25)),
    st.lists(st.none() | st.integers(0, 6), min_size=3, max_size=3),
)
def test_a_feed_is_followed_from_sql_into_redis(
    run: Run,
    streams: Streams,
    said: list[tuple[int, str]],
    ends_of: tuple[int, int],
    bounds: list[int | None],
) -> None:
    archived, trimmed = ends_of

    async def scenario() -> None:
        rooms = [await new_room(streams) for _ in range(3)]
        elsewhere = await new_room(streams, 1)
        begin = (await streams.position())[0]
        for which, kind in said:
            await add(streams, rooms[which], kind)
            await add(streams, elsewhere, "m")
        log = await log_of(streams, *rooms)
        await archive_events(log[:archived])
        cut = min(archived, trimmed, len(log))
        if cut:
            last = unpack(FeedId(log[cut - 1].feed + 1))
            await streams._redis.xtrim(group.key(0), minid=last, approximate=False)
        joined = {
            room_id: bound
            for room_id, bound in zip(rooms, bounds, strict=True)
            if bound is not None
        }
        ends = [begin, *(event.feed for event in log)]
        for start, up_to in itertools.combinations([*ends[:6], *ends[-6:]], 2):
            wanted = [
                (event.room_id, event.n, event.data)
                for event in log
                if start < event.feed <= up_to and event.n >= joined.get(event.room_id, NEVER)
            ]
            found, reached = [], start
            while reached < up_to:
                page = await history.feed_page(
                    streams, ANN, joined | {elsewhere: 0}, 0, reached, up_to=up_to
                )
                assert page.end > reached
                assert all(reached < event.feed <= page.end for event in page.events)
                reached = page.end
                found += [(event.room_id, event.n, event.data) for event in page.events]
            assert found == wanted
            assert reached == max(start, up_to)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "FEED_PAGE", 1 + archived % 4)
        if trimmed % 3 == 0:  # each event is more than what is given at once
            patch.setattr(recent, "CHUNK_BYTES", 1)
        run(scenario())


def test_a_feed_is_followed_also_while_it_is_cut(run: Run, streams: Streams) -> None:
    async def scenario() -> None:
        room_id = await new_room(streams)
        begin = (await streams.position())[0]
        await add(streams, room_id, "m" * 20)
        log = await log_of(streams, room_id)
        await archive_events(log[:15])
        found, reached = [], begin
        while reached < log[-1].feed:
            page = await history.feed_page(
                streams, ANN, {room_id: 0}, 0, reached, up_to=log[-1].feed
            )
            reached = page.end
            found += numbers(page.events)
            if len(found) < 15:
                cut = unpack(log[len(found) + 3].feed)
                await streams._redis.xtrim(group.key(0), minid=cut, approximate=False)
        assert found == list(range(1, 21))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "FEED_PAGE", 3)
        run(scenario())


def test_a_page_of_the_feed_says_which_rooms_the_reader_left_and_came_back_to(
    run: Run, streams: Streams
) -> None:
    async def scenario() -> None:
        room_id = await new_room(streams)
        begin = (await streams.position())[0]
        ann = User(ANN, "ann", "Ann", "")
        for kind in ("join", "leave", "join"):
            rest = events.unnumbered(MemberEvent(0, room_id, ann, "member"))
            key = records.random_key()
            await streams.append(Draft(room_id, ANN, f"member.{kind}", rest, key, ""))
        log = await log_of(streams, room_id)
        end = log[-1].feed
        for source in ("redis", "sql"):
            if source == "sql":
                await archive_events(log)
                await streams._redis.delete(group.key(0))
            for user_id, n, start, left in (
                (ANN, 3, begin, {room_id}),
                (ANN, 3, log[1].feed, set()),  # it was out already
                (ANN, 0, begin, set()),
                (UserId(2), 3, begin, set()),
            ):
                page = await history.feed_page(streams, user_id, {room_id: n}, 0, start, up_to=end)
                assert page.left == left, source
            page = await history.feed_page(streams, ANN, {}, 0, begin, up_to=end)
            assert page.left == set()  # and it did not come back

    run(scenario())


def test_a_feed_that_redis_has_lost_is_followed_in_sql(run: Run, streams: Streams) -> None:
    """Emptied, or with a master that has less: the process has seen more than Redis holds."""

    async def scenario() -> None:
        room_id = await new_room(streams)
        begin = (await streams.position())[0]
        await add(streams, room_id, "m" * 9)
        log = await log_of(streams, room_id)
        await archive_events(log)
        end = log[-1].feed
        await streams._redis.delete(group.key(0))
        page = await history.feed_page(streams, ANN, {room_id: 0}, 0, begin, up_to=end)
        assert (page.end, numbers(page.events)) == (end, list(range(1, 10)))
        await streams._redis.xadd(group.key(0), {"c": "{}"}, id=unpack(log[2].feed))
        page = await history.feed_page(streams, ANN, {room_id: 0}, 0, log[3].feed, up_to=end)
        assert (page.end, numbers(page.events)) == (end, list(range(5, 10)))

    run(scenario())
