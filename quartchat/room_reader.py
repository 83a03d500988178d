"""A stream of one room: from its own place in the room's log to the log's end."""

import msgspec
import structlog

from quartchat import events, sse
from quartchat.events import FeedId, RoomId, UserId
from quartchat.outlet import Outlet
from quartchat.readers import Home, Reader, reset_frame
from quartchat.recent import fitting

log = structlog.get_logger()
_encode = msgspec.json.encode


class RoomReader(Reader):
    """A stream of one room; its cursor is an event number."""

    __slots__ = ("_ahead", "_first", "cursor", "room_id")

    def __init__(self, home: Home, session: str, user_id: UserId, room_id: RoomId) -> None:
        super().__init__(home, session, user_id)
        self.room_id = room_id
        self.cursor = 0
        # Where it stood before it went on by what Redis said when the feed's end was there.
        self._ahead: tuple[tuple[FeedId, int], ...] = ()
        self._first = b""

    def stood(self, feed: FeedId) -> int:
        """Return the last number that it may have had before that place of the feed."""
        return next((n for asked, n in self._ahead if asked >= feed), self.cursor)

    async def prepare(self, cursor: str | None) -> None:
        """Take the place that the client asks for; without one, the head."""
        head, since = await self._home.head(self.room_id)
        self.cursor, reason = head, None
        if cursor is not None:
            asked = events.parse_number(cursor)
            if asked is not None and asked > head:  # another process may be a moment ahead
                head, since = await self._home.head(self.room_id, fresh=True)
            if asked is None:
                reason = "malformed"
            elif asked > head:
                self.cursor, reason = head, "ahead"
            else:
                self.cursor = asked
        self._ahead = ((since, 0),)  # its cursor was compared with the room
        ready = {"room_id": self.room_id, "last_id": head}
        self._first = sse.frame("ready", _encode(ready))
        if reason is not None:
            self._first += reset_frame(self.room_id, head, reason)

    def _opening(self) -> bytes:
        first, self._first = self._first, b""
        return first

    async def _catch_up(self, out: Outlet) -> None:
        recent = self._home.recent
        while not self.closing and self.cursor < recent.heads[self.room_id]:
            chunk = recent.room_chunk(self.room_id, self.cursor)
            # A chunk of nothing: a page, or Redis asked for the head, was ahead of the feed.
            if chunk is None or chunk[0] == self.cursor:
                chunk = await self._page()
            if chunk is not None:
                self.cursor = chunk[0]
                await out.put(chunk[1])

    async def _page(self) -> tuple[int, bytes] | None:
        """Return (number reached, frames) of what follows its cursor, not beyond the head."""
        asked, page = await self._home.page(self.room_id, self.cursor)
        head = self._home.recent.heads[self.room_id]
        if head <= self.cursor:
            return None  # what was there is lost: `losses` says to whom
        page = [item for item in page if item[0] <= head]
        if not page:  # known to exist, and nowhere to be found: the client must hear of it
            log.error("events_lost", room=self.room_id, after=self.cursor, head=head)
            return head, reset_frame(self.room_id, head, "lost")
        heard = self._home.recent.position[self._home.streams.partition(self.room_id)]
        self._ahead = tuple(step for step in self._ahead if step[0] > heard)
        if asked > max(heard, *(feed for feed, _ in self._ahead), 0):
            self._ahead += ((asked, self.cursor),)
        page = page[: fitting(len(frame) for _, frame in page)]
        return page[-1][0], b"".join(frame for _, frame in page)
