"""The Redis side of the archive: the workers as one consumer group of each feed.

What was delivered to a worker and is not acknowledged is pending, and may be claimed by
another; a feed is cut only below that.

    feed:{p}        stream   everything that happens in the partition, and control entries
    texts:{p}       hash     by room "<feed id>:<n>:<text>": event n deleted a message, and the
                             room's stream may hold texts of deleted ones up to event `text`
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import exceptions

from quartchat import events, records, replicas
from quartchat.events import Control, Event, FeedId, RoomId

# A read waits so long for news; must stay below redis_client.TIMEOUT_S.
BLOCK_S = 1.0
WINDOW = 5_000  # entries a feed keeps once archived; it is cut when it has twice as many
NAME = "archive"

Lane = tuple[int, ...]  # partitions that are read by one command
Taken = list[tuple[int, list[Event | Control]]]  # entries per partition

_lua = Path(__file__).with_name("lua")


def key(partition: int) -> str:
    """Return the name of a partition's feed."""
    return f"feed:{{{partition}}}"


def texts_key(partition: int) -> str:
    """Return the name of the list of rooms whose streams are to be rid of deleted texts."""
    return f"texts:{{{partition}}}"


class GroupLostError(Exception):
    """Redis was emptied, and knows of no group any more; `join` makes it anew."""


class Group:
    """One process's access to the group; `tail` is the client for commands that wait."""

    def __init__(
        self, client: Any, tail: Any, partitions: int, *, replicated: bool = False
    ) -> None:
        self._redis = client
        self._tail = tail
        self._partitions = partitions
        self._replicated = replicated
        self._archived = client.register_script((_lua / "archived.lua").read_text())

    async def join(self, partition: int) -> None:
        """Make the consumer group where it is missing, from the feed's first entry."""
        try:
            await self._redis.xgroup_create(key(partition), NAME, id="0", mkstream=True)
        except exceptions.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def take(self, consumer: str, limit: int, lane: Lane) -> Taken:
        """Wait up to `BLOCK_S` for entries that no worker has had, per partition."""
        with _missed():
            reply = await self._tail.xreadgroup(
                NAME,
                consumer,
                {key(p): ">" for p in lane},
                count=limit,
                block=int(BLOCK_S * 1000),
            )
        found = ((p, reply.get(key(p).encode())) for p in lane)
        return [
            (p, [records.archive_entry(*entry) for entry in entries])
            for p, entries in found
            if entries
        ]

    async def kept(self, ends: Mapping[int, FeedId]) -> set[int]:
        """Wait until no failover can take back what was read of one lane, up to these places.

        Returns the partitions of which none has. That is where only what a replica has is
        acknowledged; elsewhere nothing is waited for. Raises `UnconfirmedError`.
        """
        if not ends or not self._replicated:
            return set(ends)
        asked = {key(p): events.unpack(end) for p, end in ends.items()}
        held = await replicas.have(self._redis, asked)
        if len(held) < len(ends):
            await replicas.part(self._tail)
        return {p for p in ends if key(p) in held}

    async def claim(
        self, partition: int, consumer: str, idle_s: float, limit: int
    ) -> list[Event | Control]:
        """Take over entries that another worker has held for `idle_s` without archiving them."""
        with _missed():
            _, entries, *_ = await self._redis.xautoclaim(
                key(partition), NAME, consumer, int(idle_s * 1000), count=limit
            )
        return [records.archive_entry(*entry) for entry in entries]

    async def archived(self, partition: int, entries: Iterable[Event | Control]) -> FeedId:
        """Acknowledge what SQL now holds; return the first feed id that it may not hold.

        Also cuts the feed, once it is twice its window, below that id and its window.
        """
        with _missed():
            reply = await self._archived(
                keys=[key(partition)],
                args=[NAME, WINDOW, *(events.unpack(entry.feed) for entry in entries)],
            )
        return events.pack(reply)

    async def deletions(self, partition: int) -> dict[RoomId, tuple[FeedId, int]]:
        """Return the last deletion of each room whose stream may hold the text."""
        found = await self._redis.hgetall(texts_key(partition))
        split = {RoomId(int(room)): value.split(b":") for room, value in found.items()}
        return {room: (events.pack(feed), int(n)) for room, (feed, n, _) in split.items()}

    async def stored(self, partition: int) -> FeedId:
        """Return the place up to which SQL holds all that the feed brought."""
        try:
            pending = await self._redis.xpending(key(partition), NAME)
            [group] = await self._redis.xinfo_groups(key(partition))
        except exceptions.ResponseError:  # nothing has happened yet, or no worker has begun
            return FeedId(0)
        if pending["pending"]:
            return FeedId(events.pack(pending["min"]) - 1)
        return events.pack(group["last-delivered-id"])

    async def backlog(self) -> int:
        """Return how many entries wait for the archive, delivered to a worker or not."""
        total = 0
        for partition in range(self._partitions):
            try:
                groups = await self._redis.xinfo_groups(key(partition))
            except exceptions.ResponseError:  # no feed yet
                continue
            total += sum((group.get("lag") or 0) + group["pending"] for group in groups)
        return total


@contextmanager
def _missed() -> Iterator[None]:
    """Say by an error of its own that the group is missing."""
    try:
        yield
    except exceptions.ResponseError as error:
        if "NOGROUP" in str(error):
            raise GroupLostError(str(error)) from error
        raise
