"""Writing what is new to the readers that are live, in batches that grow with the load."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from time import perf_counter
from typing import TypeVar

import structlog

from quartchat import metrics
from quartchat.events import NEVER, Position, RoomId
from quartchat.feed_reader import FeedReader
from quartchat.readers import Reader
from quartchat.recent import Recent
from quartchat.room_reader import RoomReader

REST = 4  # after a flush the hub rests so many times as long as that took: so flushing takes
# a fifth of a core, however many processes share it,
MAX_REST_S = 0.12  # but it rests no longer than this
YIELD_EVERY = 200  # readers written to before other tasks get a turn
SHARED_BYTES = 16 << 20  # of one flush's chunks for readers of all rooms; others are made anew

R = TypeVar("R", bound=Reader)

log = structlog.get_logger()


class Flush:
    """The live readers of one process, and what they are still to get.

    A room's reader is live by itself; one of all rooms is listed here under each of them.
    """

    def __init__(
        self,
        recent: Recent,
        rooms: Mapping[RoomId, set[RoomReader]],
        readers: Callable[[], list[Reader]],
        processes: int = 1,
    ) -> None:
        self.dirty: set[RoomId] = set()  # rooms with events since the last flush
        self.news = asyncio.Event()  # set it when there are
        self._recent = recent
        self._rooms = rooms
        self._readers = readers
        self._rest = REST * processes
        self._feeds: defaultdict[RoomId, set[FeedReader]] = defaultdict(set)
        self._done: tuple[int, Position] = (0, ())  # live readers of feeds have all up to here
        self._writes = 0  # since the last flush
        self._bytes = 0

    def live(self, reader: Reader) -> None:
        """Write to a reader from now on; it stands at the head of the log."""
        if isinstance(reader, FeedReader):
            for room_id in reader.joined:
                self.wants(reader, room_id)

    def unlive(self, reader: Reader) -> None:
        """Give a reader back to its own task, if it is live."""
        if isinstance(reader, FeedReader):
            for room_id in reader.joined:
                self.forget(reader, room_id)
        reader.hand_back()

    def wants(self, reader: FeedReader, room_id: RoomId) -> None:
        """Write a room's events to a live reader from now on."""
        self._feeds[room_id].add(reader)

    def leave_off(self, reader: FeedReader) -> None:
        """Give a reader back to its own task, if it is live, where the last flush has left it."""
        if reader.is_live:
            reader.delivered(self._done[1])
            self.unlive(reader)

    def forget(self, reader: FeedReader, room_id: RoomId) -> None:
        """Write a room's events to a reader no more."""
        self._feeds[room_id].discard(reader)
        if not self._feeds[room_id]:
            del self._feeds[room_id]

    def feeds(self, room_id: RoomId) -> Collection[FeedReader]:
        """Return the readers of all rooms that are live, and in this room."""
        return self._feeds.get(room_id, ())

    def begin(self, position: Position) -> None:
        """Start the log anew at a position; what lies before it may have been missed."""
        for reader in self._readers():
            if isinstance(reader, FeedReader):
                self.leave_off(reader)
        self._recent.begin(position)
        self._done = (self._recent.seq, position)

    async def run(self) -> None:
        """Flush whenever there are news, for ever."""
        while True:
            await self.news.wait()
            self.news.clear()
            started = perf_counter()
            try:
                await self._flush()
            except Exception:
                log.exception("flush_failed")
                for reader in self._readers():
                    self.unlive(reader)  # each catches up by its own cursor
            took = perf_counter() - started
            metrics.FLUSH.observe(took)
            # Idle, an event leaves at once; loaded, each write carries many.
            await asyncio.sleep(min(self._rest * took, MAX_REST_S))

    async def _flush(self) -> None:
        dirty, self.dirty = self.dirty, set()
        seq, position = self._recent.seq, self._recent.position
        since, _ = self._done
        wanted: defaultdict[FeedReader, list[RoomId]] = defaultdict(list)
        for room_id in dirty:
            await self._flush_room(room_id)
            first = self._recent.first_since(room_id, since)
            for feed_reader in list(self._feeds.get(room_id, ())):
                if feed_reader.joined.get(room_id, NEVER) > first:
                    self.leave_off(feed_reader)  # some of it came before the joining
                else:
                    wanted[feed_reader].append(room_id)
        chunks: dict[tuple[int, tuple[RoomId, ...]], tuple[Position, bytes]] = {}
        shared = 0  # bytes of those

        def write_feed(reader: FeedReader) -> None:
            start = max(reader.seq, since)
            if start >= seq:
                return  # it went live while others were written to
            if not self._recent.holds(start):
                self.leave_off(reader)
                return
            nonlocal shared
            key = (start, tuple(wanted[reader]))
            chunk = chunks.get(key)
            if chunk is None:
                chunk = self._recent.feed_chunk(start, seq, position, key[1])
                if shared < SHARED_BYTES:
                    chunks[key] = chunk
                    shared += len(chunk[1])
            reader.position, frames = chunk
            if not self._write(reader, frames) or reader.position != position:
                self.unlive(reader)

        await in_turns(wanted, write_feed)
        self._done = (seq, position)
        metrics.WRITES.inc(self._writes)
        metrics.DELIVERED.inc(self._bytes)
        self._writes = self._bytes = 0

    async def _flush_room(self, room_id: RoomId) -> None:
        """Write to a room's live readers; nearly all stand at one place and get one chunk."""
        cursor, chunk = -1, None
        for count, reader in enumerate(list(self._rooms.get(room_id, ())), start=1):
            if reader.is_live:
                if reader.cursor != cursor:
                    cursor = reader.cursor
                    chunk = self._recent.room_chunk(room_id, cursor)
                if chunk is None:
                    reader.hand_back()
                elif chunk[0] > cursor:
                    reader.cursor = chunk[0]
                    written = self._write(reader, chunk[1])
                    if written and chunk[0] < self._recent.heads[room_id]:
                        reader.hand_back()  # the chunk was cut
            if count % YIELD_EVERY == 0:
                await asyncio.sleep(0)
                cursor = -1  # there may be more by now

    def _write(self, reader: Reader, frames: bytes) -> bool:
        self._writes += 1
        self._bytes += len(frames)
        return reader.write(frames)


async def in_turns(readers: Iterable[R], write: Callable[[R], None], *, live: bool = True) -> None:
    """Write to readers, and let other tasks have a turn now and then."""
    for count, reader in enumerate(list(readers), start=1):
        if reader.is_live or not live:
            write(reader)
        if count % YIELD_EVERY == 0:
            await asyncio.sleep(0)
