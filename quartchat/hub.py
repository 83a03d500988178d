"""Fan-out: every event of the feed to every stream of this process that wants it.

A reader is a cursor into `recent`, not a queue, so a slow one costs nothing but its cursor.
Its own request task catches it up, from memory, Redis or SQL; at the head it goes live,
and from then on the hub writes to it, until a write would have to wait. Then its task
finishes that write and catches up again. A live, a resuming and a slow reader are one code.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from time import monotonic

import msgspec
import structlog

from quartchat import errors, losses, metrics, sse, tasks
from quartchat.attendance import Attendance
from quartchat.beats import Beats
from quartchat.config import Config
from quartchat.events import Control, Event, FeedId, MemberEvent, Position, RoomId, UserId
from quartchat.feed import Feed
from quartchat.feed_reader import FeedReader
from quartchat.flush import Flush, in_turns
from quartchat.heads import Heads
from quartchat.herald import Herald
from quartchat.memberships import Memberships
from quartchat.pages import Pages
from quartchat.presence import Presence
from quartchat.readers import Reader, notice_frame, removed_frame
from quartchat.recent import Recent
from quartchat.recheck import Recheck
from quartchat.room_reader import RoomReader
from quartchat.stream import Streams

REPLAYS = 4  # pages read at once for readers of all rooms, whom memory cannot serve
ENDED = 10_000  # sessions remembered as ended, for streams that were just being opened

Allowed = Callable[[], Awaitable[object]]

log = structlog.get_logger()
_decode_member = msgspec.json.Decoder(MemberEvent).decode


class Hub:
    """All streams of one process."""

    def __init__(self, config: Config, streams: Streams, feed: Feed) -> None:
        self.recent = Recent()
        self.streams = streams
        self.turns = tasks.Turns(REPLAYS)
        self._config = config
        self._feed = feed
        here = self._here = Attendance()
        self._heads = Heads(streams, self.recent)
        self._flush = Flush(self.recent, here.rooms, here.everybody, config.web_concurrency)
        self._herald = Herald(here.rooms, here.users, self._flush.feeds)
        self._recheck = Recheck(
            here, partial(self.head, fresh=True), self._remove, self._flush.unlive
        )
        self.presence = Presence(streams, feed)
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._pages = Pages(streams)
        self._memberships = Memberships(feed)
        self._beats = Beats(config.heartbeat_s, config.stream_lifetime_s)
        self.draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        feed.listen(self.publish, self._begin)
        feed.listen_to_signals(self._herald.take, self._herald.missed)

    def start(self) -> None:
        """Begin to flush and to beat."""
        self._spawn(self._flush.run())
        self._spawn(self._herald.run())
        self._spawn(self.presence.run())
        self._spawn(self._beat_for_ever())

    async def drain(self, grace_s: float) -> None:
        """Refuse new streams, end the open ones, wait for that, but not longer than `grace_s`."""
        self.draining = True
        for reader in self._here.everybody():
            reader.close(sse.prelude(random.randint(1000, 5000)))  # noqa: S311 - spreads reconnects
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._here.empty()

    async def stop(self) -> None:
        """End the hub's own tasks."""
        await tasks.end(*self._tasks)
        await self._recheck.stop()
        await self.presence.stop()

    # -- opening and closing

    async def open_room(
        self, session: str, user_id: UserId, room_id: RoomId, cursor: str | None, allowed: Allowed
    ) -> RoomReader:
        """Open a room's stream. Raises what `allowed` raises, RateLimited, Unavailable."""
        reader = RoomReader(self, session, user_id, room_id)
        await self._open(reader, cursor, allowed)
        return reader

    async def open_feed(self, session: str, user_id: UserId, cursor: str | None) -> FeedReader:
        """Open the stream of all of a user's rooms. Raises RateLimited, Unavailable."""
        reader = FeedReader(self, session, user_id)
        await self._open(reader, cursor)
        return reader

    async def _open(
        self, reader: RoomReader | FeedReader, cursor: str | None, allowed: Allowed | None = None
    ) -> None:
        if self.draining or not self.recent.position:
            raise errors.Unavailable(retry_after_s=1)
        mine = self._here.of(reader.user_id)
        if 0 < self._config.streams_per_user <= len(mine):
            raise errors.RateLimited("You have too many open streams.", retry_after_s=5)
        # Attached first, allowed second: a leave or a logout that comes in between is seen.
        self._attach(reader)
        try:
            if allowed is not None:
                await allowed()
            self._check_session(reader.session)
            await reader.prepare(cursor)
        except BaseException:
            self.detach(reader)
            raise

    def _check_session(self, session: str) -> None:
        if session in self._ended:
            raise errors.Unauthenticated

    def _attach(self, reader: Reader) -> None:
        if reader.user_id not in self._here.users:
            self.presence.came(reader.user_id)
        self._here.add(reader)
        self._herald.begin(reader)
        if isinstance(reader, RoomReader):
            self.recent.watch(reader.room_id, 0)
        self._beats.begin(reader)
        metrics.STREAMS.inc()
        metrics.CONNECTS.inc()

    def detach(self, reader: Reader) -> None:
        """Forget a reader."""
        self._flush.unlive(reader)
        self._here.discard(reader)
        if reader.user_id not in self._here.users:
            self.presence.went(reader.user_id)
        if isinstance(reader, RoomReader) and reader.room_id not in self._here.rooms:
            self.recent.unwatch(reader.room_id)
            self._heads.forget(reader.room_id)
        self._beats.discard(reader)
        metrics.STREAMS.dec()

    # -- what a reader asks for

    def live(self, reader: Reader) -> None:
        """Write to a reader from now on."""
        self._flush.live(reader)
        self._herald.live(reader)

    async def head(self, room_id: RoomId, *, fresh: bool = False) -> tuple[int, FeedId]:
        """Return a room's last number, and the end of the feed when Redis was asked for it."""
        return await self._heads.of(room_id, fresh=fresh), self._heads.asked(room_id)

    async def page(self, room_id: RoomId, after: int) -> tuple[FeedId, list[tuple[int, bytes]]]:
        """Return a room's events after a number, from Redis or SQL: see `Pages`."""
        return await self._pages.after(room_id, after, self._heads.asked(room_id))

    async def memberships(self, user_id: UserId) -> dict[RoomId, int]:
        """Return a user's rooms, each with the number of the event of the joining."""
        return await self._memberships.of(user_id)

    async def ends(self, room_ids: Iterable[RoomId]) -> tuple[Position, dict[RoomId, int]]:
        """Return the end of the feed, and rooms' last numbers then."""
        heard = self._feed.position
        found = await self._heads.ends(room_ids)
        self._feed.doubt(heard, found[0])
        return found

    async def reached(self, position: Position) -> None:
        """Wait until the log has everything up to a position. Raises TimeoutError."""
        await self._feed.reached(position)

    # -- what the feed says

    def publish(self, entries: list[tuple[int, Event | Control]]) -> None:
        """Take in what the feed brings, in its order."""
        for partition, entry in entries:
            if isinstance(entry, Event):
                self.recent.add(entry, partition)
                self._flush.dirty.add(entry.room_id)
                if entry.type in ("member.join", "member.leave"):
                    self._member(entry)
                elif entry.type == "message.delete":
                    self._pages.forget(entry.room_id)
            else:
                self.recent.advance(partition, entry)
                self._control(entry)
        self._flush.news.set()

    def _begin(self, position: Position) -> None:
        """Start from a position; what lies before it may have been missed."""
        self._flush.begin(position)
        self._pages.clear()
        self._herald.deaf()
        self._recheck.begin()

    def _control(self, control: Control) -> None:
        mine = self._here.of(control.user_id)
        if control.kind == "session" and control.session is not None:
            self._end_session(control.session, mine)
        elif control.kind == "room" and control.room_id is not None:
            for reader in _of_all_rooms(mine):
                self._add(reader, control.room_id, 0)
                reader.notify(notice_frame("room.added", {"room_id": control.room_id}))
        elif control.kind == "gone" and control.room_id is not None:
            self._gone(control.room_id)
        elif control.kind == "user" and control.data:
            self._herald.renamed(control.user_id, control.data.encode(), control.rooms)
        elif control.kind == "notice":
            frame = sse.frame(control.event, control.data.encode())
            for reader in _of_all_rooms(mine):
                reader.notify(frame)
        elif control.kind == "lost":
            self._pages.clear()
            losses.tell(control, self.recent, self._here.rooms, self._here.everybody())

    def _end_session(self, session: str, mine: Iterable[Reader]) -> None:
        self._ended[session] = None
        if len(self._ended) > ENDED:
            self._ended.popitem(last=False)
        for reader in mine:
            if reader.session == session:
                reader.close(notice_frame("session.revoked", {}))

    def _gone(self, room_id: RoomId) -> None:
        """Take a removed room from every stream."""
        for reader in self._here.everybody():
            if isinstance(reader, FeedReader) and room_id not in reader.joined:
                reader.change(room_id, None)  # it may be asking SQL for its rooms
            else:
                self._remove(reader, room_id)

    def _member(self, event: Event) -> None:
        user_id = _decode_member(event.data).user.id
        if event.type == "member.join" and user_id in self._here.users:
            self.presence.joined(user_id, event.room_id)
        for reader in self._here.of(user_id):
            if event.type == "member.join":
                self._add(reader, event.room_id, event.n)
            else:
                self._remove(reader, event.room_id)

    def _add(self, reader: Reader, room_id: RoomId, joined_n: int) -> None:
        if isinstance(reader, FeedReader):
            reader.change(room_id, joined_n)
            if reader.is_live:
                self._flush.wants(reader, room_id)

    def _remove(self, reader: Reader, room_id: RoomId) -> None:
        frame = removed_frame(room_id)
        if isinstance(reader, FeedReader):
            reader.change(room_id, None)
            self._flush.forget(reader, room_id)
            reader.notify(frame)
        elif isinstance(reader, RoomReader) and reader.room_id == room_id:
            reader.close(frame)

    # -- time

    async def _beat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._beats.tick_s)
            await in_turns(self._beats.due(), self._beat, live=False)

    def _beat(self, reader: Reader) -> None:
        if reader not in self._here.users.get(reader.user_id, ()):
            return  # it went away while others were written to
        if monotonic() >= reader.ends:
            reader.close()
        elif reader.is_live:
            reader.write(sse.HEARTBEAT)
        self._beats.schedule(reader)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _of_all_rooms(readers: Iterable[Reader]) -> list[FeedReader]:
    return [reader for reader in readers if isinstance(reader, FeedReader)]
