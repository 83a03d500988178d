"""Open streams: how one is written to, live by its hub and else by its own task.

A reader knows its hub only as its home, which is declared here; the hub knows its readers.
What a reader reads is for `room_reader` and `feed_reader`.
"""

import asyncio
import random
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
import structlog

from quartchat import exchange, metrics, redis_client, sse, store, tasks
from quartchat.events import FeedId, Position, RoomId, UserId
from quartchat.outlet import Outlet, Send, StalledError
from quartchat.recent import Recent
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

    async def ends(self, room_ids: Iterable[RoomId]) -> tuple[Position, dict[RoomId, int]]:
        """Return the end of the feed, and rooms' last numbers then."""

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
