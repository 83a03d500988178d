"""The hub from inside: what no client can bring about at will, such as a gap in the feed."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import harness
import msgspec
import pytest
from rolling import until

from quartchat import store
from quartchat.config import Config
from quartchat.events import NOBODY, Control, Event, FeedId, RoomId, UserId
from quartchat.feed import Feed
from quartchat.feed_reader import FeedReader
from quartchat.hub import Hub
from quartchat.store import accounts, rooms
from quartchat.store import events as archive
from quartchat.store.events import Archived
from quartchat.stream import Streams

LOBBY = RoomId(1)


def event(n: int, feed: int | None = None) -> Event:
    """Event n of the lobby, at place 100 + n of the feed, or where else it is said."""
    return Event(LOBBY, n, "message", b'{"id":%d}' % n, FeedId(feed or 100 + n), n)


class Listener:
    """An ASGI `send` that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent = b""

    async def send(self, message: dict[str, Any]) -> None:
        self.sent += message.get("body", b"")

    @property
    def ids(self) -> list[int]:
        return [int(n) for n in re.findall(rb'data: {"id":(\d+)}', self.sent)]


def ready(reader: FeedReader) -> Any:
    """What a stream begins with."""
    return json.loads(re.search(rb"event: ready\ndata: (.*)", reader._opening())[1])  # type: ignore[index]


@asynccontextmanager
async def hub_of(config: Config, ann: str = "ann") -> AsyncIterator[tuple[Hub, Streams, UserId]]:
    """A hub whose feed the test itself speaks for, from place 100 on."""
    await store.migrate(config.database_url)
    store.open_database(config.database_url)
    user = await store.run(accounts.add_account, ann, ann, "x")
    await store.run(rooms.add_room, user.id, "lobby", "", "public")
    await store.run(accounts.add_session, user.id, "session", "cookie", "")
    streams = Streams(config.redis_url, 1)
    await streams.seed(LOBBY, 0, 0)
    hub = Hub(config, streams, Feed(streams))
    hub._begin((FeedId(100),))
    hub.start()
    try:
        yield hub, streams, user.id
    finally:
        await hub.stop()
        await streams.close()
        await store.close_database()


async def put(streams: Streams, n: int, feed: int | None = None) -> None:
    """Append an event to Redis under a place of our choice."""
    fields = {"r": LOBBY, "n": n, "m": n, "t": "message", "d": event(n).data}
    await streams._redis.xadd("feed:{0}", fields, id=f"0-{event(n, feed).feed}")
    await streams._redis.xadd(
        f"room:{{0}}:{LOBBY}", {"t": "message", "d": event(n).data}, id=f"{n}-0"
    )
    await streams._redis.hset(f"meta:{{0}}:{LOBBY}", mapping={"n": n, "m": n})


@pytest.mark.parametrize("which", ["room", "all rooms"])
@pytest.mark.parametrize("pause_s", [0, 0.2], ids=["news at once", "news later"])
def test_what_happened_in_a_gap_of_the_feed_comes_before_what_follows_it(
    valkey: harness.Valkey, database: str, pause_s: float, which: str
) -> None:
    config = Config(redis_url=valkey.url(), database_url=database)

    async def scenario() -> list[int]:
        async with hub_of(config) as (hub, streams, ann):
            await put(streams, 1)
            reader = (
                await hub.open_room("session", ann, LOBBY, "0", lambda: asyncio.sleep(0))
                if which == "room"
                else await hub.open_feed("session", ann, f"{100:x}")
            )
            listener = Listener()
            start = {"type": "http.response.start"}
            serving = asyncio.create_task(reader.serve(listener.send, start))
            await asyncio.sleep(0.05)
            hub.publish([(0, event(1))])
            await until(lambda: listener.ids == [1])
            # A silence: 2 to 5 happen, are archived and trimmed, and the feed begins behind them.
            batch = [Archived(event(n), ann, None) for n in range(1, 6)]
            await store.run(archive.add_events, batch)
            await streams._redis.delete("feed:{0}", f"room:{{0}}:{LOBBY}")
            await put(streams, 6)
            hub._begin((FeedId(105),))
            await asyncio.sleep(pause_s)
            hub.publish([(0, event(6))])
            await until(lambda: listener.ids[-1:] == [6])
            await asyncio.sleep(0.1)  # what comes twice comes now
            reader.close()
            await asyncio.wait([serving], timeout=1)
            return listener.ids

    assert asyncio.run(scenario()) == [1, 2, 3, 4, 5, 6]


