"""Which rooms are a user's, as a stream of all of them asks when it is opened.

SQL is asked each time, for what another process did a moment ago may not have been heard here
yet. Where it is away, what it said last is used.
"""

from functools import partial

import msgspec

from quartchat import store
from quartchat.cache import Cache
from quartchat.events import Control, Event, MemberEvent, Position, RoomId, UserId
from quartchat.feed import Feed
from quartchat.loader import Loader
from quartchat.store import rooms

USERS_AT_ONCE = 20  # whose rooms are looked up by one query
HELD = 200_000  # users and rooms of theirs that are kept for when SQL is away: 20 MB

Joined = dict[RoomId, int]

_decode_member = msgspec.json.Decoder(MemberEvent).decode


class Memberships:
    """Users' rooms, for one process."""

    def __init__(self, feed: Feed) -> None:
        self._cache: Cache[UserId, Joined] = Cache(
            size=HELD,
            ttl_s=0,
            trusted=lambda: feed.fresh,
            away=store.AWAY,
            weigh=lambda joined: 1 + len(joined),
        )
        self._loader: Loader[UserId, Joined] = Loader(
            lambda user_ids: store.run(rooms.memberships, user_ids), most=USERS_AT_ONCE
        )
        feed.listen(self._hear, self._forget)

    async def of(self, user_id: UserId) -> Joined:
        """Return a user's rooms, each with the number of the event of the joining."""
        found = await self._cache.get(user_id, partial(self._loader.get, user_id))
        return dict(found or {})

    def _hear(self, entries: list[tuple[int, Event | Control]]) -> None:
        for _, entry in entries:
            if isinstance(entry, Event):
                if entry.type in ("member.join", "member.leave"):
                    self._cache.discard(_decode_member(entry.data).user.id)
            elif entry.kind == "room":
                self._cache.discard(entry.user_id)
            elif entry.kind == "gone":
                self._gone(entry.room_id)

    def _gone(self, room_id: RoomId | None) -> None:
        self._cache.discard_where(lambda _, joined: room_id in joined)

    def _forget(self, _: Position) -> None:
        self._cache.clear()
