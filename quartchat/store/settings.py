"""Queries on what a room is: its settings, its archive, its removal, and direct rooms."""

import secrets
from typing import Any

import peewee as pw

from quartchat import errors
from quartchat.events import Control, Role, RoomEvent, RoomId, RoomState, UserId, now, unnumbered
from quartchat.store import chores, roles, rooms, transaction, withdrawals
from quartchat.store.chores import Chore
from quartchat.store.models import Account, Ban, Invitation, Member, Room

MODERATORS = frozenset({"name", "topic"})  # what moderators may change; owners may change all


def change(user_id: UserId, room_id: RoomId, changes: dict[str, Any]) -> tuple[Chore, ...]:
    """Change some of `name`, `topic`, `visibility`, `archived`; nothing is owed if all are so.

    Raises what `roles.held` raises, `RoomNameTaken`.
    """
    at_least: Role = "moderator" if changes.keys() <= MODERATORS else "owner"
    try:
        with transaction():
            row, _ = roles.held(user_id, room_id, at_least)
            was = state(row)
            _apply(row, changes)
            return () if state(row) == was else (_store(row),)
    except pw.IntegrityError:
        raise errors.RoomNameTaken(field="name") from None


def remove(user_id: UserId, room_id: RoomId) -> tuple[Chore, Chore]:
    """Remove a room, as an owner: it has no members any more, and is there for nobody.

    What every process and the streams are to hear is owed, and the removal of its events.
    """
    with transaction():
        row, _ = roles.held(user_id, room_id, "owner")
        withdrawals.withdraw(Invitation.room == room_id, after_ms=0)  # a worker tells them
        for table in (Member, Ban):  # at most a row for each account
            table.delete().where(table.room == room_id).execute()
        row.name = row.key = row.topic = ""
        row.visibility, row.member_count = "private", 0
        row.removed_at, row.link = now(), None
        row.save()
        told = chores.Announce((Control("gone", user_id, room_id=room_id),))
        return chores.owe(told), chores.owe(chores.ClearRoom(room_id), after_ms=0)


def direct(user_id: UserId, peer_id: UserId) -> tuple[RoomId, tuple[Chore, ...]]:
    """Return the room of two accounts; if it was not there, both are to hear of it.

    Raises `NotFound` if there is no such account.
    """
    pair = f"{min(user_id, peer_id)}-{max(user_id, peer_id)}"
    with transaction():
        peer = Account.get_or_none(Account.id == peer_id)
        if peer is None or (peer.closed_at is not None and not _pairs(pair)):
            raise errors.NotFound
        made = Room.insert(
            name="", key="", topic="", visibility="direct", created_at=now(), member_count=2,
            pair=pair,
        ).on_conflict_ignore()  # fmt: skip
        new = made.as_rowcount().execute()  # 0: it is there, or the other one was faster
        room_id = RoomId(_pairs(pair)[0])
        if not new:
            return room_id, ()
        for account_id in (user_id, peer_id):
            Member.create(
                room=room_id, account=account_id, role="member", state="joined", ticket="",
                joined_n=0, read_id=0, read_messages=0,
            )  # fmt: skip
        both = tuple(Control("room", each, room_id=room_id) for each in (user_id, peer_id))
        return room_id, (chores.owe(chores.Announce(both)),)


def archive_direct(user_id: UserId) -> tuple[Chore, ...]:
    """Archive the direct rooms of a closed account: nobody would read what is written there."""
    owed = []
    with transaction():
        mine = (Member.account == user_id, Room.visibility == "direct")
        rows: Any = Room.select().join(Member).where(*mine, Room.archived_at.is_null())
        for row in list(rows):
            row.archived_at = now()
            owed.append(_store(row))
    return tuple(owed)


def state(row: Any) -> RoomState:
    """Return a room's settings."""
    return RoomState(row.name, row.topic, row.visibility, row.archived_at is not None)


def _apply(row: Any, changes: dict[str, Any]) -> None:
    row.name = changes.get("name", row.name)
    row.key = rooms.fold(row.name)
    row.topic = changes.get("topic", row.topic)
    row.visibility = changes.get("visibility", row.visibility)
    archived = changes.get("archived", row.archived_at is not None)
    row.archived_at = (row.archived_at or now()) if archived else None


def _store(row: Any) -> Chore:
    """Store a room's settings, in a transaction; its members are to hear of them."""
    row.save(only=[Room.name, Room.key, Room.topic, Room.visibility, Room.archived_at])
    rest = unnumbered(RoomEvent(0, RoomId(row.id), state(row))).decode()
    key = f"-room-{secrets.token_hex(12)}"
    return chores.owe(chores.Tell(RoomId(row.id), UserId(0), "room.update", rest, key))


def _pairs(pair: str) -> list[int]:
    return [row.id for row in Room.select(Room.id).where(Room.pair == pair)]
