"""A room's events as one sequence over Redis and SQL, however old.

Redis holds a room's newest events without a hole, SQL holds at least all that Redis has
trimmed. So whoever reads Redis first, and asks SQL only for what lies below what was
found there, misses nothing, whatever is archived or trimmed in between.

Events are the log as it was, but for the texts of deleted messages; messages and pages of
them are its fold. SQL holds messages as far as it is archived, and Redis holds each changed
one as it stands until SQL has all of its changes and the last one is out of the room's window.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import structlog

from quartchat import errors, fold, metrics, store
from quartchat.events import NEVER, NOBODY, Event, FeedId, Position, RoomId, UserId, leaves
from quartchat.recent import fitting
from quartchat.records import Head, Standing
from quartchat.store import changes, rooms
from quartchat.store import events as archive
from quartchat.stream import States, Streams

READ = 100  # events read from Redis at once, at least: not all of them are messages
FEED_PAGE = 500  # events read at once when a reader of all rooms is behind
RESTORE = 3000  # events put back at most; where more are missing, the room is read from SQL

log = structlog.get_logger()
_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, oldest first, and whether there are others on either side."""

    messages: list[Event]
    more_before: bool
    more_after: bool


async def after(streams: Streams, room_id: RoomId, n: int, limit: int) -> list[Event]:
    """Return up to `limit` events of every type with numbers n+1, n+2, …; empty at the head.

    Of a message that is deleted by now, and of its edits, what is left of it.
    """
    forgotten, found = await streams.replay(room_id, n, limit)
    if found and found[0].n == n + 1:
        return found
    # All that Redis lacks in front of what it gave is in SQL. Of what it has, SQL may have some
    # and lack others: one worker commits while another still holds what came before.
    first = found[0].n if found else NEVER
    query = partial(archive.after, room_id, n, limit)
    rows, changed = await _with_changes(streams, room_id, forgotten, query)
    deleted = {id_: state.data for id_, state in changed.items() if fold.is_deleted(state.data)}
    rows = [
        row if (id_ := fold.text_of(row)) not in deleted else _replace(row, data=deleted[id_])
        for row in rows
        if row.n < first
    ]
    return (rows + found)[:limit]


async def event(streams: Streams, room_id: RoomId, n: int) -> Event | None:
    """Return one event as it was, or None."""
    found = await streams.read(room_id, n - 1, 1)
    if found and found[0].n == n:
        return found[0]
    return await store.run(archive.event, room_id, n)


async def message(
    streams: Streams, room_id: RoomId, n: int, *, kept: bool = False
) -> Standing | None:
    """Return one message as it stands, or None; `kept`: see `Streams.states`.

    Redis is asked for changes first. What it has forgotten by then, SQL knows; what comes
    after that is for the caller's append to find out.
    """
    forgotten, changed = await streams.states(room_id, [n], kept=kept)
    if n in changed:
        return changed[n]
    found = await streams.read(room_id, n - 1, 1)
    held = found[0] if found and found[0].n == n else None
    if held is None:
        held = await store.run(archive.message, room_id, n)
    if held is None or held.type != "message":
        return None
    return Standing(held.data, b"", forgotten)


async def head(streams: Streams, room_id: RoomId, user_id: UserId = NOBODY) -> Head:
    """Return where a room stands, and the user in it. Raises NotFound if it is removed."""
    found = (await heads(streams, [room_id], user_id))[1].get(room_id)
    if found is None:
        raise errors.NotFound
    return found


async def heads(
    streams: Streams, room_ids: Sequence[RoomId], user_id: UserId, *, kept: bool = False
) -> tuple[Position, dict[RoomId, Head]]:
    """Return the feed's end and where rooms stand; Redis is told first where it does not know.

    A room that is removed meanwhile is missing from the answer. `kept`: see `Streams.snapshot`.
    """
    position, found = await streams.snapshot(room_ids, user_id, kept=kept)
    unknown = [room_id for room_id in room_ids if room_id not in found]
    if unknown:
        for room_id in unknown:
            await seed(streams, room_id)
        position, found = await streams.snapshot(room_ids, user_id, kept=kept)
    return position, found


async def seed(streams: Streams, room_id: RoomId) -> bool:
    """Tell Redis where SQL says that a room stands, so that no number is used twice.

    A Redis that lost the end of a room gets back what SQL holds of it. False: the room is
    removed, and stays forgotten.
    """
    if await store.run(rooms.is_removed, room_id):
        return False
    n, messages = await store.run(archive.tail, room_id)
    gap = await streams.seed(room_id, n, messages, tell=True)
    if gap is not None:
        log.error("redis_lost_events", room=room_id, after=gap, up_to=n)
        metrics.RESTORED.inc(n - gap)
        lost = await store.run(archive.after, room_id, gap, RESTORE)
        ids = {id_ for event in lost if (id_ := fold.about(event)) is not None}
        rows = await store.run(changes.latest, [(room_id, id_) for id_ in ids])
        changed = [(row.about, row.n, row.data) for row in rows]
        await streams.seed(room_id, n, messages, lost, changed, tell=True)
    return True


