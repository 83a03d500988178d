"""The scripts and streams, over a real Valkey: numbers without a hole, and nothing lost."""

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import harness
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import exceptions

from quartchat import group, redis_client, stream
from quartchat.events import Control, Event, FeedId, Position, RoomId, UserId, pack, unpack
from quartchat.records import Head
from quartchat.stream import Appended, Draft, Streams

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

LOBBY, DEN = RoomId(7), RoomId(8)
ANN, BOB = UserId(1), UserId(2)
HOUR_MS = 3_600_000
keys = itertools.count()
new_rooms = itertools.count(1000)


@pytest.fixture
def run() -> Iterator[Run[Any]]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def url(valkey: harness.Valkey) -> str:
    return valkey.url()


@pytest.fixture(params=[1, 4], ids=["1 partition", "4 partitions"])
def streams(
    run: Run[Any], valkey: harness.Valkey, request: pytest.FixtureRequest
) -> Iterator[Streams]:
    streams = Streams(valkey.url(), request.param)
    run(streams.seed(LOBBY, 0, 0))
    run(streams.seed(DEN, 0, 0))
    yield streams
    run(streams.close())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that keeps 3 entries, and at most 5 that wait for the archive."""
    monkeypatch.setattr(group, "WINDOW", 3)
    monkeypatch.setattr(stream, "BACKLOG", 5)


def draft(room_id: RoomId = LOBBY, body: str = "hi", **fields: Any) -> Draft:
    made = Draft(
        room_id=room_id,
        author_id=ANN,
        type="message",
        rest=b',"body":%s}' % msgspec.json.encode(body),
        key=f"key-{next(keys)}",
        digest=body,
    )
    return dataclasses.replace(made, **fields)


def now_ms() -> int:
    return int(time.time() * 1000)


async def say(streams: Streams, *bodies: str, room_id: RoomId = LOBBY, **fields: Any) -> None:
    for body in bodies:
        appended = await streams.append(draft(room_id, body, **fields))
        assert appended.outcome == "new"


async def join(streams: Streams) -> None:
    for partition in range(streams.partitions):
        await streams.group.join(partition)


async def take(streams: Streams, consumer: str, limit: int) -> list[tuple[int, list[Any]]]:
    """What a worker gets of all partitions."""
    lanes = (streams.group.take(consumer, limit, lane) for lane in streams.lanes)
    return [found for lane in await asyncio.gather(*lanes) for found in lane]


async def tail(streams: Streams, position: Position) -> list[tuple[int, Event | Control]]:
    """What follows a position in all partitions."""
    heard = dict.fromkeys(range(streams.partitions), FeedId(0))
    lanes = (streams.tail(position, heard, lane) for lane in streams.lanes)
    return [entry for entries, _ in await asyncio.gather(*lanes) for entry in entries]


async def everything(streams: Streams, room_id: RoomId = LOBBY) -> list[int]:
    """The numbers that Redis holds of a room."""
    return [event.n for event in await streams.read(room_id, 0, 10_000)]


async def fed(streams: Streams, room_id: RoomId = LOBBY) -> list[Event]:
    entries = await streams.read_feed(streams.partition(room_id), FeedId(0), 10_000)
    events = [entry for entry in entries if isinstance(entry, Event)]
    assert events == entries
    return events


# -- append


def test_numbers_begin_at_one_and_have_no_hole(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        drafts = [draft(body=str(count)) for count in range(200)]
        appended = await asyncio.gather(*map(streams.append, drafts))
        assert sorted(each.n for each in appended) == list(range(1, 201))
        assert {each.outcome for each in appended} == {"new"}
        by_number = {each.n: made for each, made in zip(appended, drafts, strict=True)}
        events = await streams.read(LOBBY, 0, 1000)
        assert [event.n for event in events] == list(range(1, 201))
        assert [event.data for event in events] == [
            b'{"id":%d' % n + by_number[n].rest for n in range(1, 201)
        ]

    run(scenario())


def test_the_feed_has_each_event_in_its_rooms_order(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await asyncio.gather(*(say(streams, *"abc", room_id=room) for room in (LOBBY, DEN) * 3))
        for room_id in (LOBBY, DEN):
            entries = [entry for entry in await fed(streams, room_id) if entry.room_id == room_id]
            assert [(entry.n, entry.messages) for entry in entries] == [
                (n, n) for n in range(1, 10)
            ]
            assert sorted(entry.feed for entry in entries) == [entry.feed for entry in entries]
            assert [entry.data for entry in entries] == [
                event.data for event in await streams.read(room_id, 0, 100)
            ]

    run(scenario())


def test_a_send_that_is_repeated_gets_the_first_answer(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        first = draft(body="hi")
        answers = await asyncio.gather(*(streams.append(first) for _ in range(20)))
        assert sorted(each.outcome for each in answers) == ["again"] * 19 + ["new"]
        assert {each.n for each in answers} == {1}
        again = await streams.append(dataclasses.replace(first, rest=b"}", digest="other"))
        assert again == Appended("again", 1, "hi", b'{"id":1,"body":"hi"}')
        assert await everything(streams) == [1]
        assert len(await fed(streams)) == 1

    run(scenario())


def test_who_has_left_appends_nothing_until_a_joining_but_gets_earlier_answers(
    run: Run[Any], streams: Streams
) -> None:
    """Whatever a process still believes: the log's own order decides."""

    async def outcome(sent: Draft) -> str:
        return (await streams.append(sent)).outcome

    async def scenario() -> None:
        earlier = draft()
        assert await outcome(earlier) == "new"
        assert await outcome(draft(type="member.leave")) == "new"
        for type_ in ("message", "message.update", "message.delete", "reaction.add"):
            assert await outcome(draft(type=type_)) == "out"
        assert await outcome(draft(author_id=BOB)) == "new"
        assert await outcome(draft(DEN)) == "new"
        assert await outcome(earlier) == "again"
        assert await outcome(draft(type="room.update")) == "new"  # still owed to the log
        assert await outcome(draft(type="member.join")) == "new"
        assert await outcome(draft()) == "new"
        assert await everything(streams) == [1, 2, 3, 4, 5, 6]

    run(scenario())


