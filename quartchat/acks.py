"""Sends that are acknowledged only once SQL holds them (QUARTCHAT_ACK=archived).

The web process commits them itself, many in one transaction, and the worker, which gets them
by the feed as ever, finds them stored.
"""

import asyncio

import msgspec

from quartchat import errors, metrics, records, store
from quartchat.events import Event, RoomId, User, UserId, numbered
from quartchat.records import Appended, Draft
from quartchat.store import events as archive
from quartchat.store.events import Archived

ACK_S = 5.0  # what SQL gets; then 503, and the send may be repeated
LOOK_S = 0.05  # between looks for what another process is to commit
BATCH = 200  # events of one commit
WAITING = 4096  # events that wait for one; past it a send is 503 at once, and may be repeated


class _Data(msgspec.Struct):
    """What the archive reads of an event's JSON, whatever its type."""

    id: int = 0
    message_id: int | None = None
    author: User | None = None
    user: User | None = None
    client_id: str | None = None


_decode = msgspec.json.Decoder(_Data).decode


def row(event: Event) -> Archived:
    """Return an event as the archive takes it."""
    data = _decode(event.data)
    author = data.author or data.user
    author_id = author.id if author else UserId(0)
    if event.type in ("message.update", "message.delete"):
        return Archived(event, author_id, event.key, data.id, event.data)
    if data.message_id is not None:
        return Archived(event, author_id, event.key, data.message_id, event.state)
    return Archived(event, author_id, data.client_id)


class Acks:
    """Commits of one process: those that come while one is under way go together as the next."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Archived, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def stored(self, draft: Draft, appended: Appended) -> None:
        """Return once SQL holds what was sent. Raises Unavailable, TimeoutError, one of `AWAY`."""
        if appended.outcome == "new":
            data = numbered(appended.n, draft.rest)
            await self._commit(records.event(draft, appended, data))
        elif appended.outcome == "again":
            await self.committed(draft.room_id, appended.n)

    async def committed(self, room_id: RoomId, n: int) -> None:
        """Wait until SQL holds an event that an earlier send made."""
        async with asyncio.timeout(ACK_S):
            while await store.run(archive.event, room_id, n) is None:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)

    async def _commit(self, event: Event) -> None:
        if len(self._waiting) >= WAITING:
            raise errors.Unavailable(retry_after_s=1)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((row(event), future))
        if self._task is None:
            self._task = asyncio.create_task(self._commit_all())
        async with asyncio.timeout(ACK_S):
            await future

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                # Whose caller has given up is left to the worker.
                batch = [item for item in self._waiting[:BATCH] if not item[1].done()]
                del self._waiting[:BATCH]
                outcome = await self._insert([item for item, _ in batch])
                for item, future in batch:
                    key = (item.event.room_id, item.event.n)
                    error = outcome if isinstance(outcome, Exception) else outcome.get(key)
                    if future.done():  # its caller went away
                        continue
                    if error is None:
                        future.set_result(None)
                    else:
                        future.set_exception(error)
        finally:
            self._task = None

    async def _insert(
        self, batch: list[Archived]
    ) -> Exception | dict[tuple[RoomId, int], Exception]:
        try:
            clashes = await store.run(archive.add_events, batch)
        except Exception as error:  # noqa: BLE001 - each caller gets it
            return error
        for clash in clashes:
            metrics.CLASHES.labels(clash.what).inc()
        return {
            (clash.room_id, clash.n): errors.Unavailable(retry_after_s=1)
            for clash in clashes
            if clash.what == "number"
        }
