"""What a client of a stream must get: its rooms' history from its start, once, in order.

Pure. The log is what Redis says that it was given; how it is served is nothing to the model.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx_sse

from quartchat import events, sse
from quartchat.events import Control, Event, FeedId, Position, RoomId, UserId

NUMBERED = ("message", "member.join", "member.leave")


@dataclass
class Log:
    """All that was ever said, by feed and by room, and when ann came and went."""

    partitions: int
    ann: UserId
    feeds: list[list[Event | Control]] = field(default_factory=list)
    rooms: dict[RoomId, list[Event]] = field(default_factory=dict)
    where: dict[RoomId, int] = field(default_factory=dict)  # the rooms' partitions
    joins: dict[RoomId, list[int]] = field(default_factory=dict)
    leaves: dict[RoomId, list[int]] = field(default_factory=dict)
    emptied: bool = False  # whether Redis ever was

    def __post_init__(self) -> None:
        self.feeds = [[] for _ in range(self.partitions)]

    def add_room(self, room_id: RoomId, partition: int, *, joined: bool) -> None:
        self.rooms[room_id], self.where[room_id] = [], partition
        self.joins[room_id], self.leaves[room_id] = [0] if joined else [], []

    def add(self, partition: int, entry: Event | Control) -> None:
        self.feeds[partition].append(entry)
        if not isinstance(entry, Event):
            return
        self.rooms[entry.room_id].append(entry)
        assert entry.n == len(self.rooms[entry.room_id])
        if entry.type != "message" and json.loads(entry.data)["user"]["id"] == self.ann:
            coming = entry.type == "member.join"
            (self.joins if coming else self.leaves)[entry.room_id].append(entry.n)

    def mine(self) -> dict[RoomId, int]:
        """Ann's rooms, each with the number of her last joining."""
        return {
            room_id: joins[-1]
            for room_id, joins in self.joins.items()
            if len(joins) > len(self.leaves[room_id])
        }

    def upto(self, room_id: RoomId, position: Position) -> int:
        """The last number of a room at a place of the feeds."""
        place = position[self.where[room_id]]
        return sum(event.feed <= place for event in self.rooms[room_id])

    def is_in(self, room_id: RoomId, n: int) -> bool:
        """Whether ann was in a room when event `n` happened."""
        came = sum(joined <= n for joined in self.joins[room_id])
        return came > sum(left < n for left in self.leaves[room_id])

    def stays(self, room_id: RoomId, n: int) -> bool:
        """Whether ann was in a room once event `n` had happened."""
        came = sum(joined <= n for joined in self.joins[room_id])
        return came > sum(left <= n for left in self.leaves[room_id])

    def came_back(self, room_id: RoomId, due: int, n: int) -> bool:
        """Whether event `n` is a joining that may follow where `due` was to come."""
        left = any(due - 1 <= leave < n for leave in self.leaves[room_id])
        return n in self.joins[room_id] and (left or not due)


