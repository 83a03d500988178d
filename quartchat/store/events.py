"""Queries on the archive of events.

Rows come from the workers alone, in batches; `(room_id, n)` makes a repeated batch harmless.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import peewee as pw

from quartchat.events import Event, FeedId, RoomId, UserId
from quartchat.store import changes, documents, mentions, models, seats, transaction
from quartchat.store.changes import State

ROOMS_PER_QUERY = 100  # SQLite takes at most 500 terms in a compound SELECT
KEYS_PER_QUERY = 500
ROWS_PER_INSERT = 100  # SQLite before 3.32 takes at most 999 parameters

# Written out, because SQLite matches a partial index against the text of a query only.
_IS_MESSAGE = pw.SQL("type = 'message'")
_IS_LEAVING = pw.SQL("type = 'member.leave'")


@dataclass(frozen=True, slots=True)
class Archived:
    """An event on its way into the archive."""

    event: Event
    author_id: UserId
    client_id: str | None
    about: int | None = None  # the message that it changes
    state: bytes = b""  # and what that is after it


@dataclass(frozen=True, slots=True)
class Clash:
    """An event whose number or client_id SQL holds for something else.

    That is what a Redis leaves behind that lost a tail it had acknowledged.
    """

    room_id: RoomId
    n: int
    what: str  # number: the row stands, this event is not in; client_id: stored without it


def add_events(batch: Sequence[Archived]) -> list[Clash]:
    """Store a batch, each event once; what clashes with other content is returned, not lost."""
    with transaction():
        changes.lock(alone=any(item.about is not None for item in batch))
        clashes = _insert(batch)
        refused = {(clash.room_id, clash.n) for clash in clashes if clash.what == "number"}
        standing = changes.apply(
            [_state(item) for item in batch if (item.event.room_id, item.event.n) not in refused]
        )
        for state in standing:
            mentions.note(state.room_id, state.data, changed=state.type != "message")
        feeds = {(item.event.room_id, item.event.n): item.event.feed for item in batch}
        documents.index(
            Event(s.room_id, s.about, "message", s.data, feeds.get((s.room_id, s.about), FeedId(0)))
            for s in standing
        )
        seats.mark_read(
            {  # who writes has read
                (item.event.room_id, item.author_id): (item.event.n, item.event.messages)
                for item in batch
                if item.event.type == "message"
            }
        )
        return clashes


def _state(item: Archived) -> State:
    event = item.event
    about, data = (item.about, item.state) if item.about else (event.n, event.data)
    return State(event.room_id, about, event.n, event.type, data)


def tail(room_id: RoomId) -> tuple[int, int]:
    """Return a room's last archived number, and its messages up to it."""
    row = (
        models.Event.select(models.Event.n, models.Event.messages)
        .where(models.Event.room_id == room_id)
        .order_by(models.Event.n.desc())
        .tuples()
        .first()
    )
    return row or (0, 0)


def event(room_id: RoomId, n: int) -> Event | None:
    """Return one event as it was, or None."""
    row = _events().where(models.Event.room_id == room_id, models.Event.n == n).first()
    return None if row is None else _event(row)


def message(room_id: RoomId, n: int) -> Event | None:
    """Return one message as it stands, or None."""
    here = (models.Event.room_id == room_id) & (models.Event.n == n)
    return next(iter(_list(_messages().where(here, _IS_MESSAGE))), None)


def sent(room_id: RoomId, author_id: UserId, client_id: str) -> tuple[Event, str | None] | None:
    """Return the event that an author's request under a client_id made, or None.

    With it the request's digest, if a text of it was deleted.
    """
    here = models.Event.room_id == room_id, models.Event.author_id == author_id
    query = _events().select_extend(models.Event.digest)
    row = query.where(*here, models.Event.client_id == client_id).first()
    return None if row is None else (_event(row[:-1]), row[-1])


def after(room_id: RoomId, n: int, limit: int) -> list[Event]:
    """Return events of every type with numbers above `n`, ascending."""
    query = _events().where(models.Event.room_id == room_id, models.Event.n > n)
    return _list(query.order_by(models.Event.n).limit(limit))


def messages(keys: Collection[tuple[RoomId, int]]) -> dict[tuple[RoomId, int], Event]:
    """Return some messages, a page at most, by room and id, as they stand, if they are there."""
    if not keys:
        return {}
    table = models.Event
    wanted: Any = [(table.room_id == room_id) & (table.n == n) for room_id, n in keys]
    found = _list(_messages().where(reduce(or_, wanted), _IS_MESSAGE))
    return {(event.room_id, event.n): event for event in found}


def messages_before(room_id: RoomId, n: int | None, limit: int) -> list[Event]:
    """Return messages with ids below `n` (None: the newest), descending, as they stand."""
    query = _messages().where(models.Event.room_id == room_id, _IS_MESSAGE)
    if n is not None:
        query = query.where(models.Event.n < n)
    return _list(query.order_by(models.Event.n.desc()).limit(limit))


def messages_after(room_id: RoomId, n: int, below: int, limit: int) -> list[Event]:
    """Return messages with ids above `n` and below `below`, ascending, as they stand."""
    query = _messages().where(
        models.Event.room_id == room_id, _IS_MESSAGE, models.Event.n > n, models.Event.n < below
    )
    return _list(query.order_by(models.Event.n).limit(limit))


