"""Where rooms stand: the watched ones by what the feed brings, and once by what Redis says.

The log's numbers are never below what was asked for, so that whoever reads up to them has
everything. What was asked for may be ahead of the feed, and so each answer has its place there.
"""

import asyncio
from collections.abc import Iterable

from quartchat import history
from quartchat.events import NOBODY, FeedId, Position, RoomId
from quartchat.loader import Loader
from quartchat.recent import Recent
from quartchat.stream import Streams

ASKED_AT_ONCE = 50  # streams of all rooms that share a call of Redis


class Heads:
    """The last numbers of the rooms that `recent` watches."""

    def __init__(self, streams: Streams, recent: Recent) -> None:
        self._streams = streams
        self._recent = recent
        # Rooms whose head Redis was asked for, and the feed's end at that moment.
        self._asked: dict[RoomId, FeedId] = {}
        self._asking: dict[RoomId, asyncio.Task[None]] = {}
        self._ends: Loader[frozenset[RoomId], tuple[Position, dict[RoomId, int]]] = Loader(
            self._load, most=ASKED_AT_ONCE
        )

    async def of(self, room_id: RoomId, *, fresh: bool = False) -> int:
        """Return a room's last number. `fresh`: ask again, also if it seems known."""
        if fresh:
            await self._ask(room_id)
        elif room_id not in self._asked:  # one asks for all who come at once
            if room_id not in self._asking:
                self._asking[room_id] = asyncio.create_task(self._ask(room_id))
                self._asking[room_id].add_done_callback(lambda _: self._asking.pop(room_id))
            await asyncio.shield(self._asking[room_id])
        return self._recent.heads.get(room_id, 0)

    def asked(self, room_id: RoomId) -> FeedId:
        """Return the end of the feed when Redis was last asked for a room's head."""
        return self._asked.get(room_id, FeedId(0))

    def forget(self, room_id: RoomId) -> None:
        """Forget a room that nobody watches any more."""
        self._asked.pop(room_id, None)

    async def ends(self, room_ids: Iterable[RoomId]) -> tuple[Position, dict[RoomId, int]]:
        """Return the end of the feed, and any rooms' last numbers then, as Redis says.

        Those who ask at once share a call, whatever their rooms.
        """
        found = await self._ends.get(frozenset(room_ids))
        assert found is not None  # noqa: S101 - `_load` leaves nobody out
        return found

    async def _load(
        self, asked: list[frozenset[RoomId]]
    ) -> dict[frozenset[RoomId], tuple[Position, dict[RoomId, int]]]:
        everything = list(frozenset[RoomId]().union(*asked))
        position, heads = await history.heads(self._streams, everything, NOBODY, kept=True)
        # A room that is removed meanwhile is in none of them.
        return {
            some: (position, {r: heads[r].n for r in sorted(some & heads.keys())}) for some in asked
        }

    async def _ask(self, room_id: RoomId) -> None:
        position, heads = await history.heads(self._streams, [room_id], NOBODY, kept=True)
        # Everything after this number comes by the feed.
        if room_id in self._recent.heads and room_id in heads:
            self._recent.watch(room_id, heads[room_id].n)
            self._asked[room_id] = position[self._streams.partition(room_id)]
