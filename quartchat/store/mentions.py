"""Queries on who is mentioned where: what a room's unread mentions are counted from.

A row for each user that a message mentions, as the message stands, but for its author. Rows
come with the archive's batches and go once they are read, so that few are ever looked at.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from quartchat.events import RoomId, UserId
from quartchat.store import seats, transaction
from quartchat.store.models import Mention, database

COUNTED = 100  # unread mentions of one room, at most: nobody is told more than "99+"
ROOMS_PER_QUERY = 100  # SQLite takes at most 500 terms in a compound SELECT

_NONE = b'"mentions":[]'  # as JSON that this server writes has it


class _Author(msgspec.Struct):
    id: UserId


class _Said(msgspec.Struct):
    id: int
    author: _Author
    mentions: list[UserId] = []


_decode = msgspec.json.Decoder(_Said).decode


@dataclass(frozen=True, slots=True)
class Mentioned:
    """A message, and whom it mentions beside its author."""

    n: int
    users: frozenset[UserId]


def of(message: bytes) -> Mentioned:
    """Return whom a message's JSON mentions."""
    said = _decode(message)
    return Mentioned(said.id, frozenset(said.mentions) - {said.author.id})


def has(message: bytes) -> bool:
    """Whether a message's JSON mentions anybody; costs 0.1 µs, where `of` costs one."""
    # From the end, where they are; a quotation mark inside a text has a backslash.
    at = message.rfind(b'"mentions":[')
    return at >= 0 and not message.startswith(_NONE, at)


def note(room_id: RoomId, message: bytes, *, changed: bool) -> None:
    """Note whom a message mentions; `changed`: it may have mentioned others before."""
    if not changed and not has(message):
        return
    found = of(message)
    if changed:
        Mention.delete().where(Mention.room_id == room_id, Mention.n == found.n).execute()
    if found.users:
        rows = [{"account_id": u, "room_id": room_id, "n": found.n} for u in sorted(found.users)]
        Mention.insert_many(rows).on_conflict_ignore().execute()


def unread(user_id: UserId, markers: Mapping[RoomId, int]) -> list[tuple[RoomId, int]]:
    """Return a user's mentions after each room's marker, the newest `COUNTED` of each room."""
    found: list[tuple[RoomId, int]] = []
    ordered = sorted(markers.items())
    for start in range(0, len(ordered), ROOMS_PER_QUERY):
        parts = " UNION ALL ".join(
            f"SELECT * FROM (SELECT room_id, n FROM mention WHERE account_id = {user_id:d}"  # noqa: S608 - numbers of our own
            f" AND room_id = {room_id:d} AND n > {n:d} ORDER BY n DESC LIMIT {COUNTED}) AS part"
            for room_id, n in ordered[start : start + ROOMS_PER_QUERY]
        )
        rows: Iterable[tuple[RoomId, int]] = database.execute_sql(parts).fetchall()
        found += rows
    return found


def read(user_id: UserId, room_id: RoomId, n: int, messages: int) -> None:
    """Move the account's read marker forward, and forget the mentions up to it."""
    with transaction():
        seats.mark_read({(room_id, user_id): (n, messages)})
        Mention.delete().where(
            Mention.account_id == user_id, Mention.room_id == room_id, Mention.n <= n
        ).execute()
