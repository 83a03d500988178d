"""Queries on rooms and who is in them.

Every function that returns a room takes the account that asks, so that there is no way
to a room past its visibility.
"""

import dataclasses
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import peewee as pw

from quartchat import errors
from quartchat.events import NEVER, Role, RoomId, User, UserId, Visibility, now
from quartchat.store import accounts, chores, roles, transaction, withdrawals
from quartchat.store.chores import Chore
from quartchat.store.models import Account, Invitation, Member, Room


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room, and how the account that asked stands to it (`role` None: not in it)."""

    id: RoomId
    name: str
    topic: str
    visibility: Visibility
    created_at: str
    member_count: int
    role: Role | None
    joined_n: int
    read_id: int
    read_messages: int
    archived: bool


@dataclass(frozen=True, slots=True)
class Owed:
    """A membership as it stands, and the key of the event that the log is still owed."""

    state: str  # joining, joined, leaving
    ticket: str
    role: Role
    chores: tuple[Chore, ...] = field(default=(), compare=False)  # of this call


def fold(name: str) -> str:
    """Return the form of a room's name that is compared."""
    return name.casefold()[:255]


def add_room(owner: UserId, name: str, topic: str, visibility: Visibility) -> RoomRow:
    """Make a room with its owner in it. Raises `RoomNameTaken`."""
    try:
        with transaction():
            room = Room.create(
                name=name, key=fold(name), topic=topic, visibility=visibility,
                created_at=now(), member_count=1,
            )  # fmt: skip
            member = Member.create(
                room=room, account=owner, role="owner", state="joined", ticket="",
                joined_n=0, read_id=0, read_messages=0,
            )  # fmt: skip
    except pw.IntegrityError:
        raise errors.RoomNameTaken(field="name") from None
    return _room(room, member)


def room(user_id: UserId, room_id: RoomId) -> RoomRow | None:
    """Return a room that the account may see, or None."""
    row = _visible(user_id).where(Room.id == room_id).first()
    return None if row is None else _room(row, row.member)


def is_removed(room_id: RoomId) -> bool:
    """Whether there was such a room, and is no more."""
    gone = (Room.id == room_id, Room.removed_at.is_null(is_null=False))
    return bool(Room.select().where(*gone).exists())


def rooms(
    user_id: UserId, *, joined: bool, search: str, after: tuple[str, RoomId] | None, limit: int
) -> list[RoomRow]:
    """Return rooms that the account may see, by folded name and id, after a given place."""
    query = _visible(user_id)
    if joined:
        query = query.where(Member.account.is_null(False))
    if search:
        query = query.where(Room.key.contains(fold(search)))
    if after is not None:
        key, last_id = after
        query = query.where((Room.key > key) | ((Room.key == key) & (Room.id > last_id)))
    return [_room(row, row.member) for row in query.order_by(Room.key, Room.id).limit(limit)]


def peers(user_id: UserId, room_ids: Collection[RoomId]) -> dict[RoomId, User]:
    """Return the other one of each direct room."""
    rows: Any = (
        Member.select(Member, Account)
        .join(Account)
        .where(Member.room.in_(room_ids), Member.account != user_id)
    )
    return {row.room_id: accounts.user(row.account) for row in rows}


def memberships(user_ids: Collection[UserId]) -> dict[UserId, dict[RoomId, int]]:
    """Return the rooms of some accounts, each with the number of the event of the joining.

    That is `NEVER` where the joining is not on the room's log yet, or only just.
    """
    found: dict[UserId, dict[RoomId, int]] = {user_id: {} for user_id in user_ids}
    rows: Any = Member.select(Member.account, Member.room, Member.joined_n, Member.state).where(
        Member.account.in_(list(found)), Member.state.in_(roles.PRESENT)
    )
    for user_id, room_id, n, state in rows.tuples():
        found[user_id][room_id] = n if state == "joined" else NEVER
    return found


def members(room_id: RoomId, after: UserId, limit: int) -> list[tuple[User, Role]]:
    """Return members by account id."""
    rows: Any = (
        Member.select(Member, Account)
        .join(Account)
        .where(Member.room == room_id, Member.state.in_(roles.PRESENT), Member.account > after)
        .order_by(Member.account)
        .limit(limit)
    )
    return [(accounts.user(row.account), row.role) for row in rows]


def member_ids(room_id: RoomId, after: UserId, limit: int) -> list[UserId]:
    """Return who is in a room, by account id; as `members`, without what they are called."""
    rows: Any = (
        Member.select(Member.account)
        .where(Member.room == room_id, Member.state.in_(roles.PRESENT), Member.account > after)
        .order_by(Member.account)
        .limit(limit)
    )
    return [user_id for (user_id,) in rows.tuples()]


def rooms_of(user_ids: Collection[UserId]) -> dict[UserId, list[RoomId]]:
    """Return the rooms of some accounts: every one of these, also if it has none."""
    found: dict[UserId, list[RoomId]] = {user_id: [] for user_id in user_ids}
    rows: Any = Member.select(Member.account, Member.room).where(
        Member.account.in_(list(user_ids)), Member.state.in_(roles.PRESENT)
    )
    for user_id, room_id in rows.tuples():
        found[user_id].append(room_id)
    return found


