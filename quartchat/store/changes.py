"""Queries on changed messages: as they stand after what is archived, and without their text.

A change brings what its message is after it, so the one with the highest number is right
in whatever order changes come, and coming twice does nothing. A deleted message's text is
taken out of every row that holds it, also where that row comes later.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import peewee as pw

from quartchat import fold, sends
from quartchat.events import Message, RoomId
from quartchat.store.models import Edit, Event, Latest, database

KEYS_PER_QUERY = 100
LOCK = 0x7175_6172_7464  # any number of our own, for PostgreSQL's advisory lock

_decode = msgspec.json.Decoder(Message).decode

Key = tuple[RoomId, int]


@dataclass(frozen=True, slots=True)
class State:
    """A message as it is after event `n`, which made or changed it."""

    room_id: RoomId
    about: int  # the message's id
    n: int
    type: str  # of the event
    data: bytes  # the message's JSON; of an event of another kind, its own


def lock(*, alone: bool) -> None:
    """Keep out, until the transaction ends, who archives changes; `alone`: who archives at all.

    PostgreSQL: a deletion must see every row that holds the text, and the row that comes
    later must see the deletion. In SQLite who writes is alone.
    """
    if isinstance(database.obj, pw.PostgresqlDatabase):
        kind = "" if alone else "_shared"
        database.execute_sql(f"SELECT pg_advisory_xact_lock{kind}(%s)", (LOCK,))


def apply(batch: Sequence[State]) -> list[State]:
    """Take in a batch of events that SQL now holds; return its messages as they now stand."""
    found: dict[Key, State] = {}
    changed: dict[Key, State] = {}
    for state in sorted(batch, key=lambda state: state.n):
        key = (state.room_id, state.about)
        if state.type == "message":
            found.setdefault(key, state)
        elif state.type in ("message.update", "message.delete") or (
            state.type.startswith("reaction.") and state.data
        ):
            found[key] = changed[key] = state
            if state.type == "message.update":
                Edit.insert(
                    room_id=state.room_id, about=state.about, n=state.n
                ).on_conflict_ignore().execute()
    for state in changed.values():
        _put(state)
    if not found:
        return []
    held = {(state.room_id, state.about): state for state in latest(found)}
    for state in held.values():
        if fold.is_deleted(state.data):
            _redact(state)
    return list((found | held).values())


def latest(keys: Collection[Key]) -> list[State]:
    """Return those of some messages, by room and id, that were changed, as they stand."""
    ordered, found = sorted(keys), []
    for start in range(0, len(ordered), KEYS_PER_QUERY):
        part = ordered[start : start + KEYS_PER_QUERY]
        values = ", ".join(f"({room_id:d}, {about:d})" for room_id, about in part)
        rows: Iterable[tuple[RoomId, int, int, str]] = database.execute_sql(
            # SQLite reads all of a table for `(room_id, about) IN (VALUES …)`.
            "SELECT room_id, about, n, data"  # noqa: S608 - numbers of our own
            f" FROM (VALUES {values}) wanted"
            " JOIN latest ON room_id = wanted.column1 AND about = wanted.column2"
        ).fetchall()
        found += [State(room, about, n, "latest", data.encode()) for room, about, n, data in rows]
    return found


def is_rest(data: str, stored: str) -> bool:
    """Whether `stored` is what a deletion has left of the event `data`."""
    try:
        was, left = _decode(data), _decode(stored)
    except msgspec.DecodeError:  # no message
        return False
    same = (was.room_id, was.author.id, was.client_id) == (
        left.room_id, left.author.id, left.client_id
    )  # fmt: skip
    return same and was.id == left.id and left.deleted_at is not None


def _put(state: State) -> None:
    row = {
        Latest.room_id: state.room_id,
        Latest.about: state.about,
        Latest.n: state.n,
        Latest.data: state.data.decode(),
    }
    Latest.insert(row).on_conflict(
        conflict_target=[Latest.room_id, Latest.about],
        preserve=[Latest.n, Latest.data],
        where=Latest.n < pw.EXCLUDED.n,
    ).execute()


def _redact(state: State) -> None:
    edits = Edit.select(Edit.n).where(Edit.room_id == state.room_id, Edit.about == state.about)
    for row in ([state.about], edits):
        found: Any = Event.select(Event.n, Event.type, Event.data, Event.client_id).where(
            Event.room_id == state.room_id, Event.n.in_(row), Event.type.in_(fold.TEXTS)
        )
        for n, type_, data, client_id in list(found.tuples()):
            said = _decode(data)
            if said.deleted_at is not None:  # earlier
                continue
            digest = None if client_id is None else sends.digest_of(type_, said)
            Event.update(data=state.data.decode(), digest=digest).where(
                Event.room_id == state.room_id, Event.n == n
            ).execute()
