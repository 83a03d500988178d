"""The one function that finds messages by their words, over two engines' indexes.

Ids grow with time, so the newest are found first without sorting: both engines walk from the
newest down, and stop when a page is full. Neither its size nor its age makes a search slow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quartchat.events import RoomId, UserId
from quartchat.store import documents, models
from quartchat.words import Phrase

NEAR = (100, 1000)  # of the newest, that are looked at before the index is asked
LAST = (1 << 63) - 1  # above every id
FTS5 = "SELECT rowid FROM search WHERE search MATCH {} AND rowid < {} ORDER BY rowid DESC LIMIT {}"

Rows = list[tuple[int, bool]]  # a candidate, and whether it has what is wanted


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for; of all rooms that are named, and of one author, or of all."""

    phrases: Sequence[Phrase]
    rooms: Sequence[RoomId]
    author_id: UserId | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A message that was found; `place` is where to go on below it."""

    place: int
    room_id: RoomId
    n: int

    @property
    def key(self) -> tuple[RoomId, int]:
        """Return what names the message."""
        return self.room_id, self.n


def find(query: Query, below: int | None, limit: int) -> list[Found]:
    """Return the newest messages that have all phrases, below a place, newest first."""
    if not query.phrases or not query.rooms:
        return []
    search = _search_sqlite if documents.is_sqlite() else _search_postgresql
    ids = search(query, LAST if below is None else below, limit)
    rows = documents.by_id("SELECT id, room_id, n FROM document WHERE id IN ({})", ids)
    return [Found(*row) for row in sorted(rows, reverse=True)]


def author(username: str) -> UserId | None:
    """Return whose name this is, or None."""
    found = models.Account.get_or_none(models.Account.username == username)
    return None if found is None else UserId(found.id)


def _search_sqlite(query: Query, below: int, limit: int) -> list[int]:
    prefix = next((phrase for phrase in query.phrases if phrase.prefix), None)
    if prefix is None:
        return _ids(documents.execute(FTS5, _fts5(query, query.phrases), below, limit))
    # FTS5 reads all that begins with a prefix before its first answer: 50 ms for a syllable
    # that most of a million messages have. What is that common is near, too: look for it in
    # the text of the newest that have all the rest.
    whole = _fts5(query, [phrase for phrase in query.phrases if not phrase.prefix])

    def near(below: int, count: int) -> Rows:
        rows: Rows = documents.execute(
            f"SELECT id, instr(words, {{}}) FROM ({FTS5}) near"  # noqa: S608
            " JOIN document ON id = near.rowid ORDER BY id DESC",
            " " + " ".join(prefix.words), whole, below, count,
        ).fetchall()  # fmt: skip
        return rows

    def rest(below: int, limit: int) -> list[int]:
        return _ids(documents.execute(FTS5, _fts5(query, query.phrases), below, limit))

    return _nearest_first(near, rest, below, limit)


def _search_postgresql(query: Query, below: int, limit: int) -> list[int]:
    wanted = _tsquery(query)

    # An index of words is in no order of time: a common word has to be looked for among the
    # newest, a rare one in the index. Where the newest have too few, the planner decides.
    def near(below: int, count: int) -> Rows:
        rows: Rows = documents.execute(
            "SELECT id, words @@ {}::text::tsquery FROM (SELECT id, words FROM document"
            " WHERE id < {} ORDER BY id DESC LIMIT {}) near ORDER BY id DESC",
            wanted, below, count,
        ).fetchall()  # fmt: skip
        return rows

    def rest(below: int, limit: int) -> list[int]:
        # In the text of the query, so that it is planned anew each time: a plan for any
        # words is a bad one for these. There is no sign in it but our own.
        quoted = wanted.replace("'", "''")
        return _ids(
            documents.execute(
                f"SELECT id FROM document WHERE words @@ '{quoted}'::tsquery"  # noqa: S608
                " AND id < {} ORDER BY id DESC LIMIT {}",
                below, limit,
            )
        )  # fmt: skip

    return _nearest_first(near, rest, below, limit)


def _nearest_first(
    near: Callable[[int, int], Rows],
    rest: Callable[[int, int], list[int]],
    below: int,
    limit: int,
) -> list[int]:
    """Look at the nearest candidates one by one; ask the index where they are too few."""
    ids: list[int] = []
    for count in NEAR:
        candidates = near(below, count)
        ids += [number for number, good in candidates if good]
        if len(ids) >= limit or len(candidates) < count:
            return ids[:limit]
        below = candidates[-1][0]
    return ids + rest(below, limit - len(ids))


def _ids(cursor: Any) -> list[int]:
    return [number for (number,) in cursor.fetchall()]


def _fts5(query: Query, phrases: Sequence[Phrase]) -> str:
    terms = ["(" + " OR ".join(f'"#{room_id}"' for room_id in query.rooms) + ")"]
    if query.author_id is not None:
        terms.append(f'"@{query.author_id}"')
    terms += [f'"{" ".join(phrase.words)}"' + " *" * phrase.prefix for phrase in phrases]
    return " AND ".join(terms)


def _tsquery(query: Query) -> str:
    terms = ["(" + " | ".join(f"'#{room_id}'" for room_id in query.rooms) + ")"]
    if query.author_id is not None:
        terms.append(f"'@{query.author_id}'")
    for phrase in query.phrases:
        said = " <-> ".join(f"'{word}'" for word in phrase.words)
        terms.append(f"({said}{':*' * phrase.prefix})")
    return " & ".join(terms)
