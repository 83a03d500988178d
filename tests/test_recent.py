"""The log in memory: a cursor into it sees each event once and in order, or is sent away."""

import itertools
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartchat import events, fold, recent
from quartchat.events import Control, Event, FeedId, Message, Position, RoomId, User, UserId
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


# -- deleted messages

ANN = User(UserId(1), "ann", "", "")
HEAD = re.compile(rb"id: (\S+)\nevent: (\S+)\ndata: (.*)\n\n")

steps = st.lists(
    st.tuples(
        st.sampled_from(["say"] * 4 + ["edit", "edit", "delete", "delete", "break", "begin"]),
        st.sampled_from(ROOMS[:2]),
        st.integers(0, 99),
    ),
    min_size=5,
    max_size=40,
)


class Talk:
    """A log in which messages are edited and deleted, and what SQL would have of the same."""

    def __init__(self) -> None:
        self.log = Recent()
        self.log.begin((FeedId(0),))
        self.stored: list[Event] = []  # since it began
        self.heads = dict.fromkeys(ROOMS, 0)
        self.standing: dict[RoomId, dict[int, Message]] = {room_id: {} for room_id in ROOMS}

    def add(self, room_id: RoomId, kind: str, message: Message) -> None:
        n = self.heads[room_id] = self.heads[room_id] + 1
        message = msgspec.structs.replace(message, id=message.id or n)
        self.standing[room_id][message.id] = message
        data = msgspec.json.encode(message)
        event = Event(room_id, n, kind, data, FeedId(self.log.position[0] + 1))
        self.log.add(event, 0)
        self.stored.append(event)
        if kind == "message.delete":
            for place, each in enumerate(self.stored):
                if each.room_id == room_id and fold.text_of(each) == message.id:
                    self.stored[place] = msgspec.structs.replace(each, data=data)

    def say(self, room_id: RoomId) -> str:
        body = secrets.token_hex(8)
        self.add(room_id, "message", Message(0, room_id, ANN, body, body, ""))
        return body

    def edit(self, room_id: RoomId, id_: int) -> str:
        body = secrets.token_hex(8)
        edited = fold.edited(self.standing[room_id][id_], body, fold.Content(body, []), "now")
        self.add(room_id, "message.update", edited)
        return body

    def delete(self, room_id: RoomId, id_: int) -> None:
        deleted = fold.deleted(self.standing[room_id][id_], "now")
        self.add(room_id, "message.delete", deleted)

    def do(self, kind: str, room_id: RoomId, which: int) -> None:
        alive = [m.id for m in self.standing[room_id].values() if m.deleted_at is None]
        if kind == "say":
            self.say(room_id)
        elif kind == "break":  # events that this process never hears of
            self.heads[room_id] += 1 + which % 3
        elif kind == "begin":
            self.log.begin(self.log.position)
            self.stored.clear()
        elif alive:
            (self.edit if kind == "edit" else self.delete)(room_id, alive[which % len(alive)])

    def room_frames(self, room_id: RoomId, cursor: int) -> list[bytes] | None:
        """What follows a cursor, chunk by chunk; None if it is not held."""
        got = []
        while (chunk := self.log.room_chunk(room_id, cursor)) is not None and chunk[1]:
            cursor = chunk[0]
            got.append(chunk[1])
        return None if chunk is None else got

    def feed_frames(self, position: Position) -> list[bytes]:
        got: list[bytes] = []
        while True:
            position, frames = self.log.feed_after(position, dict.fromkeys(ROOMS, 0))
            if not frames:
                return got
            got.append(frames)

    def check(self) -> None:
        """Both views are what SQL has, from wherever one reads."""
        assert self.log._bytes == sum(len(entry.event.data) for entry in self.log._entries)
        for place in range(len(self.stored) + 1):
            rest = self.stored[place:]
            position = (FeedId(rest[0].feed - 1),) if rest else self.log.position
            if self.log.covers(position):
                frames = [recent.feed_frame(event, (event.feed,)) for event in rest]
                assert self.feed_frames(position) == chunks(frames, rest)
        for room_id in ROOMS:
            mine = [event for event in self.stored if event.room_id == room_id]
            for place, event in enumerate(mine):
                got = self.room_frames(room_id, event.n - 1)
                if got is not None:
                    frames = [recent.room_frame(each) for each in mine[place:]]
                    assert got == chunks(frames, mine[place:])


