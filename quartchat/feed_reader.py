"""A stream of all rooms of a user: from its place in the feed to the feed's end."""

import msgspec

from quartchat import events, history, metrics, sse
from quartchat.events import FeedId, Position, RoomId, UserId
from quartchat.outlet import Outlet
from quartchat.readers import Home, Reader, removed_frame, reset_frame
from quartchat.recent import feed_frame

_encode = msgspec.json.encode


class FeedReader(Reader):
    """A stream of all rooms of a user; its cursor is a position of the feed."""

    __slots__ = ("_begun", "_changes", "_first", "joined", "position")

    def __init__(self, home: Home, session: str, user_id: UserId) -> None:
        super().__init__(home, session, user_id)
        self.joined: dict[RoomId, int] = {}
        self.position: Position = ()  # it has all of its rooms' events up to here
        self._changes: dict[RoomId, int | None] | None = {}  # while `joined` is loading
        self._begun = 0  # the log's beginning that `joined` was loaded after
        self._first = b""

    def change(self, room_id: RoomId, joined_n: int | None) -> None:
        """Add a room, from an event on, or with None remove it."""
        if self._changes is not None:
            self._changes[room_id] = joined_n
        elif joined_n is None:
            self.joined.pop(room_id, None)
        else:
            self.joined[room_id] = joined_n

    async def prepare(self, cursor: str | None) -> None:
        """Take the place that the client asks for; without one, the end of the feed."""
        await self._load()
        now, ends = await self._ends()
        self.position, reason = now, None
        if cursor is not None:
            asked = events.parse_cursor(cursor, len(now))
            if asked is None:
                reason = "malformed"
            elif not events.reached(asked, now):
                reason = "ahead"
            else:
                self.position = asked
        ready = {
            "cursor": events.cursor(self.position),
            "rooms": [{"id": room_id, "last_id": n} for room_id, n in ends.items()],
        }
        self._first = sse.frame("ready", _encode(ready))
        if reason is not None:
            self._first += reset_frame(None, None, reason)

    async def _load(self) -> None:
        """Learn which rooms are the user's; what the feed says meanwhile counts too."""
        self._begun, self._changes = self._home.recent.begun, self._changes or {}
        self.joined = await self._home.memberships(self.user_id)
        changes, self._changes = self._changes, None
        for room_id, joined_n in changes.items():
            self.change(room_id, joined_n)

    async def _reload(self) -> None:
        """Learn it anew: what this process did not hear may be a joining or a leaving."""
        before = set(self.joined)
        await self._load()
        if events.NEVER in self.joined.values():
            await self._ends()
        for room_id in before - set(self.joined):
            self.notify(removed_frame(room_id))

    async def _ends(self) -> tuple[Position, dict[RoomId, int]]:
        """Return the end of the feed, and of the reader's rooms."""
        now, ends = await self._home.ends(self.joined)
        for room_id, joined_n in self.joined.items():
            if joined_n == events.NEVER and room_id in ends:  # joining now: it is in from here on
                self.joined[room_id] = ends[room_id]
        return now, ends

    def _opening(self) -> bytes:
        first, self._first = self._first, b""
        return first

    async def _catch_up(self, out: Outlet) -> None:
        recent = self._home.recent
        while not self.closing:
            if self._begun != recent.begun:
                await self._reload()
            elif not recent.covers(self.position):
                await self._replay(out)
            elif not events.reached(self.position, recent.position):
                await self._home.reached(self.position)  # of another process, a moment ahead
            else:
                before = self.position
                self.position, frames = recent.feed_after(before, self.joined)
                left = recent.left(self.user_id, self.joined, before, self.position)
                chunk = self._begin_anew(left) + frames
                if not chunk:
                    self.seq = recent.seq
                    return
                await out.put(chunk)

    async def _replay(self, out: Outlet) -> None:
        """Write what is no more in memory: partition by partition, each in its order."""
        for partition, end in enumerate(self._home.recent.position):
            while self.position[partition] < end:
                frames = await self._old_chunk(partition, end)
                if frames:
                    await out.put(frames)
                if self.closing:
                    return

    async def _old_chunk(self, partition: int, end: FeedId) -> bytes:
        """Return frames of a page of the feed, and move on to where it ends."""
        async with self._home.turns:
            page = await history.feed_page(
                self._home.streams, self.user_id, self.joined, partition,
                self.position[partition], up_to=end,
            )  # fmt: skip
        frames = [feed_frame(event, self._at(partition, event.feed)) for event in page.events]
        self.position = self._at(partition, page.end)
        metrics.RESUMED.labels("feed").inc()
        return self._begin_anew(page.left) + b"".join(frames)

    def _begin_anew(self, left: set[RoomId]) -> bytes:
        """Say of rooms that the reader left and came back to that they begin with the joining.

        What was said in between, and before the leaving, is not on this stream.
        """
        begins = {room_id: n for room_id in left if (n := self.joined.get(room_id)) is not None}
        return b"".join(
            reset_frame(room_id, None if n == events.NEVER else n - 1, "rejoined")
            for room_id, n in begins.items()
        )

    def delivered(self, position: Position) -> None:
        """Note that all of its rooms' events up to `position` went out while it was live."""
        if events.reached(self.position, position):
            self.position = position

    def _at(self, partition: int, feed: FeedId) -> Position:
        return (*self.position[:partition], feed, *self.position[partition + 1 :])
