"""The index of messages' words: one document for each message.

A document has its room as `#7`, its author as `@12`, then the words. `words` makes them, so
that SQLite's FTS5 and PostgreSQL's GIN hold the same. Its id grows with the time of the
message, also where that is indexed late.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import peewee as pw

from quartchat import words
from quartchat.events import Event, RoomId, UserId
from quartchat.store import models, transaction

ROWS_PER_QUERY = 100  # SQLite before 3.32 takes at most 999 parameters
EPOCH_MS = 1_577_836_800_000  # 2020-01-01: what is left has room for 69 years
MAX_PLACES = 255  # of one word in a document that PostgreSQL keeps
_SEQ, _ROOM = 10, 12  # bits of an id, below its milliseconds
_FEED_SEQ = 20  # those of a feed id

Key = tuple[RoomId, int]
Row = tuple[RoomId, int, str]  # and its words


class _Author(msgspec.Struct):
    id: UserId = UserId(0)


class _Message(msgspec.Struct):
    """What the index reads of a message's JSON."""

    body: str = ""
    author: _Author = msgspec.field(default_factory=_Author)


_decode = msgspec.json.Decoder(_Message).decode


def index(messages: Iterable[Event]) -> None:
    """Put messages into the index, as their data says that they stand now; in a transaction.

    One whose body is empty, since it was deleted, is taken out. An event without a feed id
    can change a document and not make one. The last of several for one message counts.
    """
    if not is_sqlite():
        # Whoever fills in older messages waits for us, and sees what we wrote.
        models.database.execute_sql("LOCK TABLE document IN ROW EXCLUSIVE MODE")
    states: dict[Key, tuple[int, str]] = {}
    for event in messages:
        key = (event.room_id, event.n)
        states[key] = (states.get(key, (0, ""))[0] or _place(event), _text(event))
    known = _known(states)
    added = {key: state for key, state in states.items() if key not in known}
    for key, number in known.items():
        _change(number, states[key][1])
    _add({key: state for key, state in added.items() if state[0] and state[1]})


def forget_room(room_id: RoomId, limit: int) -> int:
    """Take up to so many of a room's messages out of the index; return how many."""
    ids = [
        number
        for (number,) in execute(
            "SELECT id FROM document WHERE room_id = {} LIMIT {}", room_id, limit
        ).fetchall()
    ]
    for number in ids:
        _change(number, "")
    return len(ids)


def behind() -> bool:
    """Whether there are messages from before the index that are not in it yet."""
    return execute("SELECT 1 FROM indexing").fetchone() is not None


def index_older(limit: int) -> bool:
    """Index some of the messages that were there before the index; False once there are none."""
    with transaction():
        if not is_sqlite():  # what changes meanwhile is read after its commit
            models.database.execute_sql("LOCK TABLE document IN SHARE ROW EXCLUSIVE MODE")
        done = execute("SELECT room_id, n FROM indexing WHERE id = 1").fetchone()
        if done is None:
            return False
        rows = execute(
            "SELECT event.room_id, event.n, type, COALESCE(latest.data, event.data), feed"
            " FROM event LEFT JOIN latest"
            " ON latest.room_id = event.room_id AND latest.about = event.n"
            " WHERE (event.room_id, event.n) > ({}, {}) ORDER BY event.room_id, event.n LIMIT {}",
            *done, limit,
        ).fetchall()  # fmt: skip
        events = [Event(r, n, kind, data.encode(), feed) for r, n, kind, data, feed in rows]
        index(event for event in events if event.type == "message")
        if events:
            last = events[-1]
            execute("UPDATE indexing SET room_id = {}, n = {} WHERE id = 1", last.room_id, last.n)
        else:
            execute("DELETE FROM indexing WHERE id = 1")
        return bool(events)


def _place(event: Event) -> int:
    """Return the id that a message should have: by its time, then its turn, then its room."""
    if not event.feed:
        return 0
    ms = max(0, (event.feed >> _FEED_SEQ) - EPOCH_MS)
    turn, room = event.feed & ((1 << _SEQ) - 1), event.room_id & ((1 << _ROOM) - 1)
    return (ms << _SEQ | turn) << _ROOM | room


