"""The newest events of this process's feed, in memory, as the bytes that streams send.

Two views of one bounded log: by room, and across rooms. Readers are cursors into it; each
event is encoded once for each view, and all readers share the bytes. Pure: no I/O, no clock.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from quartchat import events, fold, sse
from quartchat.events import Event, Message, Position, RoomId, UserId

LOG_EVENTS = 20_000  # events kept; a reader further behind reads Redis or SQL
LOG_BYTES = 32 << 20  # their JSON, at most
CHUNK_BYTES = 256 << 10  # one write carries about so much; what is left goes with the next
CHUNKS_PER_ROOM = 16  # kept for readers at other places than most
KEPT_BYTES = 32 << 20  # of such chunks, in all rooms; past it all are made anew

_decode = msgspec.json.Decoder(Message).decode


@dataclass(slots=True)
class Entry:
    """An event in the log: `seq` counts what this process has seen, across rooms."""

    event: Event
    seq: int
    partition: int
    position: Position  # of the process, once this event is delivered
    _room_frame: bytes = b""
    _feed_frame: bytes = b""

    @property
    def room_frame(self) -> bytes:
        """The event for a room's stream: its id is the event's number."""
        if not self._room_frame:
            self._room_frame = room_frame(self.event)
        return self._room_frame

    @property
    def feed_frame(self) -> bytes:
        """The event for the stream of all rooms: its id is the process's position."""
        if not self._feed_frame:
            self._feed_frame = feed_frame(self.event, self.position)
        return self._feed_frame

    def redact(self, data: bytes) -> None:
        """Put other data in the place of the event's."""
        self.event = msgspec.structs.replace(self.event, data=data)
        self._room_frame = self._feed_frame = b""


@dataclass(slots=True)
class _Room:
    entries: list[Entry] = field(default_factory=list)  # contiguous numbers
    others: list[Entry] = field(default_factory=list)  # from before a hole: of readers of feeds
    edits: dict[int, list[Entry]] = field(default_factory=dict)  # those of both, by message
    chunks: dict[int, tuple[int, bytes]] = field(default_factory=dict)  # by cursor, for this head