class Client:
    """What one client has got over all its connections; without a room, of all of ann's."""

    def __init__(self, log: Log, room_id: RoomId | None, cursor: str | None, reset: str) -> None:
        self.log, self.room_id, self.cursor = log, room_id, cursor
        self.cursors: list[str] = []  # all that it was ever given
        self.due: dict[RoomId, int] = {}  # by room: the number that must come next
        self.ready = False  # whether this connection has begun
        self.removed: set[RoomId] = set()  # rooms of which this connection was told so
        self._gone: set[RoomId] = set()  # rooms of which it was ever told that they begin anew
        self.lost = False  # told to read everything anew, which it does when it connects again
        self._reset = reset  # why its cursor must be refused, or ''
        self._rest = b""
        self._resumed = False
        self._last = FeedId(0)
        self._known: dict[RoomId, int] = {}
        self._mine: dict[RoomId, int] = {}

    def connect(self, position: Position) -> None:
        """Begin a connection to a process that has heard the feeds up to a place."""
        if self.lost:
            self.lost, self.cursor, self.due, self._last = False, None, {}, FeedId(0)
        self.ready = False
        self.removed = set()
        self._rest = b""
        self._resumed = bool(self.due)
        self._reset = "" if self._resumed else self._reset
        self._known = {room_id: self.log.upto(room_id, position) for room_id in self.log.rooms}
        self._mine = self.log.mine()

    def take(self, arrived: bytes) -> None:
        """Read what came; as in a browser, an event counts once its blank line is there."""
        whole, end, self._rest = (self._rest + arrived).rpartition(b"\n\n")
        response = httpx.Response(200, headers=sse.HEADERS, content=whole + end)
        for event in httpx_sse.EventSource(response).iter_sse():
            if event.data:
                self._hear(event)

    def lacks(self, position: Position) -> dict[RoomId, int]:
        """The rooms in which something up to a place of the feeds has not come, and what."""
        if self.lost:
            return {}
        mine = self.log.mine() if self.room_id is None else {self.room_id: 0}
        due = {room_id: max(joined, self.due.get(room_id, 0)) for room_id, joined in mine.items()}
        return {r: n for r, n in due.items() if n <= self.log.upto(r, position)}

    def _hear(self, event: httpx_sse.ServerSentEvent) -> None:
        data = json.loads(event.data)
        if not self.ready:
            assert event.event == "ready"
            self.ready = True
            self._begin(data)
        elif self.lost:
            return
        elif self._reset:
            assert (event.event, data["reason"]) == ("reset", self._reset)
            self._reset = ""
        elif event.event == "reset" and data["reason"] == "rejoined":
            self._rejoin(data["room_id"], data["last_id"])
        elif event.event == "reset":
            # Before something happens in an emptied Redis, it is like one that lost its end.
            assert self.log.emptied
            assert self.room_id is None
            assert data["reason"] in {"ahead", "lost"}
            self.lost = True
        elif event.event in NUMBERED:
            self._number(event, data)
        elif event.event == "room.removed":
            self.removed.add(data["room_id"])
            self._gone.add(data["room_id"])
        else:
            assert event.event in {"heartbeat", "missed", "presence"}

    def _begin(self, ready: dict[str, Any]) -> None:
        anew = self.cursor is None or bool(self._reset)
        if self.room_id is not None:
            last = ready["last_id"]
            assert self._known[self.room_id] <= last <= len(self.log.rooms[self.room_id])
            self.cursor = str(last) if anew or self.cursor is None else self.cursor
            assert self.due in ({}, {self.room_id: int(self.cursor) + 1})
            self.due = {self.room_id: int(self.cursor) + 1}
            return
        last_ids = {room["id"]: room["last_id"] for room in ready["rooms"]}
        assert set(last_ids) == set(self._mine)
        self._gone |= self.due.keys() - last_ids.keys()
        self.cursor = ready["cursor"] if anew or self.cursor is None else self.cursor
        start = events.parse_cursor(self.cursor, self.log.partitions)
        assert start is not None
        upto = {room_id: self.log.upto(room_id, start) for room_id in last_ids}
        assert not anew or last_ids == upto
        if not self._resumed:
            self.due = {
                r: upto[r] + 1 if self.log.stays(r, upto[r]) else max(upto[r] + 1, joined)
                for r, joined in self._mine.items()
            }

    def _rejoin(self, room_id: RoomId, last_id: int | None) -> None:
        """Hear that a room goes on with a joining; what lies before it does not come."""
        assert self.room_id is None
        assert last_id is None or last_id + 1 in self.log.joins[room_id]
        assert any(last_id is None or left <= last_id for left in self.log.leaves[room_id])
        self._gone.add(room_id)

    def _number(self, event: httpx_sse.ServerSentEvent, data: dict[str, Any]) -> None:
        room_id, n = data["room_id"], data["id"]
        said = self.log.rooms[room_id][n - 1]
        assert (event.event, event.data.encode()) == (said.type, said.data)
        due = self.due.get(room_id, 0)
        # Partitions may have been merged in another order: a client drops what it has.
        repeated = self.log.partitions > 1 and self._resumed and n < due
        anew = (not due or room_id in self._gone) and self.log.came_back(room_id, due, n)
        assert n == due or repeated or anew, (n, due, self.due)
        self._gone.discard(room_id)
        self.due[room_id] = max(due, n + 1)
        self.cursor = event.id
        self.cursors.append(event.id)
        if self.room_id is None:
            assert self.log.is_in(room_id, n)
            self._place(said)
        else:
            assert (room_id, event.id) == (self.room_id, str(n))

    def _place(self, said: Event) -> None:
        """Look at the cursor: nothing up to it is still to come."""
        position = events.parse_cursor(self.cursor or "", self.log.partitions)
        assert position is not None
        for room_id, due in self.due.items():
            if self.log.joins[room_id] == [0]:
                assert self.log.upto(room_id, position) < due
        if self.log.partitions == 1:
            assert position == (said.feed,)
            assert said.feed > self._last
            self._last = said.feed
