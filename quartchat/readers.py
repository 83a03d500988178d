"""Open streams: where each stands, and how it catches up with the log.

A reader knows its hub only as the log and the two calls below; the hub knows its readers.
"""

import asyncio
import random
from typing import Any, Protocol

import msgspec
import structlog

from quartchat import events, exchange, history, metrics, redis_client, sse, store, tasks
from quartchat.events import FeedId, Position, RoomId, UserId
from quartchat.outlet import Outlet, Send, StalledError
from quartchat.recent import Recent, feed_frame, fitting
from quartchat.records import Head
from quartchat.stream import Streams

RETRY_MS = (1000, 5000)  # each reader comes back after a time of its own
NOTICES = 1000  # frames that wait for a stream which is catching up; past it the stream ends

log = structlog.get_logger()
_encode = msgspec.json.encode


class Home(Protocol):
    """What a reader needs of its hub."""

    recent: Recent
    streams: Streams
    turns: tasks.Turns  # for reading pages of the feed

    def live(self, reader: "Reader") -> None:
        """Write to the reader from now on; it stands at the head of the log."""

    def detach(self, reader: "Reader") -> None:
        """Forget the reader."""

    async def head(self, room_id: RoomId, *, fresh: bool = False) -> tuple[int, FeedId]:
        """Return a room's last number, and the end of the feed when Redis was asked for it."""

    async def page(self, room_id: RoomId, after: int) -> tuple[FeedId, list[tuple[int, bytes]]]:
        """Return (number, frame) of a room's events after a number, from Redis or SQL.

        With them a place that the feed's end had passed when they were read.
        """

    async def memberships(self, user_id: UserId) -> dict[RoomId, int]:
        """Return a user's rooms, each with the number of the event of the joining."""

    async def reached(self, position: Position) -> None:
        """Wait until the log has everything up to a position. Raises TimeoutError."""


class Reader:
    """One open stream of one session."""

    __slots__ = (
        "_farewell", "_home", "_notices", "_out", "_parked", "ends", "heard", "is_live", "seq",
        "session", "slot", "user_id",
    )  # fmt: skip

    def __init__(self, home: Home, session: str, user_id: UserId) -> None:
        self.session = session
        self.user_id = user_id
        self.ends = float("inf")  # on the monotonic clock
        self.slot = 0  # in the hub's timer wheel
        self.seq = 0  # of the log when it went live
        self.heard = 0  # the last round of signals that it has had, see `herald`
        self.is_live = False  # whether the hub writes to it
        self._home = home
        self._out: Outlet | None = None
        self._parked: asyncio.Future[None] | None = None  # done when it is live no more
        self._notices: list[bytes] = []
        self._farewell: bytes | None = None  # set: the stream must end

    @property
    def closing(self) -> bool:
        """Whether the stream is about to end."""
        return self._farewell is not None

    async def serve(self, send: Send, start: dict[str, Any]) -> bool:
        """Write the response, beginning with `start`, until the stream ends.

        False if the response could not be ended, because nobody reads it any more.
        """
        out = None
        try:
            await send(start)
            self._out = out = Outlet(send, exchange.lane(send))
            await out.put(sse.prelude(random.randint(*RETRY_MS)) + self._opening())  # noqa: S311
            while self._farewell is None:
                await self._say(out)
                await self._catch_up(out)
                tasks.heed()  # or a client that went away would be kept until the next write
                if self._farewell is None and not self._notices:
                    self._parked = asyncio.get_running_loop().create_future()
                    self.is_live = True
                    self._home.live(self)
                    await self._parked
                    await out.finish()
            await self._say(out)
            await out.put(self._farewell, last=True)
        except StalledError:
            metrics.SLOW.inc()
            if out is not None:
                out.cut()
            return False
        except ConnectionError:
            return False  # the client went away, as clients do
        except (*redis_client.AWAY, *store.AWAY) as error:
            log.warning("stream_cut", error=f"{type(error).__name__}: {error}")
            return False  # it comes back, and resumes where it was
        else:
            return True
        finally:
            self.is_live = False
            if out is not None:
                out.abandon()
            self._home.detach(self)

    def abandon(self) -> None:
        """Do without `serve`: the client went away before."""
        self._home.detach(self)

    def write(self, chunk: bytes) -> bool:
        """Write to a live reader; False if it is live no more, because its socket is full."""
        assert self._out is not None  # noqa: S101 - a live reader is being served
        if self._out.write(chunk):
            return True
        self.hand_back()
        return False

    def notify(self, frame: bytes) -> None:
        """Write a frame that has no place in the log."""
        if self.is_live:
            self.write(frame)
        elif len(self._notices) < NOTICES:
            self._notices.append(frame)
        else:
            self.close()  # and the next one's `ready` says which rooms there are

    def hand_back(self) -> None:
        """Give a live reader back to its own task."""
        self.is_live = False
        if self._parked is not None and not self._parked.done():
            self._parked.set_result(None)

    def close(self, farewell: bytes = b"") -> None:
        """End the stream, with some last bytes."""
        if self._farewell is None:
            self._farewell = farewell
            self.hand_back()
            if self._out is not None:
                self._out.hurry()

    async def _say(self, out: Outlet) -> None:
        notices, self._notices = self._notices, []
        if notices:
            await out.put(b"".join(notices))

    def _opening(self) -> bytes:
        raise NotImplementedError

    async def _catch_up(self, out: Outlet) -> None:
        """Write all that the reader has not had; return without a pause after the last look."""
        raise NotImplementedError


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
        now, heads = await self._heads()
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
            "rooms": [{"id": room_id, "last_id": head.n} for room_id, head in heads.items()],
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
            await self._heads()
        for room_id in before - set(self.joined):
            self.notify(removed_frame(room_id))

    async def _heads(self) -> tuple[Position, dict[RoomId, Head]]:
        """Return the end of the feed, and where the reader's rooms stand."""
        now, heads = await history.heads(self._home.streams, list(self.joined), self.user_id)
        for room_id, joined_n in self.joined.items():
            if joined_n == events.NEVER:  # joining at this moment: it is in from now on
                self.joined[room_id] = heads[room_id].n
        return now, heads

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
                self.position, frames = recent.feed_after(self.position, self.joined)
                if not frames:
                    self.seq = recent.seq
                    return
                await out.put(frames)

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
            reached, found = await history.feed_page(
                self._home.streams, self.joined, partition, self.position[partition], end
            )
        frames = [feed_frame(event, self._at(partition, event.feed)) for event in found]
        self.position = self._at(partition, reached)
        metrics.RESUMED.labels("feed").inc()
        return b"".join(frames)

    def delivered(self, position: Position) -> None:
        """Note that all of its rooms' events up to `position` went out while it was live."""
        if events.reached(self.position, position):
            self.position = position

    def _at(self, partition: int, feed: FeedId) -> Position:
        return (*self.position[:partition], feed, *self.position[partition + 1 :])


def reset_frame(room_id: RoomId | None, last_id: int | None, reason: str) -> bytes:
    """Encode the event that says that a cursor cannot be served; without a room, in all rooms."""
    metrics.RESETS.inc()
    data = {"room_id": room_id, "last_id": last_id, "reason": reason}
    return sse.frame("reset", _encode(data))


def removed_frame(room_id: RoomId) -> bytes:
    """Encode the event that says that a room is the reader's no more."""
    return notice_frame("room.removed", {"room_id": room_id})


def notice_frame(event: str, data: dict[str, object]) -> bytes:
    """Encode an event that has no id and no history."""
    return sse.frame(event, _encode(data))
