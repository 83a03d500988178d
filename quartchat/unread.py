"""How many unread mentions a user has in each room: what SQL has, and what came after.

SQL has the mentions of archived messages. Those of the last moments, and what edits and
deletions made of older ones, this process has heard of on the feed; it keeps them by
message, so that what SQL has meanwhile is neither counted twice nor missed.
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from quartchat import store
from quartchat.events import Control, Event, FeedId, Position, Room, RoomId, UserId
from quartchat.feed import Feed
from quartchat.store import mentions
from quartchat.store.mentions import Mentioned
from quartchat.stream import Streams

HELD = 20_000  # messages; the archive is behind by a hundred, as a rule
HEAR_S = 0.5  # what the feed gets to bring what Redis has; 10 ms are the rule under load
PAGE = 1000  # entries of the feed read at once
PAGES = 60  # of a partition, at most: posting stops where 50,000 wait for the archive

_CHANGES = ("message.update", "message.delete")


class Held:
    """Whom the messages of the last moments mention, as they stand; pure."""

    def __init__(self) -> None:
        self._order: OrderedDict[tuple[RoomId, int], None] = OrderedDict()  # oldest first
        self._rooms: dict[RoomId, dict[int, frozenset[UserId]]] = {}

    def hear(self, event: Event) -> None:
        """Take in the next event."""
        if event.type == "message":
            if mentions.has(event.data) or event.n in self._rooms.get(event.room_id, ()):
                self._put(event.room_id, mentions.of(event.data))
        elif event.type in _CHANGES:
            self._put(event.room_id, mentions.of(event.data))

    def precede(self, earlier: "Held") -> None:
        """Take in what came before the first event that was heard here."""
        for room_id, found in earlier.messages():
            if found.n not in self._rooms.get(room_id, ()):
                self._put(room_id, found)

    def messages(self) -> Iterable[tuple[RoomId, Mentioned]]:
        """Return what is held, the oldest first."""
        return ((room, Mentioned(n, self._rooms[room][n])) for room, n in self._order)

    def tally(self, room_id: RoomId, user_id: UserId, marker: int, stored: Iterable[int]) -> int:
        """Return how many mentions come after a marker; `stored` are those that SQL knows."""
        held = self._rooms.get(room_id, {})
        known = sum(n not in held for n in stored)
        return known + sum(n > marker and user_id in users for n, users in held.items())

    def clear(self) -> None:
        """Forget everything."""
        self._order.clear()
        self._rooms.clear()

    def _put(self, room_id: RoomId, found: Mentioned) -> None:
        self._rooms.setdefault(room_id, {})[found.n] = found.users
        self._order[room_id, found.n] = None
        self._order.move_to_end((room_id, found.n))
        if len(self._order) > HELD:
            (old_room, old_n), _ = self._order.popitem(last=False)
            del self._rooms[old_room][old_n]
            if not self._rooms[old_room]:
                del self._rooms[old_room]


class Unread:
    """The counts of unread mentions, as one process knows them."""

    def __init__(self, streams: Streams, feed: Feed) -> None:
        self._streams = streams
        self._feed = feed
        self._held = Held()
        self._began: Position | None = None  # set: what came before it may be missing
        self._looking = asyncio.Lock()
        feed.listen(self._hear, self._begin)

    async def counted(self, user_id: UserId, found: list[Room], position: Position) -> list[Room]:
        """Return rooms, as they stood at a place of the feed, with the user's unread mentions."""
        markers = {room.id: room.read_id for room in found if room.unread}
        counts = await self.count(user_id, markers, position)
        return [msgspec.structs.replace(r, mentions=counts.get(r.id, 0)) for r in found]

    async def count(
        self, user_id: UserId, markers: Mapping[RoomId, int], position: Position
    ) -> dict[RoomId, int]:
        """Return how many mentions come after each room's marker; `COUNTED` stands for more.

        All that the feed has brought up to `position` is counted.
        """
        if not markers:
            return {}
        with suppress(TimeoutError):  # where it does not come, what is known counts
            async with asyncio.timeout(HEAR_S):
                await self._feed.reached(position)
        await self._look_back()
        stored: defaultdict[RoomId, list[int]] = defaultdict(list)
        for room_id, n in await store.run(mentions.unread, user_id, markers):
            stored[room_id].append(n)
        return {
            room_id: min(mentions.COUNTED, self._held.tally(room_id, user_id, n, stored[room_id]))
            for room_id, n in markers.items()
        }

    def _hear(self, entries: list[tuple[int, Event | Control]]) -> None:
        for partition, entry in entries:
            if isinstance(entry, Event):
                self._held.hear(entry)
            elif entry.kind == "lost":  # numbers are given anew
                heard = dict(enumerate(self._feed.position)) | {partition: entry.feed}
                self._begin(tuple(heard.values()))

    def _begin(self, position: Position) -> None:
        self._held.clear()
        self._began = position

    async def _look_back(self) -> None:
        """Read once what the archive had not when this process began to listen."""
        async with self._looking:
            began = self._began
            if began is None:
                return
            before = Held()
            for partition, end in enumerate(began):
                await self._read_back(partition, end, before)
            if self._began is began:  # else it began again meanwhile, and the next one looks
                self._began = None
                self._held.precede(before)

    async def _read_back(self, partition: int, end: FeedId, before: Held) -> None:
        place = await self._streams.group.stored(partition)
        for _ in range(PAGES):
            page = await self._streams.read_feed(partition, place, PAGE)
            for entry in page:
                if isinstance(entry, Event) and entry.feed <= end:
                    before.hear(entry)
            if len(page) < PAGE or page[-1].feed >= end:
                return
            place = page[-1].feed
