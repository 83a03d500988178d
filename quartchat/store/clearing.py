"""Queries that take away what is left of removed rooms and closed accounts, step by step.

Each step is short, so that the archive and others who write have their turn.
"""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
import peewee as pw

from quartchat import errors
from quartchat.events import RoomId, User, UserId, now
from quartchat.store import accounts, chores, documents, transaction, withdrawals
from quartchat.store.chores import Chore
from quartchat.store.models import Account, Edit, Event, Invitation, Latest, Member, Mention, Room

DISPLAY_NAME = "Deleted account"

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder().decode


def close(user_id: UserId, password_hash: str) -> tuple[Chore, Chore]:
    """Close an account: it has no name, no password, no session and no invitation any more.

    What every process is to hear is owed, and that the account leaves its rooms and its name
    what it wrote. Raises `InvalidCredentials` if the password has changed meanwhile.
    """
    with transaction():
        account = accounts.opened(user_id)
        if account.password_hash != password_hash:
            raise errors.InvalidCredentials("The password is wrong.", field="password")
        theirs = (Invitation.inviter == user_id) | (Invitation.invitee == user_id)
        withdrawals.withdraw(theirs, after_ms=0)  # a worker tells whom the account invited
        name = f"deleted-{user_id}"
        if Account.select().where(Account.username == name).exists():  # from before 0003
            name = f"{name}-{secrets.token_hex(4)}"
        account.username, account.password_hash = name, ""
        account.display_name, account.display_key = DISPLAY_NAME, None
        account.closed_at = now()
        account.save()
        named = accounts.named(accounts.user(account), accounts.rooms_of(user_id))
        told = accounts.end_sessions(user_id, also=named)
        return told, chores.owe(chores.ClearAccount(user_id), after_ms=0)


def rooms_of(user_id: UserId) -> list[RoomId]:
    """Return the rooms that an account is in, or is still leaving; direct ones it stays in."""
    rows: Any = (
        Member.select(Member.room)
        .join(Room)
        .where(Member.account == user_id, Room.visibility != "direct")
    )
    return [room_id for (room_id,) in rows.tuples()]


def written_in(user_id: UserId, after: RoomId, limit: int) -> tuple[list[RoomId], RoomId | None]:
    """Look at `limit` rooms after one: in which is something of the account, and the last one.

    Room by room, since events have an index by room and author.
    """
    looked: Any = Room.select(Room.id).where(Room.id > after).order_by(Room.id).limit(limit)
    ids = [room_id for (room_id,) in looked.tuples()]
    rows: Any = Event.select(Event.room_id).where(
        Event.room_id.in_(ids), Event.author_id == user_id
    )
    found = [room_id for (room_id,) in rows.distinct().tuples()]
    return found, ids[-1] if len(ids) == limit else None


def numbers(user_id: UserId, room_id: RoomId) -> list[int]:
    """Return the numbers of what an account did in a room."""
    rows: Any = Event.select(Event.n).where(Event.room_id == room_id, Event.author_id == user_id)
    return [n for (n,) in rows.tuples()]


def rename(user: User, room_id: RoomId, ns: Sequence[int]) -> None:
    """Put a user's name, as it is now, into events, and into messages as they stand."""
    with transaction():
        for table, key in ((Event, Event.n), (Latest, Latest.about)):
            rows: Any = table.select(key, table.data).where(table.room_id == room_id, key.in_(ns))
            for n, data in list(rows.tuples()):
                renamed = _renamed(user, data)
                if renamed != data:
                    here = (table.room_id == room_id, key == n)
                    table.update(data=renamed).where(*here).execute()


def remove_events(room_id: RoomId, limit: int) -> bool:
    """Remove about `limit` of a room's events and of their words; False if there are none."""
    found = documents.forget_room(room_id, limit)
    first = Event.select(pw.fn.MIN(Event.n)).where(Event.room_id == room_id).scalar()
    if first is None:
        return found > 0
    for table, key in (
        (Event, Event.n),
        (Latest, Latest.about),
        (Edit, Edit.about),
        (Mention, Mention.n),
    ):
        table.delete().where(table.room_id == room_id, key < first + limit).execute()
    return True


def _renamed(user: User, data: str) -> str:
    event = _decode(data)
    for field in ("author", "user"):
        known = event.get(field)
        if isinstance(known, dict) and known.get("id") == user.id:
            event[field] = user
    return _encode(event).decode()
