"""Whom a body names: `@username` of a member of the room, as HTML and as ids.

SQL is asked only for a name that this process has not looked up before, and a name is
looked up anew once its bearer has joined or left.
"""

from collections.abc import Mapping

import msgspec

from quartchat import markup, store
from quartchat.cache import Cache
from quartchat.events import NOBODY, Control, Event, MemberEvent, Position, RoomId, UserId
from quartchat.feed import Feed
from quartchat.fold import Content
from quartchat.store import rooms

NAMES_CACHED = 50_000  # also those that are nobody's
NAME_TTL_S = 60  # and at once where the membership changes

Name = tuple[RoomId, str]

_decode_member = msgspec.json.Decoder(MemberEvent).decode


class Mentions:
    """The names of rooms' members, for one process."""

    def __init__(self, feed: Feed) -> None:
        self._names: Cache[Name, UserId] = Cache(
            size=NAMES_CACHED, ttl_s=NAME_TTL_S, trusted=lambda: feed.fresh, away=store.AWAY
        )
        feed.listen(self._hear, self._forget)

    async def content(self, room_id: RoomId, body: str) -> Content:
        """Render a body for a room. Raises one of `store.AWAY`, if it names somebody new."""
        wanted = [(room_id, name) for name in markup.names(body)]
        found = await self._names.get_many(wanted, _load) if wanted else {}
        members = {name: user for (_, name), user in found.items() if user != NOBODY}
        mentioned: dict[int, None] = {}
        html = markup.render(body, members, mentioned)
        return Content(html, [UserId(user) for user in mentioned])

    def _hear(self, entries: list[tuple[int, Event | Control]]) -> None:
        for _, entry in entries:
            if isinstance(entry, Event) and entry.type.startswith("member."):
                self._names.discard((entry.room_id, _decode_member(entry.data).user.username))

    def _forget(self, _: Position) -> None:
        self._names.clear()


async def _load(names: list[Name]) -> Mapping[Name, UserId]:
    (room_id,) = {room_id for room_id, _ in names}
    found = await store.run(rooms.named, room_id, [name for _, name in names])
    return {(room_id, name): found.get(name, NOBODY) for _, name in names}
