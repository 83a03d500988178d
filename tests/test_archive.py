"""The worker, over a real Valkey and SQLite: all of the log, once, whatever dies in between."""

import asyncio
import gc
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import harness
import msgspec
import pytest
import structlog
from redis.exceptions import ResponseError

from quartchat import (
    acks,
    archive,
    engines,
    events,
    fold,
    group,
    history,
    metrics,
    records,
    store,
)
from quartchat.config import Config
from quartchat.events import Control, Event, FeedId, Message, RoomId, User, UserId
from quartchat.records import Change
from quartchat.store import events as rows
from quartchat.stream import Draft, Streams

# A worker that is killed while redis-py connects leaves a socket to the garbage collector (3.11).
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <(socket\.socket|function "
    r"(AbstractConnection|StreamWriter|_SelectorTransport|_SSLProtocolTransport)\.):pytest.PytestUnraisableExceptionWarning"
)

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Row = tuple[int, int, str]

LOBBY, DEN = RoomId(7), RoomId(8)
ANN = UserId(1)
WINDOW = 10


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BATCH", 20)
    monkeypatch.setattr(group, "WINDOW", 15)
    monkeypatch.setattr(group, "BLOCK_S", 0.05)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead worker held is taken over soon."""
    monkeypatch.setattr(archive, "CLAIM_EVERY_S", 0.02)
    monkeypatch.setattr(archive, "CLAIM_IDLE_S", 0.1)


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run
    gc.collect()  # or what a worker left would be a later test's


@pytest.fixture(params=[1, 3], ids=["1 partition", "3 partitions"])
def config(
    run: Run, valkey: harness.Valkey, database: str, request: pytest.FixtureRequest
) -> Config:
    run(store.migrate(database))
    return Config(
        redis_url=valkey.url(), database_url=database, partitions=request.param, room_window=WINDOW
    )


class Log:
    """What was answered to those who sent: the truth that SQL must come to hold."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.rows: list[Row] = []

    async def say(self, count: int, *rooms: RoomId) -> None:
        for number in range(count):
            room_id = (rooms or (LOBBY, DEN))[number % (len(rooms) or 2)]
            rest = b',"author":{"id":1,"username":"ann","display_name":"","created_at":""}}'
            draft = Draft(room_id, ANN, "message", rest, records.random_key(), "")
            appended = await self.streams.append(draft)
            assert appended.outcome == "new"
            self.rows.append((room_id, appended.n, (b'{"id":%d' % appended.n + rest).decode()))

    async def archived(self, within_s: float = harness.WAIT_S) -> None:
        """Wait until the workers have nothing left to do."""
        async with asyncio.timeout(within_s):
            while not await self.joined() or await self.streams.group.backlog():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def joined(self) -> bool:
        """Whether every partition has its consumer group."""
        try:
            for partition in range(self.streams.partitions):
                if not await self.streams._redis.xinfo_groups(group.key(partition)):
                    return False
        except ResponseError:  # not even a feed
            return False
        return True


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Log]:
    streams = Streams(config.redis_url, config.partitions)
    for room_id in (LOBBY, DEN):
        await streams.seed(room_id, 0, 0)
    try:
        yield Log(streams)
    finally:
        await streams.close()


@asynccontextmanager
async def working(config: Config) -> AsyncIterator[None]:
    stop = asyncio.Event()
    worker = asyncio.create_task(archive.run(config, stop))
    try:
        yield
    finally:
        stop.set()
        await ended(worker)


async def ended(worker: asyncio.Task[None]) -> None:
    """Wait for a worker that must end now; where it does not, leave nothing of it behind."""
    _, pending = await asyncio.wait([worker], timeout=harness.WAIT_S)
    if not pending:
        return
    others = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    while others:
        for task in others:
            task.cancel()
        _, others = await asyncio.wait(others, timeout=0.1)
    await store.close_database()
    pytest.fail("the worker does not end")


def stored(config: Config) -> list[Row]:
    with harness.sql(config.database_url) as sql:
        return list(sql.execute("SELECT room_id, n, data FROM event ORDER BY room_id, n"))


def test_everything_ends_in_sql_once_and_in_order(run: Run, config: Config) -> None:
    async def scenario() -> None:
        async with opened(config) as log:
            await log.say(30)
            async with working(config):
                await log.say(30)
                await log.streams.control(Control("session", ANN, session="s"))
                await log.archived()
            assert stored(config) == sorted(log.rows)

    run(scenario())


def test_sql_keeps_what_the_feed_says_of_an_event(run: Run, config: Config) -> None:
    async def scenario() -> None:
        async with opened(config) as log:
            await log.say(4, LOBBY)
            feed = await log.streams.read_feed(log.streams.partition(LOBBY), FeedId(0), 99)
            async with working(config):
                await log.archived()
            with harness.sql(config.database_url) as sql:
                rows = sql.execute("SELECT n, feed, messages, type, author_id FROM event")
                assert list(rows) == [
                    (entry.n, entry.feed, entry.messages, entry.type, ANN)
                    for entry in feed
                    if isinstance(entry, Event)
                ]

    run(scenario())


