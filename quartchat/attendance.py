"""Which streams are open in this process, by user and by room."""

import asyncio

from quartchat.events import RoomId, UserId
from quartchat.readers import Reader
from quartchat.room_reader import RoomReader


class Attendance:
    """All readers of one process."""

    def __init__(self) -> None:
        self.users: dict[UserId, set[Reader]] = {}
        self.rooms: dict[RoomId, set[RoomReader]] = {}  # those of one room alone
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, reader: Reader) -> None:
        """Note that a reader is here."""
        self.users.setdefault(reader.user_id, set()).add(reader)
        if isinstance(reader, RoomReader):
            self.rooms.setdefault(reader.room_id, set()).add(reader)
        self._empty.clear()

    def discard(self, reader: Reader) -> None:
        """Note that a reader is gone."""
        mine = self.users[reader.user_id]
        mine.discard(reader)
        if not mine:
            del self.users[reader.user_id]
        if isinstance(reader, RoomReader):
            here = self.rooms[reader.room_id]
            here.discard(reader)
            if not here:
                del self.rooms[reader.room_id]
        if not self.users:
            self._empty.set()

    def of(self, user_id: UserId) -> list[Reader]:
        """Return a user's readers."""
        return list(self.users.get(user_id, ()))

    def everybody(self) -> list[Reader]:
        """Return all readers."""
        return [reader for mine in self.users.values() for reader in mine]

    async def empty(self) -> None:
        """Wait until nobody is left."""
        await self._empty.wait()
