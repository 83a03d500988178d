"""The hub from inside: what no client can bring about at will, such as a gap in the feed."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import harness
import pytest

from quartchat import store
from quartchat.config import Config
from quartchat.events import Event, FeedId, RoomId, UserId
from quartchat.feed import Feed
from quartchat.hub import Hub
from quartchat.store import accounts, rooms
from quartchat.store import events as archive
from quartchat.store.events import Archived
from quartchat.stream import Streams

LOBBY = RoomId(1)


def event(n: int) -> Event:
    """Event n of the lobby, at place 100 + n of the feed."""
    return Event(LOBBY, n, "message", b'{"id":%d}' % n, FeedId(100 + n), n)


class Listener:
    """An ASGI `send` that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent = b""

    async def send(self, message: dict[str, Any]) -> None:
        self.sent += message.get("body", b"")

    @property
    def ids(self) -> list[int]:
        return [int(n) for n in re.findall(rb'data: {"id":(\d+)}', self.sent)]


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


async def put(streams: Streams, n: int) -> None:
    """Append an event to Redis under a place of our choice."""
    fields = {"r": LOBBY, "n": n, "m": n, "t": "message", "d": event(n).data}
    await streams._redis.xadd("feed:{0}", fields, id=f"0-{event(n).feed}")
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
            await asyncio.sleep(0.1)
            # A silence: 2 to 5 happen, are archived and trimmed, and the feed begins behind them.
            batch = [Archived(event(n), ann, None) for n in range(1, 6)]
            await store.run(archive.add_events, batch)
            await streams._redis.delete("feed:{0}", f"room:{{0}}:{LOBBY}")
            await put(streams, 6)
            hub._begin((FeedId(105),))
            await asyncio.sleep(pause_s)
            hub.publish([(0, event(6))])
            await asyncio.sleep(0.4)
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
            await asyncio.sleep(0.3)
            reader.close()
            await asyncio.wait([serving], timeout=1)
            return listener.ids, listener.sent

    ids, sent = asyncio.run(scenario())
    assert ids == [2, 3, 4]
    assert b"reset" not in sent