def test_what_is_archived_is_trimmed_to_the_window(run: Run, config: Config) -> None:
    async def scenario() -> None:
        async with opened(config) as log:
            async with working(config):
                for _ in range(5):
                    await log.say(20)
                    await log.archived()
            for room_id in (LOBBY, DEN):
                held = await log.streams.read(room_id, 0, 999)
                assert [event.n for event in held] == list(range(41, 51))
            for partition in range(config.partitions):
                entries = await log.streams.read_feed(partition, FeedId(0), 999)
                assert len(entries) <= 2 * group.WINDOW

    run(scenario())


def test_a_worker_that_is_behind_does_not_rest(
    run: Run, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "PACE_S", 60)
    monkeypatch.setattr(archive, "BATCH", 50)

    async def scenario() -> None:
        async with opened(config) as log:
            await log.say(240)
            async with working(config):
                await log.archived()
        assert stored(config) == sorted(log.rows)

    run(scenario())


def test_a_worker_that_is_cancelled_while_redis_py_connects_ends(
    run: Run, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(_url: str) -> None:
        with suppress(asyncio.CancelledError):  # as redis-py does, once in a hundred times
            await asyncio.sleep(60)

    monkeypatch.setattr(engines, "check", check)

    async def scenario() -> None:
        worker = asyncio.create_task(archive.run(config, asyncio.Event()))
        await asyncio.sleep(0.05)
        worker.cancel()
        await ended(worker)

    run(scenario())


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_is_killed_anywhere_loses_and_doubles_nothing(
    run: Run, config: Config
) -> None:
    order = random.Random(4)

    async def scenario() -> None:
        async with opened(config) as log:
            for _ in range(30):
                worker = asyncio.create_task(archive.run(config, asyncio.Event()))
                await log.say(order.randint(0, 30))
                await asyncio.sleep(order.random() * 0.03)
                worker.cancel()
                await ended(worker)
                held = {(row[0], row[1]) for row in stored(config)}
                for room_id in (LOBBY, DEN):
                    held |= {(room_id, e.n) for e in await log.streams.read(room_id, 0, 9999)}
                assert held >= {(row[0], row[1]) for row in log.rows}
            async with working(config):
                await log.archived()
            assert stored(config) == sorted(log.rows)

    run(scenario())


@pytest.mark.usefixtures("impatient")
def test_workers_that_work_and_die_side_by_side_lose_and_double_nothing(
    run: Run, config: Config
) -> None:
    order = random.Random(5)

    async def one(streams: Streams) -> None:
        # Two of `run` would share this process's one database, and close it on each other.
        workers = [archive._Worker(config, streams, lane) for lane in streams.lanes]
        tasks = {asyncio.create_task(worker.run()) for worker in workers}
        await asyncio.sleep(order.random() * 0.1)
        while tasks:
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=0.1)

    async def ones() -> None:
        streams = Streams(config.redis_url, config.partitions)
        for _ in range(8):
            await one(streams)
        await streams.close()

    async def scenario() -> None:
        async with opened(config) as log:
            store.open_database(config.database_url)
            await asyncio.gather(ones(), ones(), log.say(300))
            await store.close_database()
            async with working(config):
                await log.archived()
            assert stored(config) == sorted(log.rows)
            for room_id in (LOBBY, DEN):
                last = max(row[1] for row in log.rows if row[0] == room_id)
                held = [event.n for event in await log.streams.read(room_id, 0, 9999)]
                assert held[-1] == last
                assert held == list(range(held[0], last + 1))

    run(scenario())


@pytest.mark.usefixtures("impatient")
def test_what_a_dead_worker_held_is_archived_by_another(run: Run, config: Config) -> None:
    async def scenario() -> None:
        async with opened(config) as log:
            await log.say(10)
            for partition in range(config.partitions):
                await log.streams.group.join(partition)
            for lane in log.streams.lanes:
                await log.streams.group.take("dead", 7, lane)
            async with working(config):
                await log.archived()
            assert stored(config) == sorted(log.rows)

    run(scenario())


