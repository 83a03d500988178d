"""Pages of rooms' events for readers that memory cannot serve, each read once for all."""

import asyncio
from collections import OrderedDict

from quartchat import history, metrics, tasks
from quartchat.events import FeedId, RoomId
from quartchat.recent import room_frame
from quartchat.stream import Streams

EVENTS = 256  # a page's; page k begins after event 256 k
KEPT_BYTES = 32 << 20  # of full pages, which never change
LOADS = 16  # pages that are read at once; the others wait their turn

# A place that the feed's end had passed when it was read, and events as (number, frame).
Page = tuple[FeedId, list[tuple[int, bytes]]]
Key = tuple[RoomId, int]


class Pages:
    """A bounded cache; a page that is being read is read for all who wait."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._kept: OrderedDict[Key, Page] = OrderedDict()
        self._bytes = 0
        self._loading: dict[Key, asyncio.Task[Page]] = {}
        self._turns = tasks.Turns(LOADS)

    async def after(self, room_id: RoomId, n: int, asked: FeedId) -> Page:
        """Return what follows event `n` on its page, or on the next if it ends one.

        `asked` is a place that the feed's end has passed.
        """
        key = (room_id, n // EVENTS)
        page = self._kept.get(key)
        while page is None:
            loading = self._loading
            joined = key in loading
            if not joined:
                loading[key] = asyncio.ensure_future(self._load(key, asked, loading))
            # One reader that goes away must not take the page from the others.
            page = await asyncio.shield(loading[key])
            if joined and (not page[1] or page[1][-1][0] <= n):
                page = None  # begun before event n+1 was there: read once more
            elif loading is not self._loading:
                page = None  # of before `clear`
        return page[0], [item for item in page[1] if item[0] > n]

    def clear(self) -> None:
        """Forget all pages, also those that are being read."""
        self._kept.clear()
        self._bytes = 0
        self._loading = {}

    def forget(self, room_id: RoomId) -> None:
        """Forget a room's pages, and what is being read of it once that is read.

        A message was deleted, and what is read from now on does not have its text.
        """
        for key in [key for key in self._kept if key[0] == room_id]:
            self._bytes -= _size(self._kept.pop(key))
        for key in [key for key in self._loading if key[0] == room_id]:
            del self._loading[key]

    async def _load(
        self, key: Key, asked: FeedId, loading: dict[Key, "asyncio.Task[Page]"]
    ) -> Page:
        room_id, number = key
        try:
            async with self._turns:
                found = await history.after(self._streams, room_id, number * EVENTS, EVENTS)
        finally:
            stands = loading.get(key) is asyncio.current_task()
            if stands:
                del loading[key]
        metrics.RESUMED.labels("room").inc()
        page = asked, [(event.n, room_frame(event)) for event in found]
        # Full, so it never changes, but for a deletion.
        if len(found) == EVENTS and stands and loading is self._loading:
            self._kept[key] = page
            self._bytes += _size(page)
            while self._bytes > KEPT_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= _size(oldest)
        return page


def _size(page: Page) -> int:
    return sum(len(frame) for _, frame in page[1])
