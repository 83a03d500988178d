"""Signals to the streams of this process that are live: dropped, never queued, for the others.

A stream that was not live while there was something for it hears `missed` once it is, and
its client asks anew. So a slow or resuming reader costs one number, whatever it missed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from time import monotonic, perf_counter
from typing import NamedTuple

import structlog

from quartchat import signals, sse
from quartchat.events import NOBODY, RoomId, UserId
from quartchat.feed_reader import FeedReader
from quartchat.flush import REST, in_turns
from quartchat.readers import Reader
from quartchat.room_reader import RoomReader
from quartchat.signals import Changes, Marker, Missed, Presence, Signal, Typing

PACE_S = 0.2  # between two rounds of signals, at least; a lone one goes at once
MAX_REST_S = 1.0
PRESENCE_S = 1.0  # between two rounds with changes of presence
USER = "user.update"
TYPING = 10  # people of one room in one round; who sees ten type knows that many do
PRESENCE = 50  # changes of one room in one round; where there are more, `missed` says so
ROOMS = 50_000  # whose last change is remembered

MISSED = signals.frame(Missed())

log = structlog.get_logger()


class _Batch:
    """What a round has for one room: the same bytes for all but those whom they are about."""

    __slots__ = ("_frames", "_whole", "users")

    def __init__(self, events: Iterable[Typing | Presence | Missed]) -> None:
        self._frames = [
            (None if isinstance(event, Missed) else event.user_id, signals.frame(event))
            for event in events
        ]
        self._whole = b"".join(frame for _, frame in self._frames)
        self.users = {user for user, _ in self._frames}  # whom it is about

    def frames(self, user_id: UserId = NOBODY) -> bytes:
        """Return all frames but those about one user."""
        if user_id not in self.users:
            return self._whole
        return b"".join(frame for user, frame in self._frames if user != user_id)


class _Changed(NamedTuple):
    """When a room's presence changed last, and by whom: one's own coming is no news to one."""

    round: int = 0
    user_id: UserId = NOBODY  # who alone changed then
    before: int = 0  # the last round with a change by anybody else

    def by(self, users: Collection[UserId], number: int) -> "_Changed":
        if len(users) > 1:
            return _Changed(number, NOBODY, number)
        (user_id,) = users
        return _Changed(number, user_id, self.before if user_id == self.user_id else self.round)

    def round_for(self, user_id: UserId) -> int:
        return self.before if user_id == self.user_id else self.round


_NEVER = _Changed()
_DEAF = -1  # below every round: a stream that missed something hears of it once it is live


class Herald:
    """Writes signals in rounds: few for many people who type or come at once."""

    def __init__(
        self,
        rooms: Mapping[RoomId, set[RoomReader]],
        users: Mapping[UserId, set[Reader]],
        feeds: Callable[[RoomId], Collection[FeedReader]],
    ) -> None:
        self._rooms = rooms
        self._users = users
        self._feeds = feeds
        self._typing: defaultdict[RoomId, dict[UserId, Typing]] = defaultdict(dict)
        self._presence: defaultdict[RoomId, dict[UserId, bool]] = defaultdict(dict)
        self._presence_at = 0.0  # when changes may be told again
        self._names: dict[UserId, tuple[bytes, set[RoomId]]] = {}  # frame, and where to tell it
        self._round = 1
        self._changed: dict[RoomId, _Changed] = {}
        self._forgotten = 0  # the last round of what is no more in there
        self._news = asyncio.Event()

    # -- readers

    def begin(self, reader: Reader) -> None:
        """Note that a stream's client knows nothing yet, and so has missed nothing."""
        reader.heard = self._round

    def live(self, reader: Reader) -> None:
        """Tell a stream that is live again whether it missed something."""
        heard, reader.heard = reader.heard, self._round
        if heard == self._round:  # as nearly always
            return
        rooms = reader.joined if isinstance(reader, FeedReader) else _room(reader)
        if heard < self._forgotten or any(
            self._changed.get(r, _NEVER).round_for(reader.user_id) > heard for r in rooms
        ):
            reader.write(MISSED)

    # -- signals

    def take(self, found: list[Signal]) -> None:
        """Take in what the partitions' live streams bring."""
        for signal in found:
            if isinstance(signal, Marker):
                self._read(signal)
            elif isinstance(signal, Typing):
                self._typing[signal.room_id][signal.user_id] = signal
            else:
                self._take_changes(signal)
        if self._typing or self._presence:
            self._news.set()

    def renamed(self, user_id: UserId, data: bytes, rooms: Iterable[RoomId]) -> None:
        """Take in what a user is called now, for the user and for whoever is in these rooms."""
        _, before = self._names.get(user_id, (b"", set()))
        self._names[user_id] = (sse.frame(USER, data), before.union(rooms))
        self._news.set()

    def _take_changes(self, changes: Changes) -> None:
        for change in changes:
            for room_id in change.rooms:
                self._presence[room_id][change.user_id] = change.online

    def missed(self) -> None:
        """Tell every stream that signals were lost on their way to this process."""
        self._typing.clear()
        self._presence.clear()
        self._names.clear()
        self._forgotten = self._round
        self._round += 1
        for mine in self._users.values():
            for reader in mine:
                reader.heard = 0
                if reader.is_live:
                    self.live(reader)

    def deaf(self) -> None:
        """Note that names may have been lost: each stream hears of it once it is live again."""
        for mine in self._users.values():
            for reader in mine:
                reader.heard = _DEAF

    def _read(self, marker: Marker) -> None:
        frame = signals.frame(marker)
        for reader in list(self._users.get(marker.user_id, ())):
            if isinstance(reader, FeedReader) or marker.room_id in _room(reader):
                if reader.is_live:
                    reader.write(frame)
                else:
                    reader.heard = _DEAF

    # -- rounds

    async def run(self) -> None:
        """Write whenever there are signals, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            started = perf_counter()
            try:
                await self._write()
            except Exception:
                log.exception("signals_failed")
            took = perf_counter() - started
            await asyncio.sleep(max(PACE_S, min(REST * took, MAX_REST_S)))
            if self._presence:  # held back
                self._news.set()

    async def _write(self) -> None:
        names, self._names = self._names, {}
        for user_id, (frame, rooms) in names.items():
            await self._write_name(user_id, frame, rooms)
        batches = self._take_round()
        mine: defaultdict[FeedReader, list[RoomId]] = defaultdict(list)
        for room_id, batch in batches.items():
            for feed_reader in self._feeds(room_id):
                mine[feed_reader].append(room_id)
            await self._write_room(room_id, batch)
        chunks: dict[tuple[RoomId, ...], bytes] = {}

        def write(reader: FeedReader) -> None:
            found = tuple(room_id for room_id in mine[reader] if room_id in reader.joined)
            if any(reader.user_id in batches[room_id].users for room_id in found):
                chunk = b"".join(batches[room_id].frames(reader.user_id) for room_id in found)
            elif found in chunks:
                chunk = chunks[found]
            else:
                chunk = chunks[found] = b"".join(batches[r].frames() for r in found)
            self._put(reader, chunk)

        await in_turns(mine, write)

    async def _write_name(self, user_id: UserId, frame: bytes, rooms: Iterable[RoomId]) -> None:
        """Write once to each stream, however many of the rooms it has."""
        self._round += 1
        sharing: dict[Reader, None] = {}
        for room_id in rooms:
            sharing |= dict.fromkeys(self._rooms.get(room_id, ()))
            sharing |= dict.fromkeys(self._feeds(room_id))
            self._changed[room_id] = _Changed(self._round, NOBODY, self._round)
        for reader in self._users.get(user_id, ()):
            sharing[reader] = None
            if not reader.is_live:
                reader.heard = _DEAF
        self._forget()
        await in_turns(sharing, lambda reader: self._put(reader, frame))

    async def _write_room(self, room_id: RoomId, batch: _Batch) -> None:
        def write(reader: RoomReader) -> None:
            self._put(reader, batch.frames(reader.user_id))

        await in_turns(self._rooms.get(room_id, ()), write)

    def _put(self, reader: Reader, chunk: bytes) -> None:
        reader.heard = self._round
        if chunk:
            reader.write(chunk)

    def _take_round(self) -> dict[RoomId, _Batch]:
        """Return what this round tells of each room; changes of presence may have to wait."""
        typing, self._typing = self._typing, defaultdict(dict)
        events: defaultdict[RoomId, list[Typing | Presence | Missed]] = defaultdict(list)
        for room_id, by_user in typing.items():
            if self._has_listeners(room_id):
                events[room_id] += list(by_user.values())[:TYPING]
        if self._presence and monotonic() >= self._presence_at:
            presence, self._presence = self._presence, defaultdict(dict)
            self._presence_at = monotonic() + PRESENCE_S
            self._round += 1
            for room_id, changes in presence.items():
                changed = self._changed.get(room_id, _NEVER)
                self._changed[room_id] = changed.by(changes, self._round)
                if not self._has_listeners(room_id):
                    continue
                if len(changes) > PRESENCE:
                    events[room_id].append(Missed(room_id))
                else:
                    events[room_id] += [Presence(room_id, *change) for change in changes.items()]
            self._forget()
        return {room_id: _Batch(found) for room_id, found in events.items()}

    def _forget(self) -> None:
        if len(self._changed) > ROOMS:
            self._changed.clear()
            self._forgotten = self._round

    def _has_listeners(self, room_id: RoomId) -> bool:
        return room_id in self._rooms or bool(self._feeds(room_id))


def _room(reader: Reader) -> tuple[RoomId, ...]:
    return (reader.room_id,) if isinstance(reader, RoomReader) else ()
