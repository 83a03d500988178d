"""What waits, and what is kept, has a bound, and something is done past it: docs/bounds.md."""

import asyncio
import dataclasses
import importlib
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import harness
import pytest
import redis.asyncio as redis
from rolling import until
from test_hub import LOBBY, Listener, event, hub_of, put

from quartchat import (
    acks,
    archive,
    connection,
    edits,
    errors,
    exchange,
    flush,
    herald,
    http_heads,
    hub,
    listener,
    metrics,
    pages,
    presence,
    readers,
    recent,
    redis_client,
    search,
    store,
    stream,
    tasks,
)
from quartchat import auth as authentication
from quartchat.acks import Acks
from quartchat.auth import Auth
from quartchat.chat import Chat
from quartchat.cluster import Cluster, Routed
from quartchat.config import Config
from quartchat.events import Control, Event, FeedId, RoomId, User, UserId
from quartchat.feed import Feed
from quartchat.feed_reader import FeedReader
from quartchat.herald import Herald
from quartchat.pages import Pages
from quartchat.presence import Presence
from quartchat.recent import Recent
from quartchat.records import Appended, Draft
from quartchat.redis_client import Pipelined
from quartchat.signals import Change
from quartchat.store import events as archived
from quartchat.stream import Streams

Run = Callable[[Coroutine[Any, Any, Any]], Any]

TABLE = harness.ROOT / "docs" / "bounds.md"
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20}
START = {"type": "http.response.start"}


@pytest.fixture
def config(valkey: harness.Valkey, database: str) -> Config:
    return Config(redis_url=valkey.url(), database_url=database, bcrypt_rounds=4)


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@asynccontextmanager
async def streams_of(config: Config) -> AsyncIterator[Streams]:
    """Redis, and the database, migrated."""
    await store.migrate(config.database_url)
    store.open_database(config.database_url)
    streams = Streams(config.redis_url, 1)
    try:
        yield streams
    finally:
        await streams.close()
        await store.close_database()


# -- the table


def rows() -> Iterator[tuple[str, str, str]]:
    """(constant, what the table says of it, the test that reaches it)."""
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        found = re.fullmatch(r"`(\w+(?:\.\w+)*)`", cells[0])
        if line.startswith("|") and found:
            yield found[1], cells[1], cells[-1].strip("`")


def test_the_table_says_what_the_code_says() -> None:
    assert len(list(rows())) > 30
    for name, said, _ in rows():
        module, _, constant = name.rpartition(".")
        value = getattr(importlib.import_module(f"quartchat.{module}"), constant)
        number, unit = said.replace(",", "").split(" ")[:2]
        assert float(number) * UNITS.get(unit, 1) == value, name


def test_each_bound_has_a_test_that_reaches_it() -> None:
    written = "".join(file.read_text() for file in (harness.ROOT / "tests").rglob("test_*.py"))
    for name, _, test in rows():
        assert f"def {test}(" in written, name


# -- streams


