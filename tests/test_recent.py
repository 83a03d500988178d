"""The log in memory: a cursor into it sees each event once and in order, or is sent away."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartchat import events, recent
from quartchat.events import Control, Event, FeedId, Position, RoomId, UserId
from quartchat.recent import Recent

ROOMS = [RoomId(number) for number in range(1, 5)]
FRAME = re.compile(rb"id: (\S+)\nevent: message\ndata: (\d+):(\d+):x*\n\n")
Place = tuple[RoomId, int]

room_ids = st.sampled_from(ROOMS)
sizes = st.sampled_from([0, 50, 120])
kinds = st.sampled_from(["add"] * 9 + ["control", "hole", "begin"])
operations = st.lists(st.tuples(kinds, room_ids, sizes), min_size=5, max_size=40)
few = settings(max_examples=100, deadline=None)


@pytest.fixture(autouse=True, scope="module")
def _tiny() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "LOG_EVENTS", 12)
        patch.setattr(recent, "LOG_BYTES", 700)
        patch.setattr(recent, "CHUNK_BYTES", 100)
        patch.setattr(recent, "CHUNKS_PER_ROOM", 2)
        yield


@dataclass
class Process:
    """A log, and beside it a plain list of all that went into it since it began."""

    partitions: int
    log: Recent = field(default_factory=Recent)
    heads: dict[RoomId, int] = field(default_factory=lambda: dict.fromkeys(ROOMS, 5))
    seen: list[tuple[Event, int, Position]] = field(default_factory=list)
    begun: Position = ()

    def __post_init__(self) -> None:
        self.feeds = [FeedId(100)] * self.partitions
        self.begin()

    def begin(self) -> None:
        self.begun = tuple(self.feeds)
        self.seen.clear()
        self.log.begin(self.begun)

    def add(self, room_id: RoomId, size: int = 0) -> Event:
        partition = room_id % self.partitions
        self.heads[room_id] = n = self.heads[room_id] + 1
        event = Event(
            room_id, n, "message", b"%d:%d:" % (room_id, n) + b"x" * size, self.next_feed(partition)
        )
        self.log.add(event, partition)
        self.seen.append((event, partition, tuple(self.feeds)))
        return event

    def next_feed(self, partition: int) -> FeedId:
        self.feeds[partition] = FeedId(self.feeds[partition] + 1 + len(self.seen) % 3)
        return self.feeds[partition]

    def do(self, operations: list[tuple[str, RoomId, int]]) -> None:
        for name, room_id, size in operations:
            partition = room_id % self.partitions
            if name == "add":
                self.add(room_id, size)
            elif name == "control":
                control = Control("session", UserId(1), feed=self.next_feed(partition))
                self.log.advance(partition, control)
            elif name == "hole":
                self.heads[room_id] += 2
            else:
                self.heads[room_id] += 2
                self.feeds[partition] = FeedId(self.feeds[partition] + 2)
                self.begin()
            assert self.log.position == tuple(self.feeds)

    def after(self, position: Position, joined: dict[RoomId, int]) -> list[Place]:
        """What a reader of all rooms has to get."""
        return [
            (event.room_id, event.n)
            for event, partition, _ in self.seen
            if event.feed > position[partition]
            and event.n >= joined.get(event.room_id, events.NEVER)
        ]

    def follow(self, position: Position, joined: dict[RoomId, int]) -> list[Place]:
        """What a reader of all rooms gets until it is at the head."""
        got: list[Place] = []
        while self.log.covers(position):
            before = position
            position, frames = self.log.feed_after(position, joined)
            assert events.reached(before, position)
            got += [place for _, place in places(frames)]
            if not frames:
                assert position == self.log.position
                return got
        raise AssertionError("a reader that was at the log fell out of it")


def places(frames: bytes) -> list[tuple[Position, Place]]:
    """Each frame's position, and the room and number that its data names."""
    found = FRAME.findall(frames)
    assert b"".join(match[0] for match in re.finditer(FRAME, frames)) == frames
    count = found[0][0].count(b".") + 1 if found else 1
    return [
        (events.parse_cursor(id_.decode(), count) or (), (RoomId(int(room)), int(n)))
        for id_, room, n in found
    ]


@few
@given(operations, st.sampled_from([1, 3]))
def test_a_rooms_reader_sees_contiguous_numbers_up_to_the_head_or_is_sent_away(
    operations: list[tuple[str, RoomId, int]], partitions: int
) -> None:
    process = Process(partitions)
    process.do(operations)
    for room_id in {event.room_id for event, _, _ in process.seen}:
        head = [event.n for event, _, _ in process.seen if event.room_id == room_id][-1]
        for start in range(head + 1):
            cursor, got = start, []
            while (chunk := process.log.room_chunk(room_id, cursor)) is not None:
                assert process.log.room_chunk(room_id, cursor) == chunk
                assert len(chunk[1]) < 100 + 200 + 20 * 60  # the bound, an event, other bytes
                numbers = [int(n) for n, _, _ in FRAME.findall(chunk[1])]
                assert chunk[0] == (numbers[-1] if numbers else cursor)
                got += numbers
                cursor = chunk[0]
                if not numbers:
                    break
            assert got == (list(range(start + 1, head + 1)) if chunk else [])