def _text(event: Event) -> str:
    message = _decode(event.data)
    said = words.words(message.body)
    return " ".join([f"#{event.room_id}", f"@{message.author.id}", *said]) if said else ""


def _known(keys: Iterable[Key]) -> dict[Key, int]:
    wanted = list(keys)
    found: dict[Key, int] = {}
    for start in range(0, len(wanted), ROWS_PER_QUERY):
        some = wanted[start : start + ROWS_PER_QUERY]
        # PostgreSQL takes the signs of VALUES for texts.
        pairs = ", ".join(["(CAST({} AS BIGINT), CAST({} AS BIGINT))"] * len(some))
        rows = execute(
            # SQLite reads all of a table for `(room_id, n) IN (VALUES …)`.
            f"SELECT room_id, n, id FROM (VALUES {pairs}) wanted"  # noqa: S608
            " JOIN document ON room_id = wanted.column1 AND n = wanted.column2",
            *(number for key in some for number in key),
        ).fetchall()
        found |= {(RoomId(room_id), n): number for room_id, n, number in rows}
    return found


def _change(number: int, text: str) -> None:
    if not text:
        execute("DELETE FROM document WHERE id = {}", number)
    elif is_sqlite():
        # The same words again, as after a reaction: nothing to write.
        execute("UPDATE document SET words = {} WHERE id = {} AND words <> {}", text, number, text)
    else:
        vector = _tsvector(text)
        execute(
            "UPDATE document SET words = {}::text::tsvector"
            " WHERE id = {} AND words <> {}::text::tsvector",
            vector, number, vector,
        )  # fmt: skip


def _add(added: dict[Key, tuple[int, str]]) -> None:
    rows: dict[int, Row] = {}
    for (room_id, n), (place, text) in added.items():
        _put(rows, place, (room_id, n, text))
    # Two of one millisecond and turn, in rooms of other partitions: the second comes after.
    while taken := by_id("SELECT id FROM document WHERE id IN ({})", rows):
        for (place,) in taken:
            _put(rows, place + 1, rows.pop(place))
    sqlite = is_sqlite()
    one = "({}, {}, {}, {})" if sqlite else "({}, {}, {}, {}::text::tsvector)"
    # In their order: FTS5 writes what it holds to the file at each step back.
    places = sorted(rows)
    for start in range(0, len(places), ROWS_PER_QUERY):
        values: list[Any] = []
        for place in places[start : start + ROWS_PER_QUERY]:
            room_id, n, text = rows[place]
            values += [place, room_id, n, text if sqlite else _tsvector(text)]
        signs = ", ".join([one] * (len(values) // 4))
        execute(f"INSERT INTO document (id, room_id, n, words) VALUES {signs}", *values)  # noqa: S608


def _put(rows: dict[int, Row], place: int, row: Row) -> None:
    while place in rows:
        place += 1
    rows[place] = row


def _tsvector(text: str) -> str:
    """Write words as PostgreSQL does: each with the places where it stands."""
    places: dict[str, list[str]] = {}
    for place, word in enumerate(text.split(" "), 1):
        places.setdefault(word, []).append(str(place))
    return " ".join(f"'{word}':{','.join(at[:MAX_PLACES])}" for word, at in places.items())


# -- the engine


def is_sqlite() -> bool:
    """Whether this is SQLite, and not PostgreSQL."""
    return isinstance(models.database.obj, pw.SqliteDatabase)


def execute(statement: str, *values: Any) -> Any:
    """Run a statement with a `{}` for each value."""
    db = models.database.obj
    return db.execute_sql(statement.format(*[db.param] * len(values)), values)


def by_id(statement: str, ids: Iterable[int]) -> list[tuple[Any, ...]]:
    """Run a statement with one `{}`, which stands for any count of ids; return its rows."""
    wanted, found = list(ids), []
    for start in range(0, len(wanted), ROWS_PER_QUERY):
        some = wanted[start : start + ROWS_PER_QUERY]
        signs = ", ".join(["{}"] * len(some))
        found += execute(statement.format(signs), *some).fetchall()
    return found
