"""Queries on invitations and links: who may come into a room that they are not in."""

import secrets
from typing import Any

import msgspec

from quartchat import errors
from quartchat.events import Control, RoomId, RoomSummary, UserId, now
from quartchat.events import Invitation as Public
from quartchat.store import accounts, chores, roles, rooms, transaction, withdrawals
from quartchat.store.chores import Chore
from quartchat.store.models import Account, Invitation, Room

LINK_BYTES = 16  # 128 bits: nobody guesses one

Inviter = Account.alias("inviter")
Invitee = Account.alias("invitee")

_encode = msgspec.json.encode


def invite(
    user_id: UserId, room_id: RoomId, invitee_id: UserId
) -> tuple[Public, tuple[Chore, ...]]:
    """Invite an account; where it is invited already, that stands, and nobody hears of it.

    Raises what `roles.held` raises, `ValidationFailed`, `Banned`, `AlreadyMember`.
    """
    with transaction():
        row, role = roles.held(user_id, room_id, "member")
        if row.visibility == "direct" or (row.visibility == "private" and role == "member"):
            raise errors.Forbidden
        invitee = Account.get_or_none(Account.id == invitee_id, Account.closed_at.is_null())
        if invitee is None:
            raise errors.ValidationFailed("There is no such user.", field="user_id")
        if roles.banned(invitee_id, room_id):
            raise errors.Banned("This person is banned from the room.")
        if roles.present(invitee_id, room_id) is not None:
            raise errors.AlreadyMember
        made = Invitation.insert(
            room=room_id, inviter=user_id, invitee=invitee_id, created_at=now()
        ).on_conflict_ignore()
        new = made.as_rowcount().execute()
        found = _list(Invitation.room == room_id, Invitation.invitee == invitee_id)[0]
        return found, (chores.owe(_notice(found)),) if new else ()


def invitations(user_id: UserId, limit: int) -> list[Public]:
    """Return an account's open invitations, newest first."""
    return _list(Invitation.invitee == user_id, limit=limit)


def of_room(user_id: UserId, room_id: RoomId, limit: int) -> list[Public]:
    """Return a room's open invitations, newest first, for its moderators."""
    with transaction():
        roles.held(user_id, room_id, "moderator")
        return _list(Invitation.room == room_id, limit=limit)


def accept(user_id: UserId, invitation_id: int) -> tuple[RoomId, tuple[Chore, ...]]:
    """Put an account into the room that it is invited to; the room is still to hear of it.

    Raises `NotFound`, `Banned`.
    """
    mine = (Invitation.id == invitation_id, Invitation.invitee == user_id)
    with transaction():
        room_id = _room_of(*mine)
        roles.lock(room_id)
        _room_of(*mine)  # else it was withdrawn meanwhile
        owed = rooms.start_join(user_id, room_id)
        # Where the account was in the room already, its invitation is still there.
        return room_id, owed.chores + withdrawals.withdraw(*mine)


def withdraw(user_id: UserId, invitation_id: int) -> tuple[Chore, ...]:
    """Remove an invitation: as the invitee, the inviter or a moderator. Raises `NotFound`."""
    with transaction():
        room_id = _room_of(Invitation.id == invitation_id)
        roles.lock(room_id)
        _room_of(Invitation.id == invitation_id)
        row: Any = Invitation.get_by_id(invitation_id)
        member = roles.present(user_id, room_id)
        moderates = member is not None and member.role != "member"
        if user_id not in (row.invitee_id, row.inviter_id) and not moderates:
            raise errors.NotFound
        return withdrawals.withdraw(Invitation.id == invitation_id)


def link(user_id: UserId, room_id: RoomId) -> str | None:
    """Return a room's link, if it has one, for its moderators. Raises what `roles.held` raises."""
    with transaction():
        row, _ = roles.held(user_id, room_id, "moderator")
        return None if row.link is None else str(row.link)


def set_link(user_id: UserId, room_id: RoomId) -> str:
    """Give a room a new link; the old one is dead. Raises what `roles.held` raises."""
    with transaction():
        row, _ = roles.held(user_id, room_id, "moderator")
        if row.visibility == "direct":
            raise errors.Forbidden
        row.link = secrets.token_urlsafe(LINK_BYTES)
        row.save(only=[Room.link])
        return str(row.link)


def remove_link(user_id: UserId, room_id: RoomId) -> None:
    """Kill a room's link; may be repeated. Raises what `roles.held` raises."""
    with transaction():
        row, _ = roles.held(user_id, room_id, "moderator")
        row.link = None
        row.save(only=[Room.link])


def linked(user_id: UserId, token: str) -> tuple[RoomSummary, bool]:
    """Return the room that a link opens, and whether the account is in it. Raises `NotFound`."""
    row = _linked(token)
    return _summary(row), roles.present(user_id, row.id) is not None


def join_linked(user_id: UserId, token: str) -> tuple[RoomId, tuple[Chore, ...]]:
    """Put an account into the room that a link opens; the room is still to hear of it.

    Raises `NotFound`, `Banned`.
    """
    with transaction():
        room_id = RoomId(_linked(token).id)
        if roles.lock(room_id).link != token:  # it was replaced meanwhile
            raise errors.NotFound
        return room_id, rooms.start_join(user_id, room_id).chores


def _linked(token: str) -> Any:
    row = Room.get_or_none(Room.link == token)
    if row is None:
        raise errors.NotFound
    return row


def _room_of(*where: Any) -> RoomId:
    row = Invitation.select(Invitation.room).where(*where).first()
    if row is None:
        raise errors.NotFound
    return RoomId(row.room_id)


def _list(*where: Any, limit: int = 1) -> list[Public]:
    rows: Any = (
        Invitation.select(Invitation, Room, Inviter, Invitee)
        .join(Room)
        .switch(Invitation)
        .join(Inviter, on=Invitation.inviter == Inviter.id, attr="by")
        .switch(Invitation)
        .join(Invitee, on=Invitation.invitee == Invitee.id, attr="to")
        .where(*where)
        .order_by(Invitation.id.desc())
        .limit(limit)
    )
    return [
        Public(
            id=row.id,
            room=_summary(row.room),
            inviter=accounts.user(row.by),
            invitee=accounts.user(row.to),
            created_at=row.created_at,
        )
        for row in rows
    ]


def _summary(row: Any) -> RoomSummary:
    return RoomSummary(row.id, row.name, row.topic, row.member_count)


def _notice(found: Public) -> chores.Announce:
    data = {"id": found.id, "room": found.room, "inviter": found.inviter}
    notice = Control("notice", found.invitee.id, event="invitation", data=_encode(data).decode())
    return chores.Announce((notice,))