def test_what_sql_could_not_take_is_archived_as_soon_as_it_can(
    run: Run, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.open_database.__kwdefaults__
    monkeypatch.setitem(store.open_database.__kwdefaults__, "busy_s", 0.05)

    async def scenario() -> None:
        async with opened(config) as log, working(config):
            await log.say(5)
            await log.archived()
            with harness.sql(config.database_url) as sql:
                sql.lock()
                await log.say(50)
                await asyncio.sleep(0.5)
                assert await log.streams.group.backlog() == 50
                sql.unlock()
            await log.archived(within_s=3)
            assert stored(config) == sorted(log.rows)

    run(scenario())


@pytest.mark.usefixtures("impatient")
def test_an_emptied_redis_is_archived_on(run: Run, config: Config) -> None:
    async def scenario() -> None:
        async with opened(config) as log, working(config):
            await log.say(20)
            await log.archived()
            with structlog.testing.capture_logs() as logged:
                await log.streams._redis.flushdb()
                async with asyncio.timeout(harness.WAIT_S):
                    while not logged:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            assert {entry["event"] for entry in logged} == {"archive_group_lost"}
            for room_id in (LOBBY, DEN):
                await history.seed(log.streams, room_id)
            await log.say(20)
            await log.archived()
            assert stored(config) == sorted(log.rows)
            assert [row[1] for row in stored(config) if row[0] == LOBBY] == list(range(1, 21))

    run(scenario())


def test_an_event_that_clashes_is_counted_and_the_rest_goes_on(run: Run, config: Config) -> None:
    async def scenario() -> None:
        clashes = metrics.CLASHES.labels("number")
        before = clashes._value.get()
        async with opened(config) as log:
            with harness.sql(config.database_url) as sql:
                sql.execute("INSERT INTO event VALUES (7, 1, 'message', '{}', 1, 1, 1, NULL, NULL)")
            await log.say(3, LOBBY)
            async with working(config):
                await log.archived()
        assert clashes._value.get() == before + 1
        assert stored(config) == [(LOBBY, 1, "{}"), *log.rows[1:]]

    run(scenario())


def test_a_worker_stops_when_it_is_told_to_also_without_redis(run: Run, config: Config) -> None:
    async def scenario(config: Config) -> None:
        async with working(config):
            await asyncio.sleep(0.1)

    run(scenario(config))
    away = f"redis://127.0.0.1:{harness.free_port()}/0"
    run(scenario(Config(redis_url=away, database_url=config.database_url)))


# -- deleted messages


async def append(log: Log, kind: str, message: Message) -> Message:
    """Put a message, or what a change makes of it, on the lobby's log."""
    if kind == "message":
        draft = Draft(LOBBY, ANN, kind, events.unnumbered(message), records.random_key(), "")
        appended = await log.streams.append(draft)
        return msgspec.structs.replace(message, id=appended.n)
    seen = await history.message(log.streams, LOBBY, message.id)
    assert seen is not None
    rest, change = msgspec.json.encode(message), Change(message.id, seen)
    draft = Draft(LOBBY, ANN, kind, rest, records.random_key(), "", change=change)
    assert (await log.streams.append(draft)).outcome == "new"
    return message


async def say_and_edit(log: Log, text: str) -> Message:
    ann = User(ANN, "ann", "", "")
    said = await append(log, "message", Message(0, LOBBY, ann, text, text, ""))
    return await append(
        log, "message.update", fold.edited(said, text * 2, fold.Content("", []), "1")
    )


async def deletion(log: Log, text: str) -> None:
    """Events 1 to 4: a message, an edit, something else, and the deletion."""
    said = await say_and_edit(log, text)
    await log.say(1, LOBBY)
    await append(log, "message.delete", fold.deleted(said, "2"))


async def held(log: Log) -> list[Event]:
    return await log.streams.read(LOBBY, 0, 999)


def is_told(config: Config, found: list[Event], text: str) -> bool:
    """Whether Redis, or SQL in any column, has a text."""
    with harness.sql(config.database_url) as sql:
        tables = [
            sql.execute(f"SELECT * FROM {table}")  # noqa: S608
            for table in ("event", "latest", "document")
        ]
    return text in repr(found) or text in repr(tables)


async def owed(log: Log) -> dict[RoomId, tuple[FeedId, int]]:
    return await log.streams.group.deletions(log.streams.partition(LOBBY))


async def is_paid(log: Log) -> bool:
    return not await owed(log)


async def has_held(log: Log, count: int) -> bool:
    return len(await held(log)) == count


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Wait: a worker trims after what `Log.archived` waits for."""
    async with asyncio.timeout(harness.WAIT_S):
        while not await check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_a_deleted_text_leaves_redis_as_it_is_archived_and_what_is_newer_stays(
    run: Run, config: Config
) -> None:
    async def scenario() -> None:
        text = secrets.token_hex(8)
        async with opened(config) as log:
            await deletion(log, text)
            await log.say(2, LOBBY)
            assert is_told(config, await held(log), text)
            assert await owed(log)
            async with working(config):
                await log.archived()
                await until(lambda: is_paid(log))
            assert [event.n for event in await held(log)] == [3, 4, 5, 6]
            assert not is_told(config, await held(log), text)
            assert not await owed(log)
            whole = await history_of(config, log)
            assert [event.n for event in whole] == [1, 2, 3, 4, 5, 6]
            assert whole[0].data == whole[1].data == whole[3].data

    run(scenario())


async def history_of(config: Config, log: Log) -> list[Event]:
    store.open_database(config.database_url)
    found = await history.after(log.streams, LOBBY, 0, 99)
    await store.close_database()
    return found


def test_the_deletion_of_what_redis_holds_no_more_trims_nothing(run: Run, config: Config) -> None:
    async def scenario() -> None:
        async with opened(config) as log, working(config):
            said = await say_and_edit(log, "text")
            await log.say(WINDOW, LOBBY)
            await until(lambda: has_held(log, WINDOW))
            await append(log, "message.delete", fold.deleted(said, "2"))
            await log.archived()
            await until(lambda: has_held(log, WINDOW))
            assert not await owed(log)

    run(scenario())


def test_a_room_where_something_is_deleted_all_the_time_has_only_texts_that_wait(
    run: Run, config: Config
) -> None:
    async def scenario() -> None:
        texts = [secrets.token_hex(8) for _ in range(6)]
        async with opened(config) as log:
            said = [await say_and_edit(log, text) for text in texts]
            store.open_database(config.database_url)
            n = 0
            for message in said:
                await append(log, "message.delete", fold.deleted(message, "2"))
                # The worker is always one deletion behind.
                feed = await log.streams.read_feed(log.streams.partition(LOBBY), FeedId(0), 99)
                found = [entry for entry in feed if isinstance(entry, Event)][n:-1]
                await store.run(rows.add_events, [acks.row(event) for event in found])
                n = found[-1].n
                await log.streams.trim(LOBBY, n, WINDOW)
                deleted = texts[: said.index(message) + 1]
                left = repr(await held(log))
                assert not any(text in left for text in deleted)
                # SQL has the last one until its deletion is there, and a replay does not.
                replay = await history.after(log.streams, LOBBY, 0, 99)
                assert [event.n for event in replay] == [*range(1, n + 2)]
                assert not any(text in repr(replay) for text in deleted)
            await store.close_database()

    run(scenario())


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("acked", [True, False])
def test_a_deleted_text_goes_also_if_the_worker_died_after_its_commit(
    run: Run, config: Config, *, acked: bool
) -> None:
    async def scenario() -> None:
        text = secrets.token_hex(8)
        async with opened(config) as log:
            await deletion(log, text)
            partition = log.streams.partition(LOBBY)
            await log.streams.group.join(partition)
            [(_, found)] = await log.streams.group.take("dead", 99, (partition,))
            store.open_database(config.database_url)
            batch = [acks.row(event) for event in found if isinstance(event, Event)]
            await store.run(rows.add_events, batch)
            await store.close_database()
            if acked:
                await log.streams.group.archived(partition, found)
            assert text in repr(await held(log))
            async with working(config):
                await until(lambda: is_paid(log))
            assert not is_told(config, await held(log), text)

    run(scenario())


@pytest.mark.usefixtures("impatient")
def test_a_text_that_another_worker_still_holds_goes_once_it_is_archived(
    run: Run, config: Config
) -> None:
    async def scenario() -> None:
        text = secrets.token_hex(8)
        async with opened(config) as log:
            await deletion(log, text)
            partition = log.streams.partition(LOBBY)
            await log.streams.group.join(partition)
            await log.streams.group.take("slow", 1, (partition,))
            async with working(config):
                await log.archived()
                await until(lambda: is_paid(log))
            assert [event.n for event in await held(log)] == [3, 4]
            assert [row[1] for row in stored(config)] == [1, 2, 3, 4]
            assert not is_told(config, await held(log), text)

    run(scenario())


def test_a_deletion_that_redis_lost_and_gets_back_takes_the_text_with_it(
    run: Run, config: Config
) -> None:
    async def scenario() -> None:
        text = secrets.token_hex(8)
        async with opened(config) as log:
            await deletion(log, text)
            before = await held(log)
            async with working(config):
                await log.archived()
            redis, key = log.streams._redis, log.streams._key
            await redis.delete(key("room", LOBBY))  # a replica takes over that has 1, 2 and 3
            for event in before[:3]:
                fields = {"t": event.type, "d": event.data}
                await redis.xadd(key("room", LOBBY), fields, id=f"{event.n}-0")
            await redis.hset(key("meta", LOBBY), mapping={"n": 3, "epoch": "another"})
            store.open_database(config.database_url)
            await history.seed(log.streams, LOBBY)
            await store.close_database()
            assert [event.n for event in await held(log)] == [1, 2, 3, 4]
            async with working(config):
                await log.archived()
                await until(lambda: is_paid(log))
            assert not is_told(config, await held(log), text)

    run(scenario())
