"""The Redis side: keys, scripts, append, read, tail, trim; the one place that names a key.

Invariants: a room's numbers have no hole, an entry `<n>-0` of a room stream is event n for
ever, and nothing is removed that is not in SQL. It knows nothing of users' rights or of SQL.

    room:{p}:<id>   stream   the room's events: the last window, and all not yet archived
    meta:{p}:<id>   hash     n last number, m messages so far, archived, seeded (ms),
                             epoch of the master that was seeded,
                             r<user> = "<n>:<m>" where the user's own sends moved the marker,
                             o<user> = the number of the event of leaving, until a joining:
                             who is out appends no message any more,
                             forgotten: no change after this one is known to SQL alone
    state:{p}:<id>  hash     messages that were changed, as they stand: JSON by id
    order:{p}:<id>  zset     the same messages' ids by the number of the last change
    sent:{p}:<room>:<author>:<key>  string   "<n>:<hash>", the fast half of idempotency
    feed:{p}        stream   everything that happens in the partition, and control entries
    texts:{p}: see `group`; live:{p} and who is online: see `live`
"""

import asyncio
from binascii import crc32
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec
from redis import exceptions

from quartchat import engines, events, group, live, records
from quartchat.events import Control, Event, FeedId, Position, RoomId, UserId
from quartchat.group import Lane
from quartchat.records import SENT_TTL_S, Appended, Draft, Head, Standing
from quartchat.signals import Signal

TAIL = 1000  # entries of one read: about what one flush can carry; more waits in Redis
OWN_KEY_TTL_S = 120  # the same for keys that we made, which only our own retries use
BACKLOG = 50_000  # entries that may wait for the archive; past it posting answers 503

Seen = tuple[bytes, list[Event]]  # up to where changes may be known to SQL alone; events
States = dict[int, Standing]  # by message

__all__ = ["SENT_TTL_S", "Appended", "Draft", "Streams"]  # the first two are of `records`

_lua = {path.stem: path.read_text() for path in Path(__file__).with_name("lua").glob("*.lua")}
_scripts = {name: _lua["epoch"] + text for name, text in _lua.items()}