def test_what_redis_has_before_the_feed_brings_it_is_neither_lost_nor_doubled(
    valkey: harness.Valkey, database: str
) -> None:
    config = Config(redis_url=valkey.url(), database_url=database)

    async def scenario() -> tuple[list[int], bytes]:
        async with hub_of(config) as (hub, streams, ann):
            for n in (1, 2, 3):
                await put(streams, n)
            hub.publish([(0, event(1))])  # in memory; 2 and 3 are still on their way
            reader = await hub.open_room("session", ann, LOBBY, "1", lambda: asyncio.sleep(0))
            listener = Listener()
            serving = asyncio.create_task(
                reader.serve(listener.send, {"type": "http.response.start"})
            )
            await asyncio.sleep(0.1)
            for n in (2, 3, 4):
                hub.publish([(0, event(n))])
            await until(lambda: listener.ids[-1:] == [4])
            await asyncio.sleep(0.1)  # what comes twice comes now
            reader.close()
            await asyncio.wait([serving], timeout=1)
            return listener.ids, listener.sent

    ids, sent = asyncio.run(scenario())
    assert ids == [2, 3, 4]
    assert b"reset" not in sent


SEEDED = Control("lost", NOBODY, feed=FeedId(110), room_id=LOBBY)  # what another master says


@pytest.mark.parametrize(
    ("had", "stands_at", "told"),
    [
        (1, 1, False),  # Redis restarted, and has all that it had
        (2, 1, True),  # it has lost the event that this reader had as the second one
    ],
    ids=["nothing lost", "one event lost"],
)
def test_who_is_ahead_of_the_feed_when_redis_restarts_is_reset_only_if_it_had_what_is_lost(
    valkey: harness.Valkey, database: str, had: int, stands_at: int, told: bool
) -> None:
    config = Config(redis_url=valkey.url(), database_url=database)

    async def scenario() -> tuple[list[int], bytes]:
        async with hub_of(config) as (hub, streams, ann):
            for n in range(1, had + 1):
                await put(streams, n)
            reader = await hub.open_room("session", ann, LOBBY, "0", lambda: asyncio.sleep(0))
            listener = Listener()
            serving = asyncio.create_task(
                reader.serve(listener.send, {"type": "http.response.start"})
            )
            hub.publish([(0, event(n)) for n in range(1, had + 1)])
            await asyncio.sleep(0.1)
            # The feed does not come through. Meanwhile the room was seeded at place 110, and 2
            # and 3 are appended behind that; a reader of another process comes with them.
            await streams._redis.delete(f"room:{{0}}:{LOBBY}")
            await put(streams, 1, 109)
            for n in (2, 3):
                await put(streams, n, 109 + n)
            other = await hub.open_room("session", ann, LOBBY, "3", lambda: asyncio.sleep(0))
            hub._flush.unlive(reader)  # as when its socket was full: it reads a page
            await until(lambda: listener.ids[-1:] == [3])
            seeded = msgspec.structs.replace(SEEDED, n=stands_at)
            hub.publish([(0, seeded), (0, event(2, 111)), (0, event(3, 112)), (0, event(4, 113))])
            await until(lambda: b"event: reset" in listener.sent if told else 4 in listener.ids)
            await asyncio.sleep(0.1)  # what comes twice comes now
            other.abandon()
            reader.close()
            await asyncio.wait([serving], timeout=1)
            return listener.ids, listener.sent

    ids, sent = asyncio.run(scenario())
    assert (b"event: reset" in sent) == told
    if not told:
        assert ids == [1, 2, 3, 4]


def test_a_crowd_that_opens_streams_of_all_rooms_shares_its_look_ups(
    valkey: harness.Valkey, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(redis_url=valkey.url(), database_url=database)
    queries: list[int] = []
    memberships = rooms.memberships

    def counted(user_ids: Collection[UserId]) -> dict[UserId, dict[RoomId, int]]:
        queries.append(len(user_ids))
        return memberships(user_ids)

    async def scenario() -> list[Any]:
        async with hub_of(config) as (hub, streams, ann):
            calls = []
            snapshot = streams.snapshot

            async def asked(room_ids: Sequence[RoomId], user_id: UserId, **options: Any) -> Any:
                calls.append(set(room_ids))
                return await snapshot(room_ids, user_id, **options)

            monkeypatch.setattr(streams, "snapshot", asked)
            people, attics = [ann], {ann: LOBBY}
            for number in range(119):
                bob = await store.run(accounts.add_account, f"bob{number}", "Bob", "x")
                attic = await store.run(rooms.add_room, bob.id, f"attic {number}", "", "public")
                await streams.seed(attic.id, 0, 0)
                people.append(bob.id)
                attics[bob.id] = attic.id
            monkeypatch.setattr(rooms, "memberships", counted)
            opened = await asyncio.gather(*(hub.open_feed("session", who, None) for who in people))
            assert [set(reader.joined) for reader in opened] == [{attics[who]} for who in people]
            for reader in opened:
                assert [room["id"] for room in ready(reader)["rooms"]] == list(reader.joined)
                reader.abandon()
            return calls

    calls = asyncio.run(scenario())
    assert queries == [20] * 6  # `memberships.USERS_AT_ONCE`
    assert sum(map(len, calls)) == 120
    assert len(calls) <= 12