class Full(Listener):
    """A client that does not read: the first write of the body waits."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        await super().send(message)
        if "body" in message:
            await self.reads.wait()


def test_a_stream_that_is_told_too_much_while_it_catches_up_ends(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "NOTICES", 3)

    async def scenario() -> None:
        async with hub_of(config) as (hub, _, ann):
            reader = await hub.open_feed("session", ann, None)
            client = Full()
            serving = asyncio.create_task(reader.serve(client.send, START))
            await asyncio.sleep(0.05)
            for number in range(10):
                hub._control(Control("room", ann, room_id=RoomId(50 + number)))
                assert len(reader._notices) <= 3
            client.reads.set()
            async with asyncio.timeout(harness.WAIT_S):
                await serving
            assert client.sent.count(b"event: room.added") == 3

    run(scenario())


def test_a_room_joined_and_left_while_a_stream_opens_counts_once(config: Config, run: Run) -> None:
    async def scenario() -> None:
        async with hub_of(config) as (hub, _, ann):
            reader = FeedReader(hub, "session", ann)
            for number in range(1000):
                reader.change(LOBBY, None if number % 2 else number)
            assert reader._changes == {LOBBY: None}
            await reader.prepare(None)
            assert LOBBY not in reader.joined

    run(scenario())


def test_a_page_is_written_chunk_by_chunk(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "CHUNK_BYTES", 100)

    async def scenario() -> list[int]:
        async with hub_of(config) as (hub, streams, ann):
            for n in range(1, 41):
                await put(streams, n)
            hub._begin((event(40).feed,))  # nothing of it is in memory
            largest = []
            for opened in (
                hub.open_room("session", ann, LOBBY, "0", lambda: asyncio.sleep(0)),
                hub.open_feed("session", ann, "0"),
            ):
                reader, client = await opened, Pieces()
                serving = asyncio.create_task(reader.serve(client.send, START))
                await until(lambda client=client: client.ids[-1:] == [40])  # type: ignore[misc]
                reader.close()
                await serving
                assert client.ids == list(range(1, 41))
                largest.append(client.largest)
            return largest

    assert max(run(scenario())) < 600  # with the frames around the data; all of it has 1,800


class Pieces(Listener):
    """Notes how much came at once."""

    largest = 0

    async def send(self, message: dict[str, Any]) -> None:
        await super().send(message)
        self.largest = max(self.largest, len(message.get("body", b"")))


def test_the_ends_of_sessions_are_remembered_but_not_all(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ENDED", 5)

    async def scenario() -> list[str]:
        async with hub_of(config) as (open_hub, _, _):
            for number in range(20):
                open_hub._control(Control("session", UserId(1), session=f"s{number}"))
            return list(open_hub._ended)

    assert run(scenario()) == [f"s{number}" for number in range(15, 20)]


def test_however_many_gaps_there_are_readers_are_checked_by_one_task(
    config: Config, run: Run
) -> None:
    async def scenario() -> None:
        async with hub_of(config) as (hub, _, ann):
            reader = await hub.open_feed("session", ann, None)
            tasks_of_it = set()
            for number in range(10):
                hub._begin((FeedId(200 + number),))
                tasks_of_it.add(hub._recheck.task)
            [task] = tasks_of_it
            assert task is not None
            async with asyncio.timeout(2):
                await task
            reader.abandon()

    run(scenario())


def test_chunks_that_are_kept_for_readers_have_a_bound_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent, "KEPT_BYTES", 1000)
    monkeypatch.setattr(recent, "CHUNKS_PER_ROOM", 2)
    log = Recent()
    log.begin((FeedId(0),))
    feed = 0
    for room in range(1, 11):
        for n in (1, 2, 3):
            feed += 1
            log.add(Event(RoomId(room), n, "message", b"x" * 100, FeedId(feed), n), 0)
    for room in range(1, 11):
        for after in (0, 1, 2):
            assert log.room_chunk(RoomId(room), after)
            assert all(len(each.chunks) <= 2 for each in log._rooms.values())
            kept = [frames for r in log._rooms.values() for _, frames in r.chunks.values()]
            assert log._kept == sum(map(len, kept)) <= 1000
    assert log._kept > 0


def test_one_flush_keeps_few_chunks_and_every_reader_gets_its_own(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flush, "SHARED_BYTES", 1)
    made: list[int] = []

    async def scenario() -> list[list[int]]:
        async with hub_of(config) as (hub, _, ann):
            clients = [Listener() for _ in range(4)]
            opened = [await hub.open_feed("session", ann, None) for _ in clients]
            serving = [
                asyncio.create_task(reader.serve(client.send, START))
                for reader, client in zip(opened, clients, strict=True)
            ]
            await until(lambda: all(reader.is_live for reader in opened))
            for reader in opened[2:]:  # these two are in one more room
                reader.change(RoomId(2), 0)
                hub._flush.wants(reader, RoomId(2))
            plain = hub.recent.feed_chunk

            def chunk(*args: Any) -> Any:
                made.append(1)
                return plain(*args)

            monkeypatch.setattr(hub.recent, "feed_chunk", chunk)
            other = Event(RoomId(2), 1, "message", b'{"id":1}', FeedId(102), 1)
            hub.publish([(0, event(1)), (0, other)])
            await until(lambda: [len(client.ids) for client in clients] == [1, 1, 2, 2])
            for reader in opened:
                reader.close()
            await asyncio.gather(*serving)
            return [client.ids for client in clients]

    assert run(scenario()) == [[1], [1], [1, 1], [1, 1]]
    assert len(made) == 3  # of two kinds: the second was not kept for the other reader


def test_pages_are_kept_up_to_a_size_and_read_a_few_at_a_time(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "EVENTS", 4)
    monkeypatch.setattr(pages, "KEPT_BYTES", 600)
    monkeypatch.setattr(pages, "LOADS", 2)

    async def scenario() -> None:
        async with hub_of(config) as (_, streams, _):
            for n in range(1, 41):
                await put(streams, n)
            cache = Pages(streams)
            reading = asyncio.gather(*(cache.after(LOBBY, n, FeedId(0)) for n in range(40)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(cache._loading) == 10
            assert cache._turns._free.locked()
            found = await reading
            assert [page[0][0] for _, page in found] == list(range(1, 41))
            kept = sum(len(frame) for _, page in cache._kept.values() for _, frame in page)
            assert 0 < cache._bytes == kept <= 600
            assert not cache._loading

    run(scenario())


def test_of_those_who_wait_for_a_turn_nobody_waits_for_ever(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        turns, inside, most = tasks.Turns(2), 0, 0

        async def go(for_s: float) -> None:
            nonlocal inside, most
            async with turns:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(for_s)
                inside -= 1

        await asyncio.gather(*(go(0.01) for _ in range(10)))
        monkeypatch.setattr(tasks, "TURN_S", 0.1)
        late = await asyncio.gather(*(go(0.5) for _ in range(5)), return_exceptions=True)
        assert most == 2
        assert [type(each) for each in late] == [type(None)] * 2 + [TimeoutError] * 3
        await go(0)  # nothing was used up

    run(scenario())


def test_rooms_whose_presence_changed_are_remembered_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(herald, "ROOMS", 3)
    monkeypatch.setattr(herald, "PRESENCE_S", 0)
    told = Herald({}, {}, lambda _: ())
    for number in range(1, 10):
        told.take([(Change(UserId(1), True, (RoomId(number),)),)])
        told._take_round()
        assert len(told._changed) <= 3
    assert told._forgotten > 0


def test_joins_that_wait_to_be_told_are_so_many_and_no_more(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "BATCH", 10)

    async def scenario() -> int:
        async with streams_of(config) as streams:
            here = Presence(streams, Feed(streams))
            for number in range(100):
                here.joined(UserId(number), LOBBY)
            return len(here._joining)

    assert run(scenario()) == 10


def test_while_people_come_by_the_hundred_their_streams_go_first_but_not_for_ever(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "STORM", 4)
    monkeypatch.setattr(presence, "STORM_S", 1.0)
    monkeypatch.setattr(presence, "PACE_S", 0.1)

    async def scenario() -> list[float]:
        async with streams_of(config) as streams:
            here = Presence(streams, Feed(streams))
            telling = asyncio.create_task(here.run())
            began, told = time.monotonic(), []
            for number in range(1, 10_000):
                for user in range(2 * presence.STORM):  # however slow the machine is
                    here.came(UserId(10 * number + user))
                await asyncio.sleep(0.01)
                if len(here._told) > 10 * presence.STORM:  # the first look comes before that
                    told.append(time.monotonic() - began)
                    break
            here.came(UserId(1))  # and nobody else
            began, before = time.monotonic(), len(here._told)
            await until(lambda: len(here._told) > before)
            told.append(harness.alone_s(began))
            telling.cancel()
            return told

    in_storm, in_calm = run(scenario())
    assert presence.STORM_S <= in_storm < presence.STORM_S + 5
    assert in_calm < presence.STORM_S


# -- what waits for Redis and for SQL


@pytest.fixture
def silent_redis() -> Iterator[str]:
    """The address of a Redis that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


