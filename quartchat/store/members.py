"""Queries on what members do to each other: roles, kicks, bans."""

from dataclasses import dataclass
from typing import Any

from quartchat import errors
from quartchat.events import Role, RoomId, User, UserId, now
from quartchat.store import accounts, roles, rooms, transaction, withdrawals
from quartchat.store.chores import Chore
from quartchat.store.models import Account, Ban, Invitation, Member


@dataclass(frozen=True, slots=True)
class BanRow:
    """Who may not come into a room, and why."""

    user: User
    reason: str
    created_at: str
    by: User


def set_role(
    user_id: UserId, room_id: RoomId, member_id: UserId, role: Role
) -> tuple[User, tuple[Chore, ...]]:
    """Give a member a role, as an owner. Raises what `roles.held` raises, `LastOwner`."""
    with transaction():
        roles.held(user_id, room_id, "owner")
        member = roles.present(member_id, room_id)
        if member is None:
            raise errors.NotFound
        owed: tuple[Chore, ...] = ()
        if member.role != role:
            if member.role == "owner" and _owners(room_id) == 1:
                raise errors.LastOwner
            owed = (roles.change_role(member, role),)
        return accounts.user(Account.get_by_id(member_id)), owed


def kick(user_id: UserId, room_id: RoomId, member_id: UserId) -> tuple[Chore, ...]:
    """Take a member of a lower role out of a room; may be repeated."""
    with transaction():
        _, role = roles.held(user_id, room_id, "moderator")
        return _remove(role, room_id, member_id)


def ban(user_id: UserId, room_id: RoomId, member_id: UserId, reason: str) -> tuple[Chore, ...]:
    """Keep an account out of a room, whether or not it is in; a later reason counts."""
    with transaction():
        _, role = roles.held(user_id, room_id, "moderator")
        account = Account.get_or_none(Account.id == member_id)
        if account is None or account.closed_at is not None:
            raise errors.NotFound
        owed = _remove(role, room_id, member_id)
        here = (Ban.room == room_id, Ban.account == member_id)
        if not Ban.update(reason=reason, by_id=user_id).where(*here).execute():
            Ban.insert(
                room=room_id, account=member_id, by_id=user_id, reason=reason, created_at=now()
            ).execute()
        return owed + withdrawals.withdraw(
            Invitation.room == room_id, Invitation.invitee == member_id
        )


def unban(user_id: UserId, room_id: RoomId, member_id: UserId) -> None:
    """Let an account come in again; may be repeated."""
    with transaction():
        roles.held(user_id, room_id, "moderator")
        Ban.delete().where(Ban.room == room_id, Ban.account == member_id).execute()


def bans(user_id: UserId, room_id: RoomId, after: UserId, limit: int) -> list[BanRow]:
    """Return who is kept out, by account id."""
    with transaction():
        roles.held(user_id, room_id, "moderator")
        rows: Any = (
            Ban.select(Ban, Account)
            .join(Account)
            .where(Ban.room == room_id, Ban.account > after)
            .order_by(Ban.account)
            .limit(limit)
        )
        found = list(rows)
        by = {row.id: row for row in Account.select().where(Account.id << {b.by_id for b in found})}
    return [
        BanRow(accounts.user(row.account), row.reason, row.created_at, accounts.user(by[row.by_id]))
        for row in found
    ]


def _remove(role: Role, room_id: RoomId, member_id: UserId) -> tuple[Chore, ...]:
    """Take a member out; whoever left already, and is not told of yet, is told of again."""
    member = roles.present(member_id, room_id)
    if member is not None and roles.RANK[member.role] >= roles.RANK[role]:
        raise errors.Forbidden
    owed = rooms.start_leave(member_id, room_id)
    return () if owed is None else owed.chores


def _owners(room_id: RoomId) -> int:
    here = (Member.room == room_id, Member.state.in_(roles.PRESENT), Member.role == "owner")
    return int(Member.select().where(*here).count())