def chunks(frames: list[bytes], found: list[Event]) -> list[bytes]:
    """Frames of events as they are written, so many at once."""
    written = []
    while frames:
        count = recent.fitting(len(event.data) for event in found)
        written.append(b"".join(frames[:count]))
        frames, found = frames[count:], found[count:]
    return written


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that hold some messages with all their fields."""
    monkeypatch.setattr(recent, "LOG_BYTES", 4000)
    monkeypatch.setattr(recent, "CHUNK_BYTES", 600)


@few
@given(steps)
def test_whoever_reads_the_log_gets_what_sql_has_of_deleted_messages(
    steps: list[tuple[str, RoomId, int]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "LOG_BYTES", 4000)
        patch.setattr(recent, "CHUNK_BYTES", 600)
        talk = Talk()
        for step in steps:
            talk.do(*step)
            talk.check()


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("broken", [False, True])
def test_a_deletion_takes_the_text_from_both_views_also_where_numbers_were_missed(
    *, broken: bool
) -> None:
    talk = Talk()
    texts = [talk.say(ROOMS[0])]
    kept = talk.say(ROOMS[0])
    texts += [talk.edit(ROOMS[0], 1), talk.edit(ROOMS[0], 1)]
    if broken:
        talk.heads[ROOMS[0]] += 1
        talk.say(ROOMS[0])
    before = len(talk.feed_frames((FeedId(0),)))
    talk.delete(ROOMS[0], 1)
    talk.check()
    found = b"".join(talk.feed_frames((FeedId(0),)))
    assert kept.encode() in found
    assert not any(text.encode() in found for text in texts)
    assert before <= len(talk.feed_frames((FeedId(0),)))
    for cursor in range(talk.heads[ROOMS[0]]):
        room = b"".join(talk.room_frames(ROOMS[0], cursor) or [])
        assert not any(text.encode() in room for text in texts)


@pytest.mark.usefixtures("roomy")
def test_numbers_that_are_given_anew_leave_no_deleted_text() -> None:
    talk = Talk()
    text = talk.say(ROOMS[0])
    talk.say(ROOMS[0])
    talk.log.rewind(ROOMS[0], 1)  # Redis has lost the second one
    talk.heads[ROOMS[0]] = 1
    del talk.standing[ROOMS[0]][2]
    talk.say(ROOMS[0])
    talk.delete(ROOMS[0], 1)
    frames = b"".join(talk.feed_frames((FeedId(0),)))
    assert text.encode() not in frames
    assert [number for number, _, _ in HEAD.findall(frames)] == [b"1", b"2", b"3", b"4"]


@pytest.mark.usefixtures("roomy")
def test_a_deletion_of_what_is_not_held_changes_nothing_else() -> None:
    talk = Talk()
    talk.say(ROOMS[0])
    talk.log.begin(talk.log.position)
    talk.stored.clear()
    texts = [talk.say(ROOMS[0]), talk.say(ROOMS[1])]
    talk.delete(ROOMS[0], 1)
    talk.check()
    found = b"".join(talk.feed_frames((FeedId(1),)))
    assert all(text.encode() in found for text in texts)


@pytest.mark.usefixtures("roomy")
def test_a_reader_in_the_midst_of_it_gets_each_number_once_and_the_text_no_more() -> None:
    talk = Talk()
    texts = [talk.say(ROOMS[0]) for _ in range(8)]
    cursor, frames = talk.log.room_chunk(ROOMS[0], 0) or (0, b"")
    position, feed = talk.log.feed_after((FeedId(0),), {ROOMS[0]: 0})
    assert 0 < cursor < 7
    talk.delete(ROOMS[0], cursor + 2)
    talk.check()
    frames += b"".join(talk.room_frames(ROOMS[0], cursor) or [])
    feed += b"".join(talk.feed_frames(position))
    for found in (frames, feed):
        assert [int(id_, 16) for id_, _, _ in HEAD.findall(found)] == list(range(1, 10))
        there = [text.encode() in found for text in texts]
        assert there == [place != cursor + 1 for place in range(8)]
