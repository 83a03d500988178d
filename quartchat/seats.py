"""Who is in which room, from memory: what every send and every stream asks first.

A room is had only through the user who asks, so that no check can be forgotten.
"""

from functools import partial

import msgspec

from quartchat import errors, store
from quartchat.cache import Cache
from quartchat.events import Control, Event, MemberEvent, Position, RoomId, User, UserId
from quartchat.feed import Feed
from quartchat.store import rooms
from quartchat.store.rooms import RoomRow

SEATS_CACHED = 50_000
SEAT_TTL_S = 60  # and at once where the membership or the room changes

_decode_member = msgspec.json.Decoder(MemberEvent).decode


class Seats:
    """Memberships, for one process; what the feed says of them is heard on all processes."""

    def __init__(self, feed: Feed) -> None:
        self._cache: Cache[tuple[UserId, RoomId], RoomRow] = Cache(
            size=SEATS_CACHED, ttl_s=SEAT_TTL_S, trusted=lambda: feed.fresh
        )
        feed.listen(self._hear, self._forget)

    async def seat(self, user: User, room_id: RoomId) -> RoomRow:
        """Return the room that a member is in. Raises NotAMember, or NotFound if it is hidden."""
        row = await self._cache.get(
            (user.id, room_id), partial(store.run, rooms.room, user.id, room_id)
        )
        if row is None:
            raise errors.NotFound
        if row.role is None:
            raise errors.NotAMember
        return row

    async def writer(self, user: User, room_id: RoomId) -> RoomRow:
        """Return the room that a member may write in. Raises RoomArchived, too."""
        row = await self.seat(user, room_id)
        if row.archived:
            raise errors.RoomArchived
        return row

    def vacate(self, user_id: UserId, room_id: RoomId) -> None:
        """Ask SQL anew how a user stands to a room."""
        self._cache.discard((user_id, room_id))

    def clear_room(self, room_id: RoomId) -> None:
        """Ask SQL anew what a room is, and who is in it."""
        self._cache.discard_where(lambda key, _: key[1] == room_id)

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
