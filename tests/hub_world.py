"""A hub over a real Redis and a real SQL, whose feed, worker and clients a test turns by hand.

Nothing of ours is played. What is, is the network: a `Socket` has room for so many bytes.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from hub_model import Client, Log

from quartchat import errors, group, history, records, store
from quartchat.chat import Chat
from quartchat.config import Config
from quartchat.events import Control, Event, FeedId, Position, RoomId, User, UserId, unpack
from quartchat.feed import Feed
from quartchat.group import Lane
from quartchat.hub import Hub
from quartchat.readers import Reader
from quartchat.signals import Signal
from quartchat.store import accounts, rooms
from quartchat.store import events as archive
from quartchat.store.events import Archived
from quartchat.stream import Draft, Streams

WIDE = 1 << 30  # bytes: a socket that is never full
SETTLE_S = 10.0  # in which all that was heard must have gone out
LET_GO_S = 5.0  # in which a client that went away must be forgotten; a heartbeat takes longer
numbers = itertools.count(1)
Hearing = Literal["all", "a little", "wakes"]
Thing = Literal["session", "move"] | tuple[int, int]  # or a message: its room and its size


class Socket:
    """The network between an ASGI `send` and its client, with room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.arrived = b""
        self._gone = False
        self._lock = asyncio.Lock()  # a server holds one while it writes
        self._moved = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        async with self._lock:
            rest = message.get("body", b"")
            while True:
                if self._gone:
                    raise ConnectionResetError
                self.arrived += rest[: self.room]
                rest, self.room = rest[self.room :], max(0, self.room - len(rest))
                if not rest:
                    return
                self._moved.clear()
                await self._moved.wait()

    def make_room(self, size: int) -> None:
        self.room = size
        self._moved.set()

    def cut(self) -> None:
        self._gone = True
        self._moved.set()


class Slow(Streams):
    """A tail that brings so many entries at once, and leaves the rest for later."""

    at_once = 1000

    async def tail(
        self, position: Position, heard: dict[int, FeedId], lane: Lane
    ) -> tuple[list[tuple[int, Event | Control]], list[Signal]]:
        entries, told = await super().tail(position, heard, lane)
        return entries[: self.at_once], told


@dataclass
class Connection:
    """One connection of a client."""

    reader: Reader
    socket: Socket
    serving: "asyncio.Task[bool]"
    may_end: bool = False