def test_who_waits_for_a_redis_that_does_not_answer_waits_no_longer_than_the_first(
    silent_redis: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(redis_client, "WAITING", 500)

    async def scenario() -> list[Any]:
        streams = Streams(silent_redis, 1)
        try:
            draft = Draft(LOBBY, UserId(1), "message", b"", "key", "")
            calls = (streams.append(draft) for _ in range(600))
            return await asyncio.gather(*calls, return_exceptions=True)
        finally:
            await streams.close()

    began = time.monotonic()
    failed = run(scenario())
    assert harness.alone_s(began) < 3  # alone, each of the eight batches would take a second
    assert all(isinstance(each, redis_client.AWAY) for each in failed)
    assert sum(isinstance(each, redis_client.RefusedError) for each in failed) == 100


def test_so_many_connections_to_redis_and_no_more(
    own_valkey: harness.Valkey, run: Run, pytestconfig: pytest.Config
) -> None:
    if pytestconfig.getoption("redis") != "standalone":
        pytest.skip("of one Redis")
    url = own_valkey.url()

    async def scenario() -> int:
        streams, other = Streams(url, 1), redis.Redis.from_url(url)
        try:
            await asyncio.gather(*(streams.ping() for _ in range(300)))
            return len(await other.client_list())
        finally:
            await streams.close()
            await other.aclose()

    assert run(scenario()) == 32 + 1


def test_the_tail_takes_so_many_entries_at_once(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "TAIL", 10)

    async def scenario() -> list[int]:
        async with streams_of(config) as streams:
            for _ in range(25):
                await streams.control(Control("session", UserId(1), session="s"))
            position, found = (FeedId(0),), []
            for _ in range(3):
                [lane] = streams.lanes
                entries, _ = await streams.tail(position, {0: FeedId(0)}, lane)
                position = (entries[-1][1].feed,)
                found.append(len(entries))
            return found

    assert run(scenario()) == [10, 10, 5]


def test_queries_that_wait_for_a_connection_are_so_many_and_no_more(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "QUERIES", 20)

    async def scenario() -> list[Any]:
        async with streams_of(config):
            calls = (store.run(store.ping) for _ in range(50))
            return await asyncio.gather(*calls, return_exceptions=True)

    done = run(scenario())
    assert done[:20] == [None] * 20
    assert all(isinstance(each, store.AWAY) for each in done[20:])


def test_sends_that_wait_for_sql_are_so_many_and_no_more(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acks, "WAITING", 20)
    monkeypatch.setattr(acks, "BATCH", 5)

    async def scenario() -> tuple[list[Any], int]:
        async with streams_of(config):
            waiting = Acks()
            drafts = (
                (
                    Draft(LOBBY, UserId(1), "message", b"}", f"k{n}", ""),
                    Appended("new", n, place=(b"1", b"%d-0" % n)),
                )
                for n in range(1, 51)
            )
            done = await asyncio.gather(
                *(waiting.stored(*draft) for draft in drafts), return_exceptions=True
            )
            return done, len(await store.run(archived.after, LOBBY, 0, 100))

    done, stored = run(scenario())
    assert done[:20] == [None] * 20
    assert all(isinstance(each, errors.Unavailable) for each in done[20:])
    assert stored == 20


def test_a_send_whose_caller_has_given_up_is_left_to_the_worker(config: Config, run: Run) -> None:
    async def scenario() -> int:
        async with streams_of(config):
            waiting = Acks()
            appended = Appended("new", 1, place=(b"1", b"1-0"))
            draft = Draft(LOBBY, UserId(1), "message", b"}", "k", "")
            sending = asyncio.create_task(waiting.stored(draft, appended))
            await asyncio.sleep(0)
            sending.cancel()
            await until(lambda: waiting._task is None)
            return len(await store.run(archived.after, LOBBY, 0, 100))

    assert run(scenario()) == 0


def test_who_searches_waits_for_a_turn_but_not_for_ever(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "WAIT_S", 0.2)

    async def scenario() -> None:
        async with auth_of(dataclasses.replace(config, rate_limits=False)) as auth:
            nobody: Any = None
            searches = search.Search(auth, nobody)
            ann = User(UserId(1), "ann", "Ann", "")
            for _ in range(search.AT_ONCE):
                await searches._turns.acquire()
            asked: dict[str, Any] = {"room_id": None, "author": None, "below": None, "limit": 10}
            with pytest.raises(TimeoutError):
                await searches.find(ann, "hello", **asked)
            searches._turns.release()
            assert await searches.find(ann, "hello", **asked) == ([], None)

    run(scenario())


def test_rooms_that_wait_to_be_trimmed_are_so_many_and_no_more(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "UNTRIMMED", 3)
    monkeypatch.setattr(archive, "RECENT_ROOMS", 4)

    async def scenario() -> tuple[list[int], list[int]]:
        async with streams_of(config) as streams:
            await streams.group.join(0)
            rooms = [RoomId(n) for n in range(1, 11)]
            for room_id in rooms:
                await streams.seed(room_id, 0, 0)
                draft = Draft(room_id, UserId(1), "message", b"}", f"k{room_id}", "")
                assert (await streams.append(draft)).outcome == "new"
            await streams.group.take("another", 1, (0,))  # and it does not let go of it
            worker = archive._Worker(config, streams, (0,))
            for _ in range(2):  # first it looks for what a dead one left
                await worker._step()
            return list(worker._committed[0]), list(worker._recent)

    waiting, remembered = run(scenario())
    assert waiting == [8, 9, 10]
    assert remembered == [7, 8, 9, 10]


def test_a_node_that_left_the_cluster_is_forgotten(run: Run) -> None:
    async def scenario() -> set[int]:
        cluster = Cluster("redis+cluster://127.0.0.1:1", 4)
        routed = Routed(cluster, "return 1", Pipelined)
        for port in range(2, 12):
            routed._of(("127.0.0.1", port))
            await cluster._take(
                ("127.0.0.1", port + 1), [[0, 16383, [b"127.0.0.1", port + 1, b"id"]]]
            )
        await cluster.aclose()
        return {port for _, port in routed._nodes}

    assert run(scenario()) == {11}


# -- who signs in


@asynccontextmanager
async def auth_of(config: Config) -> AsyncIterator[Auth]:
    async with streams_of(config) as streams:
        auth = Auth(config, streams, Feed(streams))
        try:
            yield auth
        finally:
            await auth.close()


def test_sign_ins_that_wait_for_bcrypt_are_so_many_and_no_more(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "HASHES", 5)

    async def scenario() -> list[Any]:
        async with auth_of(config) as auth:
            calls = (auth._work(lambda: time.sleep(0.01)) for _ in range(20))
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert auth._hashing == 0
            return done

    done = run(scenario())
    assert done[:5] == [None] * 5
    assert [type(each) for each in done[5:]] == [errors.Unavailable] * 15


def test_nobody_waits_for_bcrypt_for_ever(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "HASH_S", 0.05)

    async def scenario() -> None:
        async with auth_of(config) as auth:
            block = asyncio.create_task(auth._work(lambda: time.sleep(0.5)))
            others = [asyncio.create_task(auth._work(lambda: None)) for _ in range(4)]
            done = await asyncio.gather(block, *others, return_exceptions=True)
            assert isinstance(done[0], TimeoutError)
            assert auth._hashing == 0

    run(scenario())


def test_an_address_leaves_no_more_names_in_redis_than_it_has_tries(
    start_server: Callable[..., harness.Server],
) -> None:
    server = start_server(QUARTCHAT_RATE_LIMITS="on")
    client = server.client()
    for number in range(80):
        body = {"username": f"nobody{number}", "password": "wrong horse"}
        assert client.post("/api/login", body).status_code == (401 if number < 60 else 429)
    with harness.inside(server.redis_url) as inside:
        assert len(list(inside.scan_iter("*login-name*"))) == 60


def test_a_user_has_so_many_tokens_and_no_more(server: harness.Server) -> None:
    ann = server.user("ann")
    names = [{"name": f"t{number}"} for number in range(authentication.TOKENS_PER_USER + 8)]
    with ThreadPoolExecutor(8) as pool:
        codes = Counter(a.status_code for a in pool.map(partial(ann.post, "/api/tokens"), names))
    assert codes == {201: authentication.TOKENS_PER_USER, 422: 8}


def test_a_cookie_that_is_too_long_is_not_remembered(server: harness.Server) -> None:
    ann = server.user("ann")
    for length in (10, 1000):
        cookie = f"{ann.cookies}; other={'x' * length}"
        assert server.client().http.get("/api/me", headers={"Cookie": cookie}).status_code == 200


# -- connections


def test_a_head_has_so_many_bytes_and_no_more(server: harness.Server) -> None:
    # What one read brings, 64 KiB, may be a whole head; in pieces it may not be that long.
    for length, status in ((http_heads.HEAD_BYTES // 2, b"200"), (100 << 10, b"431")):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.settimeout(harness.WAIT_S)
            filler = b"x" * length
            client.sendall(b"GET /login HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % filler)
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 " + status)


def test_heads_are_remembered_but_not_all() -> None:
    for number in range(2 * http_heads.REMEMBERED):
        head = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number
        assert http_heads.plain(head)
    before = http_heads._remembered.cache_info()
    assert before.currsize == http_heads.REMEMBERED
    filler = b"x" * http_heads.REMEMBERED_BYTES
    assert http_heads.plain(b"GET / HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % filler)
    assert http_heads._remembered.cache_info() == before


def test_what_is_encoded_once_for_many_is_kept_for_few() -> None:
    for number in range(2 * exchange.CHUNKS):
        assert exchange._chunk(b"%d" % number)
    for number in range(2 * connection.HEADS):
        assert connection._encoded((("X-Number", str(number)),))
    for number in range(2 * metrics.KINDS):
        metrics.request("GET", "/", number)
    assert exchange._chunk.cache_info().currsize == exchange.CHUNKS
    assert connection._encoded.cache_info().currsize == connection.HEADS
    assert metrics.request.cache_info().currsize == metrics.KINDS
    metrics.REQUESTS.clear()
    metrics.request.cache_clear()


def test_who_changes_a_message_waits_for_others_but_not_for_ever(
    config: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "WAIT_S", 0.05)
    monkeypatch.setattr(edits, "LOCKS", 1)

    async def scenario() -> None:
        async with streams_of(config) as streams:
            changes = edits.Edits(Chat(config, streams, Feed(streams)), streams)
            asked = edits.Asked(User(UserId(1), "ann", "Ann", ""), LOBBY, 1, lambda _: None)
            async with changes._locks[0]:
                with pytest.raises(TimeoutError):
                    await changes._change(asked)
            with pytest.raises(errors.NotFound):  # it is its turn: there is no such message
                await changes._change(asked)

    run(scenario())


def test_connections_that_nobody_takes_are_so_many_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("each kernel counts its own way")
    monkeypatch.setattr(listener, "BACKLOG", 4)
    with listener.listen(Config(port=0)) as opened:
        clients = []
        for _ in range(10):
            client = socket.socket()
            client.settimeout(0.2)
            clients.append((client, client.connect_ex(opened.getsockname())))
        assert 4 <= sum(code == 0 for _, code in clients) <= 6
        for client, _ in clients:
            client.close()
