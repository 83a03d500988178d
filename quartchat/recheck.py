"""After a gap in what this process heard: what each reader may have missed, by one task."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from quartchat import redis_client, store, tasks
from quartchat.attendance import Attendance
from quartchat.events import RoomId
from quartchat.readers import Reader, notice_frame
from quartchat.room_reader import RoomReader
from quartchat.store import accounts, rooms

SESSIONS = 500  # looked up at once,
USERS = 20  # and so many users with their rooms

log = structlog.get_logger()


class Recheck:
    """Looks for events, sessions' ends and removals that no entry of the feed told of.

    A reader of all rooms asks by itself for what its rooms are now, before it reads on.
    """

    def __init__(
        self,
        here: Attendance,
        ask_head: Callable[[RoomId], Awaitable[object]],
        remove: Callable[[Reader, RoomId], None],
        wake: Callable[[Reader], None],
    ) -> None:
        self._here = here
        self._ask_head = ask_head  # what a room's last number is
        self._remove = remove  # a room from a reader
        self._wake = wake  # a reader, to catch up by itself
        self._gaps = 0
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look, and once more where there is another gap meanwhile."""
        self._gaps += 1
        if self._here.users and (self.task is None or self.task.done()):
            self.task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self.task is not None:
            await tasks.end(self.task)

    async def _run(self) -> None:
        tries, checked = 0, 0
        while checked != self._gaps:
            gaps = self._gaps
            try:
                await self._check()
                checked = gaps
            except (*redis_client.AWAY, *store.AWAY) as error:
                tries += 1
                log.warning("recheck_unavailable", error=str(error))
                await tasks.back_off(tries)

    async def _check(self) -> None:
        for room_id in list(self._here.rooms):
            await self._ask_head(room_id)
        hashes = list({reader.session for reader in self._here.everybody()})
        good: set[str] = set()
        for start in range(0, len(hashes), SESSIONS):
            good |= await store.run(accounts.live_sessions, hashes[start : start + SESSIONS])
        await self._check_rooms()
        for reader in self._here.everybody():
            if reader.session in hashes and reader.session not in good:
                reader.close(notice_frame("session.revoked", {}))
            self._wake(reader)

    async def _check_rooms(self) -> None:
        users = list({reader.user_id for mine in self._here.rooms.values() for reader in mine})
        for start in range(0, len(users), USERS):
            some = users[start : start + USERS]
            joined = await store.run(rooms.memberships, some)
            for reader in [reader for user_id in some for reader in self._here.of(user_id)]:
                if isinstance(reader, RoomReader) and reader.room_id not in joined[reader.user_id]:
                    self._remove(reader, reader.room_id)
