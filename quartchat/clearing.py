"""The worker's other job: chores that requests left undone, removed rooms, closed accounts.

Everything here may be done twice, and by two workers at once.
"""

import asyncio

import msgspec
import structlog

from quartchat import chores, redis_client, store, tasks
from quartchat.events import RoomId, UserId
from quartchat.store import accounts, clearing, rooms, settings
from quartchat.store import chores as book
from quartchat.store.chores import Chore, ClearAccount, ClearRoom
from quartchat.stream import Streams

LOOK_S = 1.0  # between looks for chores: one query of an index
TAKEN = 20  # chores at once
EVENTS = 500  # removed or renamed by one transaction
ROOMS = 500  # looked through by one query
PAUSE_S = 0.02  # between transactions, so that the archive has its turn
# What was on its way into the archive comes later: it is looked for again.
AGAIN_S = (2, 60, 3600, 24 * 3600)

log = structlog.get_logger()


async def run(streams: Streams) -> None:
    """Do what is due, for ever."""
    tries = 0
    while True:
        try:
            for chore in await store.run(book.take, TAKEN):
                await _do(streams, chore)
            tries = 0
        except (*redis_client.AWAY, *store.AWAY) as error:
            tries += 1
            log.warning("clearing_unavailable", error=str(error), tries=tries)
            await tasks.back_off(tries)
        await asyncio.sleep(LOOK_S)


async def leave_rooms(streams: Streams, user_id: UserId) -> None:
    """Take a closed account out of its rooms; its direct rooms are archived."""
    for room_id in await store.run(clearing.rooms_of, user_id):
        owed = await store.run(rooms.start_leave, user_id, room_id)
        if owed is not None:
            await chores.pay(streams, *owed.chores)
    await chores.pay(streams, *await store.run(settings.archive_direct, user_id))


async def _do(streams: Streams, chore: Chore) -> None:
    try:
        if isinstance(chore.what, ClearRoom):
            await _clear_room(streams, chore.what.room_id)
            await _again(chore, chore.what)
        elif isinstance(chore.what, ClearAccount):
            await _clear_account(streams, chore.what.user_id)
            await _again(chore, chore.what)
        else:
            await chores.pay(streams, chore)
    except (*redis_client.AWAY, *store.AWAY):
        raise
    except Exception:
        log.exception("chore_failed", chore=chore.id)  # it is due again when its lease ends


async def _again(chore: Chore, what: ClearRoom | ClearAccount) -> None:
    if what.done == len(AGAIN_S):
        await store.run(book.done, chore)
    else:
        later = Chore(chore.id, msgspec.structs.replace(what, done=what.done + 1))
        await store.run(book.keep, later, after_ms=AGAIN_S[what.done] * 1000)


async def _clear_room(streams: Streams, room_id: RoomId) -> None:
    left = True
    while left:
        left = await store.run(clearing.remove_events, room_id, EVENTS)
        await asyncio.sleep(PAUSE_S)
    await streams.remove(room_id)


async def _clear_account(streams: Streams, user_id: UserId) -> None:
    await leave_rooms(streams, user_id)
    user = await store.run(accounts.known, user_id)
    after: RoomId | None = RoomId(0)
    while user is not None and after is not None:
        found, after = await store.run(clearing.written_in, user_id, after, ROOMS)
        for room_id in found:
            ns = await store.run(clearing.numbers, user_id, room_id)
            for start in range(0, len(ns), EVENTS):
                await store.run(clearing.rename, user, room_id, ns[start : start + EVENTS])
                await asyncio.sleep(PAUSE_S)
            # Entries of Redis cannot be changed; what SQL has is read from there.
            await streams.trim(room_id, 0, 0)
        # Pages that were read before say otherwise, and whoever has one open is to know.
        for control in accounts.named(user, found) if found else ():
            await streams.control(control)
