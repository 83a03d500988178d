"""Pages of rooms' events for readers that memory cannot serve, each read once for all."""

import asyncio
from collections import OrderedDict

from quartchat import history, metrics, tasks
from quartchat.events import RoomId
from quartchat.recent import room_frame
from quartchat.stream import Streams

EVENTS = 256  # a page's; page k begins after event 256 k
KEPT_BYTES = 32 << 20  # of full pages, which never change
LOADS = 16  # pages that are read at once; the others wait their turn

Page = list[tuple[int, bytes]]  # (number, frame)


class Pages:
    """A bounded cache; a page that is being read is read for all who wait."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._kept: OrderedDict[tuple[RoomId, int], Page] = OrderedDict()
        self._bytes = 0
        self._loading: dict[tuple[RoomId, int], asyncio.Task[Page]] = {}
        self._turns = tasks.Turns(LOADS)

    async def after(self, room_id: RoomId, n: int) -> Page:
        """Return what follows event `n` on its page, or on the next if it ends one."""
        key = (room_id, n // EVENTS)
        page = self._kept.get(key)
        while page is None:
            joined = key in self._loading
            if not joined:
                self._loading[key] = asyncio.ensure_future(self._load(key))
            # One reader that goes away must not take the page from the others.
            page = await asyncio.shield(self._loading[key])
            if joined and (not page or page[-1][0] <= n):
                page = None  # begun before event n+1 was there: read once more
        return [item for item in page if item[0] > n]

    def clear(self) -> None:
        """Forget all pages."""
        self._kept.clear()
        self._bytes = 0

    async def _load(self, key: tuple[RoomId, int]) -> Page:
        room_id, number = key
        try:
            async with self._turns:
                found = await history.after(self._streams, room_id, number * EVENTS, EVENTS)
        finally:
            del self._loading[key]
        metrics.RESUMED.labels("room").inc()
        page = [(event.n, room_frame(event)) for event in found]
        if len(page) == EVENTS:  # full, so it never changes
            self._kept[key] = page
            self._bytes += sum(len(frame) for _, frame in page)
            while self._bytes > KEPT_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= sum(len(frame) for _, frame in oldest)
        return page
