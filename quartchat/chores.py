"""Doing what a commit of SQL owes to Redis: by the request that owes it, or by a worker."""

from quartchat import errors, events, history, store
from quartchat.events import MemberEvent
from quartchat.records import Draft
from quartchat.store import accounts, rooms
from quartchat.store import chores as book
from quartchat.store.chores import Announce, Chore, Leave, Tell
from quartchat.stream import Streams

RETRY_S = 1  # what a 503 asks the client to wait


async def pay(streams: Streams, *chores: Chore) -> None:
    """Do chores of the kinds that a request does, in order; may be repeated.

    What their rooms' logs are owed from before comes first, also where another process is at it.
    """
    for chore in chores:
        if isinstance(chore.what, Tell | Leave):
            for earlier in await store.run(book.before, chore.id, chore.what.room_id):
                await _do(streams, earlier)
        await _do(streams, chore)


async def _do(streams: Streams, chore: Chore) -> None:
    if isinstance(chore.what, Tell):
        await _tell(streams, chore.what)
    elif isinstance(chore.what, Leave):
        await _leave(streams, chore.what)
    elif isinstance(chore.what, Announce):
        for control in chore.what.controls:
            await streams.control(control)
    await store.run(book.done, chore)


async def _leave(streams: Streams, what: Leave) -> None:
    user = await store.run(accounts.known, what.user_id)
    if user is not None:
        event = MemberEvent(0, what.room_id, user, what.role)
        rest = events.unnumbered(event).decode()
        joining = book.joining(what.ticket)
        if joining is not None:  # first, so that its own request finds it told
            await _tell(streams, Tell(what.room_id, what.user_id, "member.join", rest, joining))
        await _tell(streams, Tell(what.room_id, what.user_id, "member.leave", rest, what.ticket))
    await store.run(rooms.finish_leave, what.user_id, what.room_id, what.ticket)


async def _tell(streams: Streams, what: Tell) -> None:
    """Put an event on a room's log, once. Raises Unavailable."""
    draft = Draft(
        room_id=what.room_id, author_id=what.author_id, type=what.type,
        rest=what.rest.encode(), key=what.key, digest="",
    )  # fmt: skip
    appended = await streams.append(draft)
    if appended.outcome == "unseeded":
        if not await history.seed(streams, draft.room_id):  # removed, and its log with it
            return
        appended = await streams.append(draft)
    if appended.outcome not in ("new", "again"):  # `full`
        raise errors.Unavailable("The archive is too far behind.", retry_after_s=RETRY_S)