@few
@given(
    operations,
    st.sampled_from([1, 3]),
    st.just(dict.fromkeys(ROOMS, 0)) | st.dictionaries(room_ids, st.integers(0, 15)),
)
def test_a_reader_of_all_rooms_sees_its_rooms_events_once_and_in_order(
    operations: list[tuple[str, RoomId, int]], partitions: int, joined: dict[RoomId, int]
) -> None:
    process = Process(partitions)
    process.do(operations)
    own = [process.begun, *(position for _, _, position in process.seen)]
    held = [position for position in own if process.log.covers(position)]
    # A cursor may come from another process, which merged the partitions in another order.
    merged = itertools.product(*zip(held[0], held[len(held) // 2], held[-1], strict=True))
    for position in {*held, *merged}:
        assert process.follow(position, joined) == process.after(position, joined)


@few
@given(operations, st.sampled_from([1, 3]), st.sets(room_ids))
def test_a_live_reader_is_written_what_a_resuming_one_would_read(
    operations: list[tuple[str, RoomId, int]], partitions: int, rooms: set[RoomId]
) -> None:
    process = Process(partitions)
    process.do(operations)
    log, joined = process.log, dict.fromkeys(rooms, 0)
    first = log.seq - len(process.seen)
    for count, position in enumerate([process.begun, *(entry[2] for entry in process.seen)]):
        if log.holds(first + count):
            chunk = log.feed_chunk(first + count, log.seq, log.position, rooms)
            if log.covers(position):
                assert chunk == log.feed_after(position, joined)


@few
@given(st.lists(st.tuples(room_ids, sizes), max_size=40))
def test_the_log_is_bounded_and_keeps_the_newest(added: list[tuple[RoomId, int]]) -> None:
    process = Process(1)
    for room_id, size in added:
        event = process.add(room_id, size)
        assert len(process.log._entries) <= 12
        assert process.log._bytes == sum(len(e.event.data) for e in process.log._entries)
        assert process.log._bytes <= 700
        assert process.log.room_chunk(room_id, event.n - 1) is not None
        assert process.log.holds(process.log.seq - 1)
        assert set(process.log._rooms) == {e.event.room_id for e in process.log._entries}


def test_what_was_never_dropped_is_covered() -> None:
    process = Process(1)
    for room_id in ROOMS:
        process.add(room_id)
    assert process.log.covers(process.begun)
    assert not process.log.covers((FeedId(process.begun[0] - 1),))
    assert process.log.room_chunk(ROOMS[0], 4) is None  # event 5 was before the beginning
    assert process.log.room_chunk(RoomId(99), 0) is None


def test_a_frame_carries_the_process_position_or_the_number() -> None:
    process = Process(3)
    one, other = process.add(ROOMS[0]), process.add(ROOMS[1])
    _, frames = process.log.feed_after(process.begun, dict.fromkeys(ROOMS, 0))
    assert places(frames) == [
        ((100, one.feed, 100), (1, 6)),
        ((100, one.feed, other.feed), (2, 6)),
    ]
    assert process.log.room_chunk(ROOMS[0], 5) == (6, b"id: 6\nevent: message\ndata: 1:6:\n\n")


def test_readers_of_one_place_share_the_bytes() -> None:
    process = Process(1)
    process.add(ROOMS[0])
    process.add(ROOMS[0])
    chunks = [process.log.room_chunk(ROOMS[0], 5) for _ in range(2)]
    assert chunks[0] is chunks[1]
    process.add(ROOMS[0])
    assert process.log.room_chunk(ROOMS[0], 5) != chunks[0]


def test_a_watched_rooms_head_outlives_its_events() -> None:
    process = Process(1)
    process.log.watch(ROOMS[0], 3)
    process.log.watch(ROOMS[0], 2)
    assert process.log.heads == {ROOMS[0]: 3}
    process.add(ROOMS[0])
    process.add(ROOMS[1])
    process.begin()
    assert process.log.heads == {ROOMS[0]: 6}
    process.log.unwatch(ROOMS[0])
    process.log.unwatch(ROOMS[0])
    assert process.log.heads == {}


def test_a_room_begins_for_a_reader_at_its_join() -> None:
    process = Process(1)
    for _ in range(3):
        process.add(ROOMS[0])
        process.add(ROOMS[1])
    assert process.follow(process.begun, {ROOMS[0]: 8}) == [(ROOMS[0], 8)]
    assert process.follow(process.begun, {}) == []