async def page_before(streams: Streams, room_id: RoomId, n: int | None, limit: int) -> Page:
    """Return the `limit` messages before id `n`; with None the newest."""
    found = await _before(streams, room_id, n, limit + 1)
    more_after = n is not None and bool(await _after(streams, room_id, n - 1, 1))
    return Page(found[:limit][::-1], more_before=len(found) > limit, more_after=more_after)


async def page_after(streams: Streams, room_id: RoomId, n: int, limit: int) -> Page:
    """Return the `limit` messages after id `n`."""
    found = await _after(streams, room_id, n, limit + 1)
    more_before = bool(await _before(streams, room_id, n + 1, 1))
    return Page(found[:limit], more_before=more_before, more_after=len(found) > limit)


async def page_around(streams: Streams, room_id: RoomId, n: int, limit: int) -> Page:
    """Return up to `limit` messages with id `n` in their middle."""
    half = limit // 2
    older = await _before(streams, room_id, n, half + 1)
    newer = await _after(streams, room_id, n - 1, limit - half + 1)
    return Page(
        older[:half][::-1] + newer[: limit - half],
        more_before=len(older) > half,
        more_after=len(newer) > limit - half,
    )


async def _before(streams: Streams, room_id: RoomId, n: int | None, limit: int) -> list[Event]:
    messages: list[Event] = []
    count = max(limit, READ)
    while len(messages) < limit:
        forgotten, found = await streams.look_back(room_id, n, count)
        messages += (event for event in found if event.type == "message")
        n = found[-1].n if found else n
        wanted = limit - len(messages)
        if len(found) < count:  # Redis has nothing below n: the rest is archived
            if wanted > 0:
                query = partial(archive.messages_before, room_id, n, wanted)
                messages += await _archived(streams, room_id, forgotten, query)
            break
    return messages[:limit]


async def _after(streams: Streams, room_id: RoomId, n: int, limit: int) -> list[Event]:
    messages: list[Event] = []
    count = max(limit, READ)
    while len(messages) < limit:
        forgotten, found = await streams.look(room_id, n, count)
        if not found or found[0].n > n + 1:
            # What lies between n and the first entry is archived; with no entry, all is.
            below = found[0].n if found else NEVER
            wanted = limit - len(messages)
            query = partial(archive.messages_after, room_id, n, below, wanted)
            messages += await _archived(streams, room_id, forgotten, query)
        messages += (event for event in found if event.type == "message")
        if len(found) < count:
            break
        n = found[-1].n
    return messages[:limit]


async def _archived(
    streams: Streams, room_id: RoomId, forgotten: bytes, query: Callable[[], list[Event]]
) -> list[Event]:
    """Return messages of SQL as Redis and SQL together know them."""
    rows, changed = await _with_changes(streams, room_id, forgotten, query)
    return [_replace(row, data=changed[row.n].data) if row.n in changed else row for row in rows]


async def _with_changes(
    streams: Streams, room_id: RoomId, forgotten: bytes, query: Callable[[], list[Event]]
) -> tuple[list[Event], States]:
    """Return events of SQL, and what Redis knows of changes of the messages that they bring.

    Redis had forgotten changes up to `forgotten` before SQL was asked. If it has forgotten
    more meanwhile, those may be missing from both answers, and SQL is asked again.
    """
    while True:
        rows = await store.run(query)
        ids = {fold.text_of(row) for row in rows} - {0}
        now, changed = await streams.states(room_id, list(ids))
        if now == forgotten or not rows:
            return rows, changed
        forgotten = now


@dataclass(frozen=True, slots=True)
class FeedPage:
    """A user's events from the feed; there may be none, and still be more behind the end."""

    end: FeedId
    events: list[Event]
    left: set[RoomId]  # rooms that the user left here, and came back to


async def feed_page(
    streams: Streams,
    user_id: UserId,
    joined: dict[RoomId, int],
    partition: int,
    feed: FeedId,
    *,
    up_to: FeedId,
) -> FeedPage:
    """Return a page of what follows `feed` up to `up_to` in a user's rooms.

    `joined` gives for each room the number from which on it is the user's.
    """
    mine = {r: n for r, n in joined.items() if streams.partition(r) == partition}
    entries = await streams.read_feed(partition, feed, FEED_PAGE)
    # Asked after the read: what had been trimmed by then may be missing from it. Where nothing
    # is left of what this process has seen, Redis has lost it.
    trimmed = min(await streams.trimmed(partition), up_to)
    if not entries and trimmed <= feed:
        trimmed = up_to
    if feed < trimmed:
        found = await store.run(archive.feed, mine, feed, trimmed, FEED_PAGE)
        end = found[-1].feed if len(found) == FEED_PAGE else trimmed
        leavings = await store.run(archive.leavings, user_id, feed, end)
    else:
        end = min(entries[-1].feed, up_to) if entries else up_to
        page = [entry for entry in entries if isinstance(entry, Event) and entry.feed <= end]
        found = [entry for entry in page if entry.n >= mine.get(entry.room_id, NEVER)]
        leavings = [entry for entry in page if leaves(entry, user_id)]
    # A reader that does not read holds what it was given, so it is given no more than a chunk.
    count = fitting(len(event.data) for event in found)
    if count < len(found):
        end, found = found[count - 1].feed, found[:count]
    left = {e.room_id for e in leavings if e.feed <= end and e.n < mine.get(e.room_id, 0)}
    return FeedPage(end, found, left)