class World:
    """One web process, and the worker and the clients around it."""

    def __init__(self, config: Config, streams: Slow) -> None:
        self.streams = streams
        self._config = config
        self._arise()
        self.rooms: list[RoomId] = []  # ann's, and one of bob's that she joins and leaves
        self.log = Log(streams.partitions, UserId(0))
        self.archived = [0] * streams.partitions  # entries of each feed that SQL holds
        self.cut = [0] * streams.partitions  # and those that Redis holds no more
        self._past = self.cut  # and did not when the process began
        self.open: dict[Client, Connection] = {}
        self._known = [FeedId(0)] * streams.partitions
        self._gone: list[Connection] = []  # whose client has left, noticed or not

    async def begin(self) -> None:
        self.ann, self.bob = [await self._account(name) for name in ("ann", "bob")]
        self.log.ann = self.ann.id
        self._known = list(await self.streams.position())
        for owner in (self.ann, self.ann, self.bob):
            name = f"room {next(numbers)}"
            room_id = (await store.run(rooms.add_room, owner.id, name, "", "public")).id
            await self.streams.seed(room_id, 0, 0)
            self.rooms.append(room_id)
            partition = self.streams.partition(room_id)
            self.log.add_room(room_id, partition, joined=owner is self.ann)
        await self._start()

    def _arise(self) -> None:
        self.feed = Feed(self.streams)
        self.chat = Chat(self._config, self.streams, self.feed)
        self.hub = Hub(self._config, self.streams, self.feed)

    async def _start(self) -> None:
        self._past = list(self.cut)
        for lane in self.streams.lanes:
            await self.feed._check_gap(lane)  # the first time: the feeds' present ends
        self.hub.start()

    async def _account(self, name: str) -> User:
        name = f"{name} {next(numbers)}"
        user = await store.run(accounts.add_account, name, name, "x")
        await store.run(accounts.add_session, user.id, f"session of {user.id}", "cookie", "")
        return user

    # -- what others do

    async def happen(self, things: list[Thing]) -> None:
        """Something in each of some rooms, or elsewhere, one after the other."""
        for thing in things:
            if thing == "session":  # somebody's ends: an entry of the feed that is no event
                await self.streams.control(Control("session", UserId(0), session="nobody's"))
            elif thing == "move":
                await self._move()
            else:
                await self._say(self.rooms[thing[0]], thing[1])
        await self._note()

    async def _say(self, room_id: RoomId, size: int) -> None:
        rest = b',"room_id":%d,"body":"%s"}' % (room_id, b"x" * size)
        draft = Draft(room_id, self.bob.id, "message", rest, records.random_key(), "")
        if (await self.streams.append(draft)).outcome == "unseeded":  # Redis was emptied
            await history.seed(self.streams, room_id)
            assert (await self.streams.append(draft)).outcome == "new"

    async def _move(self) -> None:
        """Ann joins bob's room, or leaves it if she is in it."""
        await self._note()
        move = self.chat.leave if self.rooms[-1] in self.log.mine() else self.chat.join
        await move(self.ann, self.rooms[-1])

    async def _note(self) -> None:
        for partition, known in enumerate(self._known):
            for entry in await self.streams.read_feed(partition, known, 1000):
                self.log.add(partition, entry)
                self._known[partition] = entry.feed

    async def work(self, count: int, window: int, keep: int) -> None:
        """The worker commits the next `count` entries of each feed, and trims what it may.

        Redis keeps a window of each room, and of the feeds so much of what SQL holds.
        """
        for partition, entries in enumerate(self.log.feeds):
            start = self.archived[partition]
            self.archived[partition] = end = min(start + count, len(entries))
            found = [entry for entry in entries[start:end] if isinstance(entry, Event)]
            batch = [Archived(event, self.ann.id, None) for event in found]
            assert await store.run(archive.add_events, batch) == []
            for room_id, n in {event.room_id: event.n for event in found}.items():
                await self.streams.trim(room_id, n, window)
            self.cut[partition] = cut = max(self.cut[partition], end - keep)
            if cut:
                first = unpack(FeedId(entries[cut - 1].feed + 1))
                await self.streams._redis.xtrim(
                    group.key(partition), minid=first, approximate=False
                )

    async def empty(self) -> None:
        """Redis loses everything; SQL has it all, or it would be lost by definition."""
        await self.work(len(max(self.log.feeds, key=len)), 99, 99)
        await self.streams._redis.flushdb()
        self.cut = [len(entries) for entries in self.log.feeds]
        self.log.emptied = True

    # -- what the process does

    async def restart(self) -> None:
        """The process dies, and another one begins; its clients come back when they like."""
        for client in list(self.open):
            await self.drop(client, noticed=True)
        await self._forgotten()
        await self.hub.stop()
        self._arise()
        await self._start()

    async def hear(self, how: Hearing) -> None:
        """The feed brings what is new, or some of it, or after a silence; see `Feed._run`."""
        self.streams.at_once = 2 if how == "a little" else 1000
        for lane in self.streams.lanes:
            missed = any(
                self.cut[p] > self._past[p]
                and self.log.feeds[p][self.cut[p] - 1].feed > self.feed.position[p]
                for p in lane
            )
            if missed or how == "wakes":
                await self.feed._check_gap(lane)
            self.feed._hear(lane)
            if any(self._known[p] > self.feed.position[p] for p in lane):
                await self.feed._read(lane)

    async def beat(self, client: Client | None) -> None:
        """Heartbeats are due, and the end of one client's stream may be."""
        if client in self.open:
            self.open[client].reader.ends = 0
            self.open[client].may_end = True
        for reader in self.hub._here.everybody():
            self.hub._beats.discard(reader)
            self.hub._beat(reader)

    # -- what clients do

    async def connect(self, client: Client, room: int) -> None:
        """Open a stream at the client's cursor, over a socket with so much room."""
        client.connect(self.feed.position)
        session, room_id = f"session of {self.ann.id}", client.room_id
        if room_id is None:
            reader: Reader = await self.hub.open_feed(session, self.ann.id, client.cursor)
        else:
            allowed = partial(self.chat.seat, self.ann, room_id)
            opening = self.hub.open_room(session, self.ann.id, room_id, client.cursor, allowed)
            try:
                reader = await opening
            except errors.NotAMember:
                return
        socket = Socket(room)
        serving = asyncio.create_task(reader.serve(socket.send, {"type": "http.response.start"}))
        self.open[client] = Connection(reader, socket, serving)
        await asyncio.sleep(0)  # a request begins to write in the task that opened the stream

    async def lag(self, client: Client, room: int) -> None:
        """The client's socket has so much room from now on."""
        self.open[client].socket.make_room(room)

    async def drop(self, client: Client, noticed: bool) -> None:
        """The client goes away; the server may notice that only when it writes."""
        connection = self.open.pop(client)
        self._take(client, connection)
        connection.socket.cut()
        if noticed:
            connection.serving.cancel()
        self._gone.append(connection)

    def look(self) -> None:
        """Let every client read what has come; whose stream has ended is not connected."""
        for client, connection in list(self.open.items()):
            self._take(client, connection)
            if connection.serving.done():
                connection.serving.result()  # raises what it raised
                left = client.room_id is not None and self.log.leaves[client.room_id]
                assert connection.may_end or left, "a stream ended by itself"
                del self.open[client]

    def _take(self, client: Client, connection: Connection) -> None:
        arrived, connection.socket.arrived = connection.socket.arrived, b""
        client.take(arrived)

    async def settle(self) -> None:
        """Wait until every client that reads has all that the process has heard."""
        async with asyncio.timeout(SETTLE_S):
            while True:
                self.look()
                lacking = [
                    (client.room_id, client.due, lacks)
                    for client, connection in self.open.items()
                    if connection.socket.room > WIDE // 2
                    and ((lacks := client.lacks(self.feed.position)) or not client.ready)
                ]
                if not lacking:
                    return
                await asyncio.sleep(0.0005)  # not 0: the threads of SQLite need their turns

    async def end(self) -> None:
        """Everybody reads to the end, and leaves; the process keeps nothing of them."""
        for connection in self.open.values():
            connection.socket.make_room(WIDE)
        await self.hear("all")
        await self.settle()
        await asyncio.sleep(0.002)  # what comes twice comes now
        self.look()
        for client in list(self.open):
            await self.drop(client, noticed=True)
        await self._forgotten()

    async def _forgotten(self) -> None:
        """Whoever has left is let go, and nothing is kept of them."""
        for connection in self._gone:
            connection.serving.cancel()
        tasks = [connection.serving for connection in self._gone]
        _, left = await asyncio.wait(tasks, timeout=LET_GO_S) if tasks else ((), ())
        assert not left
        self._gone.clear()
        heads = self.hub._heads
        assert not any((self.hub._here.users, self.hub._here.rooms, heads._asked, heads._asking))
        assert not any((self.hub._flush._feeds, self.hub.recent.heads))

    async def stop(self) -> None:
        for connection in (*self.open.values(), *self._gone):
            connection.serving.cancel()
        self.open.clear()
        await self.hub.stop()


@contextmanager
def worlds(
    redis_url: str, database_url: str, partitions: int
) -> Iterator[tuple[asyncio.Runner, Callable[[], World]]]:
    """A loop, and what makes worlds in it over one Redis and one database."""
    config = Config(redis_url=redis_url, database_url=database_url, streams_per_user=0)
    with asyncio.Runner() as runner:
        runner.run(store.migrate(database_url))
        store.open_database(database_url)
        streams = Slow(redis_url, partitions)
        try:
            yield runner, partial(World, config, streams)
        finally:
            runner.run(streams.close())
            runner.run(store.close_database())
