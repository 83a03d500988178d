"""Queries on many memberships at once, as the process's cache and the worker ask them."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from quartchat.events import Role, RoomId, UserId
from quartchat.store import roles
from quartchat.store.models import Member, Room, database

ROWS_PER_QUERY = 500


class Seat(NamedTuple):
    """What a member may do in a room depends on this."""

    role: Role
    archived: bool


def seats(user_ids: Collection[UserId], limit: int) -> dict[tuple[UserId, RoomId], Seat]:
    """Return the seats of some accounts in all of their rooms, or the first `limit` of them."""
    rows: Any = (
        Member.select(Member.account, Member.room, Member.role, Room.archived_at)
        .join(Room)
        .where(Member.account.in_(user_ids), Member.state.in_(roles.PRESENT))
        .order_by(Member.account)
        .limit(limit)
    )
    kinds: dict[tuple[Role, bool], Seat] = {}  # few, and so thousands of seats cost little
    found: dict[tuple[UserId, RoomId], Seat] = {}
    for user_id, room_id, role, archived_at in rows.tuples():
        kind = (role, archived_at is not None)
        found[user_id, room_id] = kinds.get(kind) or kinds.setdefault(kind, Seat(*kind))
    return found


def mark_read(markers: Mapping[tuple[RoomId, UserId], tuple[int, int]]) -> None:
    """Move read markers forward, never back, to an event's number and the messages up to it."""
    rows = [(*key, *marker) for key, marker in sorted(markers.items())]
    for start in range(0, len(rows), ROWS_PER_QUERY):
        values = ", ".join(
            "({:d}, {:d}, {:d}, {:d})".format(*row) for row in rows[start : start + ROWS_PER_QUERY]
        )
        database.execute_sql(
            "UPDATE member SET read_id = mark.column3, read_messages = mark.column4"  # noqa: S608
            f" FROM (VALUES {values}) mark WHERE room_id = mark.column1"
            " AND account_id = mark.column2 AND read_id < mark.column3"
        )