def test_a_key_names_a_send_of_one_author_in_one_room(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        same: dict[str, Any] = {"key": "a"}
        assert await streams.append(draft(**same)) == Appended("new", 1)
        assert await streams.append(draft(author_id=BOB, **same)) == Appended("new", 2)
        assert await streams.append(draft(DEN, **same)) == Appended("new", 1)

    run(scenario())


def test_a_repeated_send_is_known_when_redis_has_trimmed_the_event(
    run: Run[Any], streams: Streams
) -> None:
    async def scenario() -> None:
        first = draft(body="hi")
        await streams.append(first)
        await say(streams, "b", "c")
        await streams.trim(LOBBY, 3, 1)
        assert await streams.append(first) == Appended("again", 1, "hi", None)

    run(scenario())


def test_a_digest_may_be_any_text(run: Run[Any], streams: Streams) -> None:
    first = draft(digest="1:2\n:é")
    assert run(streams.append(first)).outcome == "new"
    assert run(streams.append(first)).digest == "1:2\n:é"


def test_a_room_that_redis_does_not_know_must_be_seeded(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        first = draft(RoomId(9))
        assert await streams.append(first) == Appended("unseeded")
        assert await everything(streams, RoomId(9)) == []
        await streams.seed(RoomId(9), 41, 40)
        assert await streams.append(first) == Appended("new", 42)
        [entry] = [entry for entry in await fed(streams, RoomId(9)) if entry.room_id == 9]
        assert (entry.n, entry.messages) == (42, 41)

    run(scenario())


@pytest.mark.parametrize("age_ms", [12 * HOUR_MS + 5000, -HOUR_MS - 60_000])
def test_redis_does_not_vouch_for_a_key_that_is_old_or_of_the_future(
    run: Run[Any], streams: Streams, age_ms: int
) -> None:
    async def scenario() -> None:
        await seeded_long_ago(streams)
        first = draft(sent_ms=now_ms() - age_ms)
        assert await streams.append(first) == Appended("unsure")
        assert await everything(streams) == []
        looked_up = dataclasses.replace(first, sent_ms=None)
        assert await streams.append(looked_up) == Appended("new", 1)
        assert (await streams.append(first)).outcome == "again"

    run(scenario())


@pytest.mark.parametrize("age_ms", [12 * HOUR_MS - 60_000, 0, -HOUR_MS + 60_000])
def test_redis_vouches_for_a_key_of_these_hours(
    run: Run[Any], streams: Streams, age_ms: int
) -> None:
    run(seeded_long_ago(streams))
    assert run(streams.append(draft(sent_ms=now_ms() - age_ms))) == Appended("new", 1)


def test_redis_does_not_vouch_for_a_key_from_before_it_knew_the_room(
    run: Run[Any], streams: Streams
) -> None:
    assert run(streams.append(draft(sent_ms=now_ms() - 5000))) == Appended("unsure")
    assert run(streams.append(draft(sent_ms=now_ms() + 5000))) == Appended("new", 1)


async def seeded_long_ago(streams: Streams) -> None:
    await streams._redis.hset(streams._key("meta", LOBBY), "seeded", 1)


def test_a_key_is_kept_for_its_time(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await streams.append(draft(key="a", key_ttl_s=100))
        assert 98 <= await streams._redis.ttl(f"{streams._key('sent', LOBBY)}:{ANN}:a") <= 100

    run(scenario())


@pytest.mark.usefixtures("small")
def test_a_feed_that_nobody_archives_gets_full(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await join(streams)
        first = draft()
        await streams.append(first)
        await say(streams, *"bcdefghijk")
        assert await streams.append(draft()) == Appended("full")
        assert (await streams.append(first)).outcome == "again"
        assert await everything(streams) == list(range(1, 12))
        for taken_from, entries in await take(streams, "worker", 100):
            await streams.group.archived(taken_from, entries)
        assert await streams.append(draft()) == Appended("new", 12)

    run(scenario())


def test_what_goes_wrong_with_one_append_is_no_matter_of_the_others(
    run: Run[Any], streams: Streams
) -> None:
    async def scenario() -> None:
        await streams._redis.set(streams._key("room", DEN), "not a stream")
        await streams._redis.script_flush()
        waiting = [
            asyncio.create_task(streams.append(draft(room_id)))
            for room_id in [LOBBY, DEN] + [LOBBY] * 100
        ]
        await asyncio.sleep(0)
        waiting[2].cancel()  # the client went away; the event may be there or not
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(answers[1], exceptions.ResponseError)
        assert isinstance(answers[2], asyncio.CancelledError)
        numbers = [each.n for each in (answers[0], *answers[3:]) if isinstance(each, Appended)]
        assert len(set(numbers)) == 100
        head = max(numbers + await everything(streams))
        assert await everything(streams) == list(range(1, head + 1))

    run(scenario())


sends = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.sampled_from("xy"), st.booleans()),
    max_size=15,
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sends)
def test_the_log_is_what_a_plain_list_would_be(
    run: Run[Any], streams: Streams, sends: list[tuple[str, int, str, bool]]
) -> None:
    async def scenario() -> None:
        room_id = RoomId(next(new_rooms))
        await streams.seed(room_id, 0, 0)
        made: dict[tuple[str, int], tuple[int, str]] = {}
        log: list[str] = []
        for key, author, digest, is_message in sends:
            known = (key, author) in made
            if not known:
                log.append("message" if is_message else "member.join")
            n, first_digest = made.setdefault((key, author), (len(log), digest))
            fields: dict[str, Any] = {"key": key, "author_id": author, "digest": digest}
            type_ = "message" if is_message else "member.join"
            answer = await streams.append(draft(room_id, type=type_, **fields))
            assert (answer.outcome, answer.n) == ("again" if known else "new", n)
            assert answer.digest == (first_digest if known else "")
        assert [event.type for event in await streams.read(room_id, 0, 100)] == log
        head = (await streams.snapshot([room_id], ANN))[1][room_id]
        assert (head.n, head.messages) == (len(log), log.count("message"))

    run(scenario())


# -- seed, snapshot, mark


def test_a_seed_changes_nothing_where_redis_knows_the_room(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await say(streams, "a", "b")
        for n in (0, 1, 99):
            await streams.seed(LOBBY, n, n)
        assert await streams.append(draft()) == Appended("new", 3)

    run(scenario())


def test_a_seed_does_not_go_below_what_the_stream_holds(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await say(streams, "a", "b", "c")
        await streams._redis.delete(streams._key("meta", LOBBY))
        await streams.seed(LOBBY, 1, 1)
        assert await streams.append(draft()) == Appended("new", 4)

    run(scenario())


def test_a_snapshot_is_of_rooms_and_of_the_feeds_end(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        assert await streams.position() == (0,) * streams.partitions
        await say(streams, "a", "b")
        await say(streams, "", type="member.join")
        await say(streams, "c", room_id=DEN, author_id=BOB)
        position, heads = await streams.snapshot([LOBBY, DEN, RoomId(9)], ANN)
        assert heads == {LOBBY: Head(3, 2, 2, 2), DEN: Head(1, 1, 0, 0)}
        assert position == await streams.position()
        for room_id in (LOBBY, DEN):
            partition = streams.partition(room_id)
            assert position[partition] == (await fed(streams, room_id))[-1].feed

    run(scenario())


def test_a_marker_never_goes_back(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await say(streams, *"abcdefghijk", author_id=BOB)
        for n, expected in [(9, 9), (2, 9), (10, 10), (9, 10)]:
            await streams.mark(LOBBY, ANN, n, n)
            head = (await streams.snapshot([LOBBY], ANN))[1][LOBBY]
            assert head == Head(11, 11, expected, expected)

    run(scenario())


def test_a_marker_does_not_make_a_room_known(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await streams.mark(RoomId(9), ANN, 5, 5)
        assert await streams.append(draft(RoomId(9))) == Appended("unseeded")
        assert (await streams.snapshot([RoomId(9)], ANN))[1] == {}
        await streams.seed(RoomId(9), 5, 5)
        assert (await streams.snapshot([RoomId(9)], ANN))[1] == {RoomId(9): Head(5, 5, 5, 5)}

    run(scenario())


# -- reading


def test_a_room_is_read_in_both_directions(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await say(streams, *"abcde")

        async def numbers(reading: Coroutine[Any, Any, list[Event]]) -> list[int]:
            return [event.n for event in await reading]

        assert await numbers(streams.read(LOBBY, 2, 2)) == [3, 4]
        assert await numbers(streams.read(LOBBY, 5, 2)) == []

        async def back(room_id: RoomId, before: int | None, limit: int) -> list[int]:
            _, events = await streams.look_back(room_id, before, limit)
            return [event.n for event in events]

        assert [event.n for event in (await streams.look(LOBBY, 2, 2))[1]] == [3, 4]
        assert await back(LOBBY, None, 2) == [5, 4]
        assert await back(LOBBY, 3, 5) == [2, 1]
        assert await back(LOBBY, 99, 1) == [5]
        for before in (0, 1):
            assert await back(LOBBY, before, 5) == []
        assert await back(RoomId(9), None, 5) == []

    run(scenario())


def test_the_tail_brings_all_partitions_from_a_place_on(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await say(streams, "a")
        position = await streams.position()
        await say(streams, "b", "c")
        await say(streams, "d", room_id=DEN)
        await streams.control(Control("session", ANN, session="s"))
        await streams.control(Control("room", ANN, room_id=DEN))
        entries = await tail(streams, position)
        for room_id in (LOBBY, DEN):
            assert [
                (p, entry.n)
                for p, entry in entries
                if isinstance(entry, Event) and entry.room_id == room_id
            ] == [(streams.partition(room_id), n) for n in ((2, 3) if room_id == LOBBY else (1,))]
        controls = {(p, entry.kind) for p, entry in entries if isinstance(entry, Control)}
        assert controls == {(0, "session"), (streams.partition(DEN), "room")}
        assert len(entries) == 5

    run(scenario())


def test_the_tail_waits_for_news(
    run: Run[Any], streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        position = await streams.position()
        waiting = asyncio.create_task(tail(streams, position))
        await asyncio.sleep(0.01)
        await say(streams, "a")
        assert [entry.n for _, entry in await waiting] == [1]
        monkeypatch.setattr(group, "BLOCK_S", 0.02)
        assert await tail(streams, await streams.position()) == []

    run(scenario())


def test_a_tail_that_is_cancelled_leaves_a_client_that_works(
    run: Run[Any], streams: Streams
) -> None:
    async def scenario() -> None:
        position = await streams.position()
        for _ in range(5):
            waiting = asyncio.create_task(tail(streams, position))
            await asyncio.sleep(0.005)
            waiting.cancel()
            await asyncio.wait([waiting])
        await say(streams, "a")
        assert [entry.n for _, entry in await tail(streams, position)] == [1]

    run(scenario())


def test_a_feed_is_read_page_by_page(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await say(streams, *"abcde")
        partition, feed, found = streams.partition(LOBBY), FeedId(0), []
        while entries := await streams.read_feed(partition, feed, 2):
            found += [entry.n for entry in entries]
            feed = entries[-1].feed
        assert found == [1, 2, 3, 4, 5]

    run(scenario())


# -- archiving and trimming


@pytest.mark.usefixtures("small")
def test_the_feed_keeps_what_the_slowest_worker_still_holds(
    run: Run[Any], streams: Streams
) -> None:
    async def scenario() -> None:
        partition = streams.partition(LOBBY)
        await join(streams)
        await say(streams, *"abcdefghi")
        [(_, slow)] = await take(streams, "slow", 2)
        [(_, quick)] = await take(streams, "quick", 100)
        assert [entry.n for entry in slow + quick] == list(range(1, 10))
        assert await streams.group.backlog() == 9

        assert await streams.group.archived(partition, quick) == slow[0].feed
        assert [entry.n for entry in await fed(streams)] == list(range(1, 10))
        assert await streams.group.backlog() == 2

        assert await streams.group.archived(partition, slow[:1]) == slow[1].feed
        assert [entry.n for entry in await fed(streams)] == list(range(2, 10))

        assert await streams.group.archived(partition, slow[1:]) == quick[-1].feed + 1
        assert [entry.n for entry in await fed(streams)] == [7, 8, 9]
        assert await streams.trimmed(partition) == pack(unpack(quick[-3].feed)) - 1
        assert await streams.group.backlog() == 0

    run(scenario())


@pytest.mark.usefixtures("small")
def test_the_feed_keeps_what_no_worker_has_had(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        partition = streams.partition(LOBBY)
        await join(streams)
        await say(streams, *"abcdefghi")
        [(_, entries)] = await take(streams, "worker", 4)
        first_open = await streams.group.archived(partition, entries)
        assert first_open == entries[-1].feed + 1
        assert [entry.n for entry in await fed(streams)] == [5, 6, 7, 8, 9]

    run(scenario())


@pytest.mark.usefixtures("small")
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.sampled_from(["say", "take", "archive"]), st.integers(0, 5)), min_size=5)
)
def test_nothing_leaves_the_feed_before_it_is_acknowledged(
    run: Run[Any], url: str, steps: list[tuple[str, int]]
) -> None:
    streams = Streams(url, 1)

    async def scenario() -> None:
        await streams._redis.flushdb()
        await streams.group.join(0)
        await streams.seed(LOBBY, 0, 0)
        held: list[Event] = []
        done: set[int] = set()
        said = 0
        for what, count in steps:
            if what == "say":
                for _ in range(count):
                    said += (await streams.append(draft())).outcome == "new"
            elif what == "take" and len(held) + len(done) < said:
                [(_, entries)] = await take(streams, f"worker-{count}", 2)
                held += entries
            elif what == "archive" and held:
                entry = held.pop(count % len(held))
                done.add(entry.n)
                first_open = await streams.group.archived(0, [entry])
                assert all(other.feed >= first_open for other in held)
            left = {entry.n for entry in await fed(streams)}
            assert set(range(1, said + 1)) - done <= left
            assert len(left) <= 2 * group.WINDOW + stream.BACKLOG

    run(scenario())
    run(streams.close())


def test_an_archive_without_its_group_is_an_error(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        await say(streams, "a")
        with pytest.raises(group.GroupLostError):
            await take(streams, "worker", 10)
        with pytest.raises(group.GroupLostError):
            await streams.group.archived(streams.partition(LOBBY), await fed(streams))

    run(scenario())


def test_the_group_begins_at_the_first_entry_and_is_made_once(
    run: Run[Any], streams: Streams
) -> None:
    async def scenario() -> None:
        await say(streams, "a")
        await join(streams)
        await join(streams)
        [(_, entries)] = await take(streams, "worker", 10)
        assert [entry.n for entry in entries] == [1]
        await join(streams)
        assert await streams.group.backlog() == 1

    run(scenario())


def test_what_a_dead_worker_held_is_taken_over(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        partition = streams.partition(LOBBY)
        await join(streams)
        await say(streams, "a", "b")
        await streams.control(Control("room", ANN, room_id=LOBBY))
        [(_, entries)] = await take(streams, "dead", 10)
        assert await streams.group.claim(partition, "quick", 60, 10) == []
        assert await streams.group.claim(partition, "patient", 0, 10) == entries
        await streams.group.archived(partition, entries)
        assert await streams.group.claim(partition, "patient", 0, 10) == []

    run(scenario())


def test_a_room_keeps_its_window_and_all_that_is_not_archived(
    run: Run[Any], streams: Streams
) -> None:
    async def scenario() -> None:
        await say(streams, *"abcdefghij")
        for archived, window, first in [(3, 5, 4), (2, 5, 4), (9, 5, 6), (10, 3, 8), (10, 1, 10)]:
            await streams.trim(LOBBY, archived, window)
            assert await everything(streams) == list(range(first, 11))
        assert await streams.append(draft()) == Appended("new", 11)
        await streams.trim(RoomId(9), 5, 5)
        assert await streams.append(draft(RoomId(9))) == Appended("unseeded")

    run(scenario())


def test_what_is_trimmed_of_a_feed_is_known(run: Run[Any], streams: Streams) -> None:
    async def scenario() -> None:
        partition = streams.partition(LOBBY)
        assert await streams.trimmed(partition) == 0
        await streams.group.join(partition)
        assert await streams.trimmed(partition) == 0
        await say(streams, "a", "b")
        first, last = await fed(streams)
        assert await streams.trimmed(partition) == first.feed - 1
        key = group.key(partition)
        await streams._redis.xtrim(key, minid=unpack(last.feed), approximate=False)
        assert first.feed <= await streams.trimmed(partition) == last.feed - 1
        await streams._redis.xtrim(key, maxlen=0, approximate=False)
        assert await streams.trimmed(partition) == last.feed
        assert (await streams.position())[partition] == last.feed

    run(scenario())


# -- partitions and connections


def test_rooms_spread_over_the_partitions_and_stay_there(valkey: harness.Valkey) -> None:
    async def scenario() -> None:
        one, four = Streams(valkey.url(), 1), Streams(valkey.url(), 4)
        rooms = [RoomId(number) for number in range(1, 201)]
        assert {one.partition(room_id) for room_id in rooms} == {0}
        places = [four.partition(room_id) for room_id in rooms]
        assert all(30 <= places.count(partition) <= 70 for partition in range(4))
        assert four._key("room", LOBBY) == f"room:{{{four.partition(LOBBY)}}}:7"
        await one.close()
        await four.close()

    asyncio.run(scenario())


def test_a_redis_that_is_away_is_said_to_be(run: Run[Any]) -> None:
    async def scenario() -> None:
        streams = Streams(f"redis://127.0.0.1:{harness.free_port()}/0", 1)
        tail = streams.tail((FeedId(0),), {0: FeedId(0)}, (0,))
        for attempt in (streams.ping(), streams.append(draft()), tail):
            with pytest.raises(redis_client.AWAY):
                await attempt
        await streams.close()

    run(scenario())


def test_what_the_archive_has_is_known_whether_or_not_a_worker_has_begun(
    run: Run[Any], streams: Streams
) -> None:
    async def scenario() -> None:
        partition = streams.partition(LOBBY)
        assert await streams.group.stored(partition) == 0
        for _ in range(3):
            await streams.append(draft())
        assert await streams.group.stored(partition) == 0
        await streams.group.join(partition)
        assert await streams.group.stored(partition) == 0
        [(_, taken)] = await streams.group.take("worker", 2, (partition,))
        assert 0 < await streams.group.stored(partition) < taken[0].feed
        await streams.group.archived(partition, taken[:1])
        assert taken[0].feed <= await streams.group.stored(partition) < taken[1].feed
        await streams.group.archived(partition, taken[1:])
        assert await streams.group.stored(partition) == taken[1].feed

    run(scenario())