class Streams:
    """One process's access to the streams of all partitions."""

    def __init__(self, url: str, partitions: int, *, replicated: bool = False) -> None:
        self.partitions = partitions
        self._redis = engines.connect(url)
        # Of a cluster each partition is read by itself, since two may be on two nodes.
        self.everything: Lane = tuple(range(partitions))
        self.lanes = engines.lanes(self._redis, self.everything)
        # A cancelled command can leave a connection one reply behind (redis-py#2624), and a
        # blocked one is held for a second: the tail has a client of its own.
        self._tail = engines.connect(url, connections=1 + len(self.lanes))
        run = partial(engines.pipelined, self._redis)
        self._trims = run(_scripts["trim"], replicated=False)
        # What these say, or do, no failover takes back, where that is asked for.
        kept = ("append", "snapshot", "states")
        self._kept = {name: run(_scripts[name], replicated=replicated) for name in kept}
        self._script = {name: self._redis.register_script(text) for name, text in _scripts.items()}
        self.live = live.Live(self._redis, self.partition)
        self.group = group.Group(self._redis, self._tail, partitions, replicated=replicated)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._redis.aclose()
        await self._tail.aclose()

    async def ping(self) -> None:
        """Raise one of `AWAY` unless Redis answers."""
        await self._redis.ping()

    def partition(self, room_id: RoomId) -> int:
        """Return the partition that a room hashes into."""
        return crc32(str(room_id).encode()) % self.partitions if self.partitions > 1 else 0

    def _key(self, kind: str, room_id: RoomId) -> str:
        return f"{kind}:{{{self.partition(room_id)}}}:{room_id}"

    def _keys(self, room_id: RoomId) -> list[str]:
        return [self._key("meta", room_id), self._key("room", room_id)]

    def _states(self, room_id: RoomId) -> list[str]:
        return [self._key("state", room_id), self._key("order", room_id)]

    def _changes(self, room_id: RoomId) -> list[str]:
        return [*self._states(room_id), group.texts_key(self.partition(room_id))]

    # -- writing

    async def append(self, draft: Draft) -> Appended:
        """Give an event its number, store it, feed it, remember its key: safe to repeat."""
        room_id, change = draft.room_id, draft.change
        reply = await self._kept["append"].call(
            [
                self._key("meta", room_id),
                f"{self._key('sent', room_id)}:{draft.author_id}:{draft.key}",
                self._key("room", room_id),
                group.key(self.partition(room_id)),
                *(() if change is None else self._changes(room_id)),
            ],
            [
                room_id,
                draft.type,
                draft.rest,
                draft.digest,
                draft.key_ttl_s,
                "" if draft.sent_ms is None else draft.sent_ms,
                2 * group.WINDOW + BACKLOG,
                draft.author_id,
                *(() if change is None else records.change_arguments(change)),
            ],
        )
        return records.appended(*reply)

    async def seed(
        self,
        room_id: RoomId,
        n: int,
        messages: int,
        lost: Sequence[Event] = (),
        changed: Iterable[tuple[int, int, bytes]] = (),
        *,
        tell: bool = False,
    ) -> int | None:
        """Tell Redis where a room stands in SQL; does nothing where it knows as much.

        Returns a number if Redis holds the room up to there alone: call again, with the
        events after it, which it has `lost`, and (id, last change, JSON) of the messages that
        these have `changed`. `tell`: every process hears of it on the feed.
        """
        told = msgspec.json.encode(Control("lost", events.NOBODY, room_id=room_id))
        feed = group.key(self.partition(room_id))
        outcome, *gap = await self._script["seed"](
            keys=[*self._keys(room_id), feed, *self._changes(room_id)],
            args=[
                n,
                messages,
                told.removesuffix(b"}") if tell else "",
                len(lost),
                *(part for event in lost for part in (event.n, event.type, event.data)),
                *(part for state in changed for part in state),
            ],
        )
        return gap[0] if outcome == b"gap" else None

    async def outbid(self, partition: int, feed: FeedId) -> None:
        """Let a feed that lost its end go on above an id that somebody has seen."""
        control = msgspec.json.encode(Control("lost", events.NOBODY))
        try:
            above = events.unpack(FeedId(feed + 1))
            await self._redis.xadd(group.key(partition), {"c": control}, id=above)
        except exceptions.ResponseError as error:
            if "equal or smaller" not in str(error):  # else: another process was faster
                raise

    async def control(self, control: Control, partition: int = 0) -> None:
        """Put a control entry on the feed; every process hears of it within a second."""
        if control.room_id is not None:
            partition = self.partition(control.room_id)
        await self._redis.xadd(group.key(partition), {"c": msgspec.json.encode(control)})

    async def mark(self, room_id: RoomId, user_id: UserId, n: int, messages: int) -> None:
        """Move a user's read marker forward; never back."""
        await self._script["mark"](
            keys=[self._key("meta", room_id)], args=[f"r{user_id}", n, messages]
        )

    # -- reading

    async def read(self, room_id: RoomId, after: int, limit: int) -> list[Event]:
        """Return up to `limit` of a room's events with numbers above `after`, ascending."""
        entries = await self._redis.xrange(
            self._key("room", room_id), min=f"{after + 1}-0", count=limit
        )
        return [records.room_event(room_id, *entry) for entry in entries]

    async def look(self, room_id: RoomId, after: int, limit: int) -> Seen:
        """Return the same, but messages as they stand now."""
        return await self._look(room_id, "XRANGE", f"{after + 1}-0", "+", limit)

    async def replay(self, room_id: RoomId, after: int, limit: int) -> Seen:
        """Return events as `read` does, but what is deleted by now without its text."""
        return await self._look(room_id, "XRANGE", f"{after + 1}-0", "+", limit, "log")

    async def look_back(self, room_id: RoomId, before: int | None, limit: int) -> Seen:
        """Return up to `limit` events below `before` (None: the newest), descending.

        Messages are as they stand now.
        """
        top = "+" if before is None else f"{max(before - 1, 0)}-0"
        return await self._look(room_id, "XREVRANGE", top, "-", limit)

    async def _look(self, room_id: RoomId, *arguments: str | int) -> Seen:
        keys = [*self._keys(room_id), *self._states(room_id)]
        forgotten, entries = await self._script["look"](keys=keys, args=arguments)
        return forgotten, [
            records.room_event(room_id, entry_id, {b"t": kind, b"d": data})
            for entry_id, (_, kind, _, data) in entries
        ]

    async def states(
        self, room_id: RoomId, ids: Sequence[int], *, kept: bool = False
    ) -> tuple[bytes, States]:
        """Return what Redis knows of changed messages; of those that changed later, all.

        Later means: after the number that comes in front. `kept`: where only what a replica has
        is acknowledged, wait until it has all of this.
        """
        keys = [self._key("meta", room_id), *self._states(room_id)]
        ask = self._kept["states"].call if kept else self._script["states"]
        forgotten, found = await ask(keys, list(ids))
        return forgotten, {int(n): Standing(data, v, forgotten) for n, v, data in found}

    async def snapshot(
        self, rooms: Sequence[RoomId], user_id: UserId, *, kept: bool = False
    ) -> tuple[Position, dict[RoomId, Head]]:
        """Return the feeds' last ids and the rooms' heads, per partition of one moment.

        A room that Redis does not know is missing from the answer. `kept` as above.
        """
        by_partition: dict[int, list[RoomId]] = {p: [] for p in range(self.partitions)}
        for room_id in rooms:
            by_partition[self.partition(room_id)].append(room_id)
        ask = self._kept["snapshot"].call if kept else self._script["snapshot"]
        replies = await asyncio.gather(
            *(
                ask([group.key(p), *(self._key("meta", id_) for id_ in ids)], [f"r{user_id}"])
                for p, ids in by_partition.items()
            )
        )
        heads = {
            room_id: records.head(*fields[:3])
            for ids, (_, found) in zip(by_partition.values(), replies, strict=True)
            for room_id, fields in zip(ids, found, strict=True)
            if fields[0] is not None
        }
        return tuple(events.pack(last) for last, _ in replies), heads

    async def position(self, lane: Lane | None = None, *, kept: bool = False) -> Position:
        """Return the last id of every feed, or of some; `kept` as above."""
        ask = self._kept["snapshot"].call if kept else self._script["snapshot"]
        lane = self.everything if lane is None else lane
        replies = await asyncio.gather(*(ask([group.key(p)], [""]) for p in lane))
        return tuple(events.pack(last) for last, _ in replies)

    async def tail(
        self, position: Position, heard: dict[int, FeedId], lane: Lane
    ) -> tuple[list[tuple[int, Event | Control]], list[Signal]]:
        """Wait up to `group.BLOCK_S` for (partition, entry) after `position`, in feed order.

        Also for signals after the places in `heard`, which move on.
        """
        feeds = {group.key(p): events.unpack(position[p]) for p in lane}
        lives = {live.key(p): events.unpack(heard[p]) for p in lane}
        reply = await self._tail.xread(feeds | lives, count=TAIL, block=int(group.BLOCK_S * 1000))
        found: list[Signal] = []
        for p in lane:
            if (signals := reply.get(live.key(p).encode())) is not None:
                heard[p], more = live.read(signals)
                found += more
        entries = [
            (partition, records.feed_entry(*entry))
            for partition in lane
            for entry in reply.get(group.key(partition).encode(), ())
        ]
        return entries, found

    async def read_feed(self, partition: int, after: FeedId, limit: int) -> list[Event | Control]:
        """Return up to `limit` feed entries after `after`."""
        entries = await self._redis.xrange(
            group.key(partition), min=f"({events.unpack(after)}", count=limit
        )
        return [records.feed_entry(*entry) for entry in entries]

    async def trimmed(self, partition: int) -> FeedId:
        """Return the id below and at which nothing is left of the feed: SQL holds all of that."""
        try:
            info = await self._redis.xinfo_stream(group.key(partition))
        except exceptions.ResponseError:  # no such key: nothing has happened yet
            return FeedId(0)
        if info["first-entry"] is None:
            return events.pack(info["last-generated-id"])
        return FeedId(events.pack(info["first-entry"][0]) - 1)

    # -- letting go

    async def trim(self, room_id: RoomId, archived: int, window: int) -> None:
        """Note that SQL holds a room up to `archived`; keep `window` here, but no deleted text."""
        keys = [*self._keys(room_id), *self._changes(room_id)]
        await self._trims.call(keys, [archived, window])

    async def remove(self, room_id: RoomId) -> None:
        """Forget a room; what is still appended to it is refused, once SQL is asked about it."""
        await self._redis.delete(*self._keys(room_id), *self._states(room_id))