class Recent:
    """The log. Invariant: it has every event after `_base`, and a room's without a hole."""

    def __init__(self) -> None:
        self.position: Position = ()  # what this process has read of the feeds
        self.seq = 0  # of the newest entry
        self.begun = 0  # how often the log began anew
        self.heads: dict[RoomId, int] = {}  # last numbers of the rooms that `watch` named
        self._base: Position = ()
        self._entries: list[Entry] = []  # contiguous seqs
        self._leavings: list[Entry] = []  # those of them by which somebody leaves a room
        self._bytes = 0
        self._rooms: dict[RoomId, _Room] = {}
        self._kept = 0  # bytes of chunks

    def begin(self, position: Position) -> None:
        """Forget everything: the feed is read from `position` on."""
        self.position = self._base = position
        self.begun += 1
        self._entries.clear()
        self._leavings.clear()
        self._rooms.clear()
        self._bytes = self._kept = 0

    def watch(self, room_id: RoomId, head: int) -> None:
        """Keep a room's last number, also once its events are dropped; `head` is a lower bound."""
        self.heads[room_id] = max(head, self.heads.get(room_id, 0))

    def unwatch(self, room_id: RoomId) -> None:
        """Stop keeping a room's last number."""
        self.heads.pop(room_id, None)

    def rewind(self, room_id: RoomId, n: int) -> int:
        """Let a room go on after event `n`; return the last number that the feed had brought."""
        room = self._rooms.get(room_id)
        last = room.entries[-1].event.n if room is not None and room.entries else 0
        if room is not None and last != n:
            self._break(room)
            self._forget_chunks(room)
        if room_id in self.heads:
            self.heads[room_id] = n
        return last

    def add(self, event: Event, partition: int) -> None:
        """Take the next event of a partition's feed in."""
        self.advance(partition, event)
        room = self._rooms.setdefault(event.room_id, _Room())
        if room.entries and event.n != room.entries[-1].event.n + 1:
            self._break(room)  # some were missed: who is behind them reads Redis or SQL
        if event.type == "message.delete":
            self._redact(room, event)
        self.seq += 1
        entry = Entry(event, self.seq, partition, self.position)
        room.entries.append(entry)
        if event.type == "message.update":
            room.edits.setdefault(fold.text_of(event), []).append(entry)
        self._forget_chunks(room)
        if event.room_id in self.heads:
            self.watch(event.room_id, event.n)
        self._entries.append(entry)
        if event.type == "member.leave":
            self._leavings.append(entry)
        self._bytes += len(event.data)
        while len(self._entries) > LOG_EVENTS or self._bytes > LOG_BYTES:
            self._drop(len(self._entries) // 4 or 1)

    def advance(self, partition: int, entry: Event | events.Control) -> None:
        """Note that the feed was read up to an entry."""
        position = list(self.position)
        position[partition] = entry.feed
        self.position = tuple(position)

    def room_chunk(self, room_id: RoomId, after: int) -> tuple[int, bytes] | None:
        """Return (number reached, frames) of what follows event `after`; None if not held.

        The chunk is kept until the room's next event, as most readers stand at one place.
        """
        room = self._rooms.get(room_id)
        if room is None or not room.entries or after + 1 < room.entries[0].event.n:
            return None
        chunk = room.chunks.get(after)
        if chunk is None:
            taken = _bounded(room.entries[after + 1 - room.entries[0].event.n :])
            reached = taken[-1].event.n if taken else after
            chunk = (reached, b"".join(entry.room_frame for entry in taken))
            self._keep_chunk(room, after, chunk)
        return chunk

    def first_since(self, room_id: RoomId, seq: int) -> int:
        """Return the number of a room's first event after `seq`; NEVER if none is held."""
        room = self._rooms.get(room_id)
        entries = room.entries if room is not None else []
        index = bisect_right(entries, seq, key=lambda entry: entry.seq)
        return entries[index].event.n if index < len(entries) else events.NEVER

    def _break(self, room: _Room) -> None:
        room.others += room.entries
        room.entries = []

    def _redact(self, room: _Room, deletion: Event) -> None:
        """Leave of a deleted message, and of its edits, what SQL leaves of them."""
        left = _decode(deletion.data)
        place = max(0, left.id - room.entries[0].event.n) if room.entries else 0
        edits = room.edits.pop(left.id, ())
        for entry in (*room.others, *edits, *room.entries[place : place + 1]):
            if fold.text_of(entry.event) == left.id:
                self._bytes += len(deletion.data) - len(entry.event.data)
                entry.redact(deletion.data)

    def _keep_chunk(self, room: _Room, after: int, chunk: tuple[int, bytes]) -> None:
        if len(room.chunks) >= CHUNKS_PER_ROOM:
            return
        room.chunks[after] = chunk
        self._kept += len(chunk[1])
        if self._kept > KEPT_BYTES:
            for each in self._rooms.values():
                self._forget_chunks(each)

    def _forget_chunks(self, room: _Room) -> None:
        if room.chunks:
            self._kept -= sum(len(frames) for _, frames in room.chunks.values())
            room.chunks.clear()

    def holds(self, seq: int) -> bool:
        """Whether every entry after `seq` is held."""
        return not self._entries or seq >= self._entries[0].seq - 1

    def feed_chunk(
        self, seq: int, head: int, position: Position, rooms: Collection[RoomId]
    ) -> tuple[Position, bytes]:
        """Return (position reached, frames) of some rooms' entries after `seq` up to `head`.

        `position` is the process's at `head`; it is reached unless the chunk was cut.
        """
        first = self._entries[0].seq if self._entries else 0
        entries = self._entries[max(0, seq + 1 - first) : max(0, head + 1 - first)]
        return _chunk([entry for entry in entries if entry.event.room_id in rooms], position)

    def covers(self, position: Position) -> bool:
        """Whether every event after `position` is held."""
        return all(a >= b for a, b in zip(position, self._base, strict=True))

    def feed_after(
        self, position: Position, joined: Mapping[RoomId, int]
    ) -> tuple[Position, bytes]:
        """Return (position reached, frames) of what follows `position` in a reader's rooms.

        `joined` gives for each room the number from which on it is the reader's.
        """
        found = [
            entry
            for entry in self._entries[_first_after(self._entries, position) :]
            if entry.event.feed > position[entry.partition]
            and entry.event.n >= joined.get(entry.event.room_id, events.NEVER)
        ]
        reached, frames = _chunk(found, self.position)
        # `position` may be of a process that merged the partitions in another order.
        return tuple(map(max, reached, position)), frames

    def left(
        self, user_id: UserId, joined: Mapping[RoomId, int], after: Position, up_to: Position
    ) -> set[RoomId]:
        """Return the rooms that a reader left between two positions, and came back to."""
        return {
            entry.event.room_id
            for entry in self._leavings[_first_after(self._leavings, after) :]
            if after[entry.partition] < entry.event.feed <= up_to[entry.partition]
            and entry.event.n < joined.get(entry.event.room_id, 0)
            and events.leaves(entry.event, user_id)
        }

    def _drop(self, count: int) -> None:
        dropped = self._entries[:count]
        del self._entries[:count]
        self._base = dropped[-1].position
        self._bytes -= sum(len(entry.event.data) for entry in dropped)
        last = dropped[-1].seq
        self._leavings = [entry for entry in self._leavings if entry.seq > last]
        for room_id in {entry.event.room_id for entry in dropped}:
            room = self._rooms.get(room_id)
            if room is None:
                continue  # forgotten, and nothing has come since
            room.entries = [entry for entry in room.entries if entry.seq > last]
            room.others = [entry for entry in room.others if entry.seq > last]
            room.edits = {
                id_: left
                for id_, edits in room.edits.items()
                if (left := [entry for entry in edits if entry.seq > last])
            }
            self._forget_chunks(room)
            if not room.entries and not room.others:
                del self._rooms[room_id]


def room_frame(event: Event) -> bytes:
    """Encode an event for its room's stream."""
    return sse.frame(event.type, event.data, str(event.n))


def feed_frame(event: Event, position: Position) -> bytes:
    """Encode an event for the stream of all rooms."""
    return sse.frame(event.type, event.data, events.cursor(position))


def _first_after(entries: list[Entry], position: Position) -> int:
    """Return an index below which nothing is after `position`; exact with one partition."""
    if len(position) > 1:
        return 0
    return bisect_right(entries, position[0], key=lambda entry: entry.event.feed)


def _chunk(entries: list[Entry], position: Position) -> tuple[Position, bytes]:
    taken = _bounded(entries)
    reached = position if len(taken) == len(entries) else taken[-1].position
    return reached, b"".join(entry.feed_frame for entry in taken)


def _bounded(entries: list[Entry]) -> list[Entry]:
    return entries[: fitting(len(entry.event.data) for entry in entries)]


def fitting(sizes: Iterable[int]) -> int:
    """Return how many make about `CHUNK_BYTES`; at least one, if there is any."""
    count = total = 0
    for size in sizes:
        count += 1
        total += size
        if total > CHUNK_BYTES:
            break
    return count
