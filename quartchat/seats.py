"""Who is in which room, from memory: what every send and every stream asks first.

A room is had only through the user who asks, so that no check can be forgotten.
"""

from collections.abc import Mapping
from functools import partial

import msgspec

from quartchat import errors, store
from quartchat.cache import Cache
from quartchat.events import Control, Event, MemberEvent, Position, RoomId, User, UserId
from quartchat.feed import Feed
from quartchat.loader import Loader
from quartchat.store import rooms
from quartchat.store import seats as memberships
from quartchat.store.seats import Seat

SEATS_CACHED = 100_000
USERS_CACHED = 20_000
SEAT_TTL_S = 60  # and at once where the membership or the room changes
USERS_AT_ONCE = 100  # looked up by one query,
SEATS_AT_ONCE = 2_000  # which finds at most so many seats: 5 ms of this process

Key = tuple[UserId, RoomId]

_decode_member = msgspec.json.Decoder(MemberEvent).decode


class Seats:
    """Memberships, for one process; what the feed says of them is heard on all processes.

    Who is asked for the first time is looked up with all of their rooms, which they will ask
    for next; a room that is not found then, or that has changed, is looked up by itself.
    """

    def __init__(self, feed: Feed) -> None:
        self._cache: Cache[Key, Seat] = Cache(
            size=SEATS_CACHED, ttl_s=SEAT_TTL_S, trusted=lambda: feed.fresh, away=store.AWAY
        )
        self._users: Cache[UserId, bool] = Cache(  # who was looked up with all of their rooms
            size=USERS_CACHED, ttl_s=SEAT_TTL_S, trusted=lambda: feed.fresh
        )
        self._loader: Loader[UserId, Mapping[Key, Seat]] = Loader(self._load, most=USERS_AT_ONCE)
        feed.listen(self._hear, self._forget)

    async def seat(self, user: User, room_id: RoomId) -> Seat:
        """Return a member's seat in a room. Raises NotAMember, or NotFound if it is hidden."""
        key = (user.id, room_id)
        found = self._cache.peek(key)
        if found is None:
            found = await self._cache.get(key, partial(self._look_up, *key))
        assert found is not None  # noqa: S101 - `_seat` raises
        return found

    async def writer(self, user: User, room_id: RoomId) -> None:
        """Check that a member may write in a room. Raises RoomArchived, too."""
        if (await self.seat(user, room_id)).archived:
            raise errors.RoomArchived

    def vacate(self, user_id: UserId, room_id: RoomId) -> None:
        """Ask SQL anew how a user stands to a room."""
        self._cache.discard((user_id, room_id))

    def clear_room(self, room_id: RoomId) -> None:
        """Ask SQL anew what a room is, and who is in it."""
        self._cache.discard_where(lambda key, _: key[1] == room_id)

    async def _look_up(self, user_id: UserId, room_id: RoomId) -> Seat:
        found = None
        if self._users.peek(user_id) is None:
            found = (await self._loader.get(user_id) or {}).get((user_id, room_id))
        return found or await _seat(user_id, room_id)

    async def _load(self, user_ids: list[UserId]) -> dict[UserId, Mapping[Key, Seat]]:
        query = partial(store.run, memberships.seats, user_ids, SEATS_AT_ONCE)
        found = await self._cache.load(query)
        # Where there were too many, the last one's are incomplete: the next time again.
        last = max(found)[0] if len(found) == SEATS_AT_ONCE else None
        for user_id in user_ids:
            if last is None or user_id < last or user_id == min(user_ids):
                self._users.put(user_id, value=True)
        return dict.fromkeys(user_ids, found)

    def _hear(self, entries: list[tuple[int, Event | Control]]) -> None:
        for _, entry in entries:
            if isinstance(entry, Event):
                if entry.type.startswith("member."):
                    self.vacate(_decode_member(entry.data).user.id, entry.room_id)
                elif entry.type == "room.update":
                    self.clear_room(entry.room_id)
            elif entry.kind == "gone" and entry.room_id is not None:
                self.clear_room(entry.room_id)

    def _forget(self, _: Position) -> None:
        self._cache.clear()
        self._users.clear()


async def _seat(user_id: UserId, room_id: RoomId) -> Seat:
    row = await store.run(rooms.room, user_id, room_id)
    if row is None:
        raise errors.NotFound
    if row.role is None:
        raise errors.NotAMember
    return Seat(row.role, row.archived)