def feed(joined: dict[RoomId, int], after_feed: FeedId, up_to: FeedId, limit: int) -> list[Event]:
    """Return events of the given rooms with `after_feed` < feed id <= `up_to`, in feed order.

    Each room begins at the event of the reader's joining. Every room contributes at most
    `limit` rows from its own index, so the cost does not grow with what was missed.
    """
    found: list[Event] = []
    ids = list(joined)  # empty: no query
    for start in range(0, len(ids), ROOMS_PER_QUERY):
        union: Any = None
        for room_id in ids[start : start + ROOMS_PER_QUERY]:
            part = (
                _events()
                .where(
                    models.Event.room_id == room_id,
                    models.Event.feed > after_feed,
                    models.Event.feed <= up_to,
                    models.Event.n >= joined[room_id],
                )
                .order_by(models.Event.feed)
                .limit(limit)
            )
            # A SELECT with ORDER BY may stand in a UNION only as a sub-query.
            part = pw.Select([part.alias("part")], [pw.SQL("*")])
            union = part if union is None else union.union_all(part)
        found += [_event(row) for row in union.bind(models.database.obj).tuples()]
    return sorted(found, key=lambda event: event.feed)[:limit]


def leavings(user_id: UserId, after_feed: FeedId, up_to: FeedId) -> list[Event]:
    """Return what says that a user left a room, with `after_feed` < feed id <= `up_to`."""
    table = models.Event
    here = table.author_id == user_id, table.feed > after_feed, table.feed <= up_to
    return _list(_events().where(*here, _IS_LEAVING))


def _insert(batch: Sequence[Archived]) -> list[Clash]:
    rows: dict[tuple[RoomId, int], dict[str, Any]] = {}
    clashes = []
    for item in batch:
        key, row = (item.event.room_id, item.event.n), _row(item)
        if rows.setdefault(key, row)["data"] != row["data"]:
            clashes.append(Clash(*key, "number"))
    for key, stored in _stored(rows.keys()).items():
        # Seen before: another worker was faster, or died between the commit and its XACK.
        if not _same(rows.pop(key)["data"], stored):
            clashes.append(Clash(*key, "number"))
    missing = list(rows.values())
    try:
        with models.database.obj.atomic():
            for start in range(0, len(missing), ROWS_PER_INSERT):
                _insert_many(missing[start : start + ROWS_PER_INSERT])
    except pw.IntegrityError:
        return clashes + [clash for row in missing if (clash := _insert_one(row)) is not None]
    return clashes


def _insert_many(rows: list[dict[str, Any]]) -> None:
    """Insert rows of one shape; peewee's own takes ten times as long to build the statement."""
    db = models.database.obj
    row = f"({', '.join([db.param] * len(rows[0]))})"
    columns = ", ".join(f'"{name}"' for name in rows[0])
    values = ", ".join([row] * len(rows))
    db.execute_sql(
        f'INSERT INTO "event" ({columns}) VALUES {values}',  # noqa: S608 - names of our own
        [value for fields in rows for value in fields.values()],
    )


def _insert_one(row: dict[str, Any]) -> Clash | None:
    try:
        with models.database.obj.atomic():
            models.Event.insert(row).execute()
    except pw.IntegrityError:
        room_id, n = row["room_id"], row["n"]
        stored = _stored([(room_id, n)])
        if stored:
            return None if _same(row["data"], stored[room_id, n]) else Clash(room_id, n, "number")
        models.Event.insert(row | {"client_id": None}).execute()
        return Clash(room_id, n, "client_id")
    return None


def _same(data: str, stored: str) -> bool:
    """Whether a row holds an event; of a message that was deleted meanwhile no text is left."""
    return data == stored or changes.is_rest(data, stored)


def _stored(keys: Iterable[tuple[RoomId, int]]) -> dict[tuple[RoomId, int], str]:
    """Return what SQL holds under some rooms' numbers."""
    wanted = list(keys)
    found: dict[tuple[RoomId, int], str] = {}
    for start in range(0, len(wanted), KEYS_PER_QUERY):
        values = ", ".join(
            "({:d}, {:d})".format(*key) for key in wanted[start : start + KEYS_PER_QUERY]
        )
        rows: Any = models.database.execute_sql(
            # SQLite reads all of a table for `(room_id, n) IN (VALUES …)`.
            f"SELECT room_id, n, data FROM (VALUES {values}) wanted"  # noqa: S608 - numbers
            " JOIN event ON room_id = wanted.column1 AND n = wanted.column2"
        ).fetchall()
        found |= {(RoomId(room_id), n): data for room_id, n, data in rows}
    return found


def _row(item: Archived) -> dict[str, Any]:
    event = item.event
    return {
        "room_id": event.room_id,
        "n": event.n,
        "type": event.type,
        "data": event.data.decode(),
        "messages": event.messages,
        "feed": event.feed,
        "author_id": item.author_id,
        "client_id": item.client_id,
    }


def _events() -> Any:
    table = models.Event
    return table.select(
        table.room_id, table.n, table.type, table.data, table.feed, table.messages
    ).tuples()


def _messages() -> Any:
    table, latest = models.Event, models.Latest
    return (
        table.select(
            table.room_id, table.n, table.type,
            pw.fn.COALESCE(latest.data, table.data), table.feed, table.messages,
        )
        .join(
            latest,
            pw.JOIN.LEFT_OUTER,
            on=(latest.room_id == table.room_id) & (latest.about == table.n),
        )
        .tuples()
    )  # fmt: skip


def _list(query: Any) -> list[Event]:
    return [_event(row) for row in query]


def _event(row: tuple[Any, ...]) -> Event:
    room_id, n, type_, data, feed, messages = row
    return Event(room_id, n, type_, data.encode(), feed, messages)
