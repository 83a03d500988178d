"""The one function that finds messages by their words, over two engines' indexes.

Ids grow with time, so the newest are found first without sorting: both engines walk from the
newest down, and stop when a page is full. Neither its size nor its age makes a search slow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from quartchat.events import RoomId, UserId
from quartchat.store import documents, models
from quartchat.words import Phrase

NEAREST = 1000  # of the newest that are looked at before the index is asked
LAST = (1 << 63) - 1  # above every id
FTS5 = "SELECT rowid FROM search WHERE search MATCH {} AND rowid < {} ORDER BY rowid DESC LIMIT {}"


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
    below = LAST if below is None else below
    search = _search_sqlite if documents.is_sqlite() else _search_postgresql
    ids = search(query, below, limit)
    rows = documents.by_id("SELECT id, room_id, n FROM document WHERE id IN ({})", ids)
    return [Found(*row) for row in sorted(rows, reverse=True)]


def author(username: str) -> UserId | None:
    """Return whose name this is, or None."""
    found = models.Account.get_or_none(models.Account.username == username)
    return None if found is None else UserId(found.id)


def _search_sqlite(query: Query, below: int, limit: int) -> list[int]:
    prefix = next((phrase for phrase in query.phrases if phrase.prefix), None)
    ids: list[int] = []
    if prefix is not None:
        # FTS5 reads all that begins with a prefix before its first answer: 30 ms for
        # every fifth of a million messages. What is that common is near, too: look for it
        # in the text of the newest that have all the rest.
        whole = [phrase for phrase in query.phrases if not phrase.prefix]
        near = documents.execute(
            f"SELECT id, instr(words, {{}}) FROM ({FTS5}) near JOIN document ON id = near.rowid",  # noqa: S608
            " " + " ".join(prefix.words),
            _fts5(query, whole), below, NEAREST,
        ).fetchall()  # fmt: skip
        ids = sorted((number for number, at in near if at), reverse=True)[:limit]
        if len(ids) == limit or len(near) < NEAREST:
            return ids
        below = min(number for number, _ in near)
    rest = documents.execute(FTS5, _fts5(query, query.phrases), below, limit - len(ids))
    return ids + [number for (number,) in rest.fetchall()]


def _search_postgresql(query: Query, below: int, limit: int) -> list[int]:
    wanted = _tsquery(query)
    # An index of words is in no order of time: a common word has to be looked for among the
    # newest, a rare one in the index. Where the newest have too few, the planner decides.
    near = documents.execute(
        "SELECT id, words @@ {}::text::tsquery FROM (SELECT id, words FROM document"
        " WHERE id < {} ORDER BY id DESC LIMIT {}) near ORDER BY id DESC",
        wanted, below, NEAREST,
    ).fetchall()  # fmt: skip
    ids = [number for number, found in near if found][:limit]
    if len(ids) == limit or len(near) < NEAREST:
        return ids
    # In the text of the query, so that it is planned anew each time: a plan for any words
    # is a bad one for these. There is no sign in it but our own.
    quoted = wanted.replace("'", "''")
    rest = documents.execute(
        f"SELECT id FROM document WHERE words @@ '{quoted}'::tsquery AND id < {{}}"  # noqa: S608
        " ORDER BY id DESC LIMIT {}",
        near[-1][0], limit - len(ids),
    )  # fmt: skip
    return ids + [number for (number,) in rest.fetchall()]


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
