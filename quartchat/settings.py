"""The use cases on what a room is: its settings, its archive, its removal, and direct rooms."""

from typing import Any

from quartchat import chores, errors, store
from quartchat.chat import Chat
from quartchat.events import Room, RoomId, User, UserId
from quartchat.store import settings
from quartchat.stream import Streams


class Settings:
    """What rooms are, for one process."""

    def __init__(self, chat: Chat, streams: Streams) -> None:
        self._chat = chat
        self._streams = streams

    async def change(self, user: User, room_id: RoomId, changes: dict[str, Any]) -> Room:
        """Change a room's settings. Raises NotFound, NotAMember, Forbidden, RoomNameTaken."""
        owed = await store.run(settings.change, user.id, room_id, changes)
        self._chat.seats.clear_room(room_id)
        await chores.pay(self._streams, *owed)
        return await self._chat.room(user, room_id)

    async def remove(self, user: User, room_id: RoomId) -> None:
        """Remove a room for ever. Raises NotFound, NotAMember, Forbidden."""
        told, _ = await store.run(settings.remove, user.id, room_id)
        self._chat.seats.clear_room(room_id)
        await chores.pay(self._streams, told)
        await self._streams.remove(room_id)  # the rest is a worker's

    async def direct(self, user: User, peer_id: UserId) -> tuple[Room, bool]:
        """Return the room of the user and another one, and whether it is new.

        Raises NotFound, ValidationFailed.
        """
        if peer_id == user.id:
            raise errors.ValidationFailed("This is your own account.", field="user_id")
        room_id, owed = await store.run(settings.direct, user.id, peer_id)
        await chores.pay(self._streams, *owed)
        return await self._chat.room(user, room_id), bool(owed)