def named(room_id: RoomId, usernames: Collection[str]) -> dict[str, UserId]:
    """Return those members of a room whose usernames are given."""
    rows: Any = (
        Member.select(Account.username, Account.id)
        .join(Account)
        .where(
            Member.room == room_id, Member.state.in_(roles.PRESENT), Account.username.in_(usernames)
        )
    )
    return dict(rows.tuples())


def start_join(user_id: UserId, room_id: RoomId) -> Owed:
    """Put an account into a room, or say how it stands there already.

    Raises `NotFound`, `Banned`, `Unauthenticated` if the account is closed.
    """
    with transaction():
        direct = roles.lock(room_id).visibility == "direct"
        owed = _owed(user_id, room_id)
        if owed is not None:
            return owed
        if direct:
            raise errors.NotFound
        if roles.banned(user_id, room_id):
            raise errors.Banned
        ticket = f"-join-{secrets.token_hex(12)}"
        # Who comes into a room that all have left is its owner: nobody else could name one.
        role: Role = "member" if roles.anybody(room_id) else "owner"
        row = Member.insert(
            room=room_id, account=user_id, role=role, state="joining",
            ticket=ticket, joined_n=0, read_id=0, read_messages=0,
        ).on_conflict_ignore()  # fmt: skip
        if row.as_rowcount().execute():  # 0: another request was faster
            _count(room_id, +1)
        told = withdrawals.withdraw(Invitation.room == room_id, Invitation.invitee == user_id)
        # After the insert, which waits for a transaction that closes the account.
        if Account.get_by_id(user_id).closed_at is not None:
            raise errors.Unauthenticated
        owed = _owed(user_id, room_id) or Owed("joining", ticket, role)
        return dataclasses.replace(owed, chores=told)


def finish_join(user_id: UserId, room_id: RoomId, ticket: str, n: int, messages: int) -> None:
    """Note that event `n` told the room of the joining; nothing before it is unread."""
    Member.update(state="joined", joined_n=n, read_id=n, read_messages=messages).where(
        Member.room == room_id,
        Member.account == user_id,
        Member.ticket == ticket,
        Member.state == "joining",
    ).execute()


def start_leave(user_id: UserId, room_id: RoomId) -> Owed | None:
    """Take an account out of a room; None if it is not in it and nothing is owed.

    Raises `NotFound`, `Forbidden` for a direct room.
    """
    with transaction():
        direct = roles.lock(room_id).visibility == "direct"
        was = roles.present(user_id, room_id)
        if direct and was is not None:
            raise errors.Forbidden("Nobody can leave a direct room.")
        # A joining that the log may not have heard of yet goes with its leave: `chores.pay` tells
        # of both, so that what still comes of it, from another process, comes second.
        joins = was is not None and was.state == "joining"
        ticket = chores.cut(was.ticket) if joins else f"-leave-{secrets.token_hex(12)}"
        left = Member.update(state="leaving", ticket=ticket).where(
            Member.room == room_id, Member.account == user_id, Member.state.in_(roles.PRESENT)
        )
        if is_new := left.execute():
            _count(room_id, -1)
        owed = _owed(user_id, room_id)
        if owed is None or owed.state != "leaving":
            return owed
        leave = chores.Leave(room_id, user_id, owed.role, owed.ticket)
        owes = [chores.owe(leave), *roles.pass_on(room_id)] if is_new else [Chore(0, leave)]
        return dataclasses.replace(owed, chores=tuple(owes))


def finish_leave(user_id: UserId, room_id: RoomId, ticket: str) -> None:
    """Note that the room was told of the leaving."""
    Member.delete().where(
        Member.room == room_id, Member.account == user_id, Member.ticket == ticket
    ).execute()


def _visible(user_id: UserId) -> Any:
    mine = (
        (Member.room == Room.id) & (Member.account == user_id) & (Member.state.in_(roles.PRESENT))
    )
    return (
        Room.select(Room, Member)
        .join(Member, pw.JOIN.LEFT_OUTER, on=mine, attr="member")
        .where((Room.visibility == "public") | Member.account.is_null(False))
    )


def _owed(user_id: UserId, room_id: RoomId) -> Owed | None:
    row: Any = Member.get_or_none(Member.room == room_id, Member.account == user_id)
    return None if row is None else Owed(row.state, row.ticket, row.role)


def _count(room_id: RoomId, by: int) -> None:
    Room.update(member_count=Room.member_count + by).where(Room.id == room_id).execute()


def _room(row: Any, member: Any) -> RoomRow:
    absent = member is None or member.role is None
    return RoomRow(
        id=row.id,
        name=row.name,
        topic=row.topic,
        visibility=row.visibility,
        created_at=row.created_at,
        member_count=row.member_count,
        role=None if absent else member.role,
        joined_n=0 if absent else member.joined_n,
        read_id=0 if absent else member.read_id,
        read_messages=0 if absent else member.read_messages,
        archived=row.archived_at is not None,
    )
