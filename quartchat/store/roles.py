"""Who may do what in a room, inside of the transaction that does it.

A room that is to be changed is had only through the member who asks and the role it needs.
"""

import secrets
from typing import Any

from quartchat import errors
from quartchat.events import MemberEvent, Role, RoomId, UserId, unnumbered
from quartchat.store import accounts, chores, locked
from quartchat.store.chores import Chore
from quartchat.store.models import Account, Ban, Member, Room

RANK: dict[Role, int] = {"member": 0, "moderator": 1, "owner": 2}
PRESENT = ("joining", "joined")  # states in which a member counts as in the room


def lock(room_id: RoomId) -> Any:
    """Return a room whose members and settings nobody else changes before this transaction ends.

    Whatever changes who is in a room, or what they may do, does this first: so that a ban
    and a join, or two owners who step down, come one after the other. Raises `NotFound`.
    """
    row = locked(Room.select().where(Room.id == room_id, Room.removed_at.is_null())).first()
    if row is None:
        raise errors.NotFound
    return row


def present(user_id: UserId, room_id: RoomId) -> Any:
    """Return the account's membership, or None if it is not in the room."""
    return Member.get_or_none(
        Member.room == room_id, Member.account == user_id, Member.state.in_(PRESENT)
    )


def anybody(room_id: RoomId) -> bool:
    """Whether a room has a member."""
    here = (Member.room == room_id, Member.state.in_(PRESENT))
    return bool(Member.select().where(*here).exists())


def held(user_id: UserId, room_id: RoomId, at_least: Role) -> tuple[Any, Role]:
    """Return a room in which an account has a role, or a higher one, and the role; locked.

    Raises `NotFound` if it may not see the room, `NotAMember`, `Forbidden`.
    """
    row, member = lock(room_id), present(user_id, room_id)
    if member is None:
        raise errors.NotAMember if row.visibility == "public" else errors.NotFound
    if RANK[member.role] < RANK[at_least]:
        raise errors.Forbidden
    return row, member.role


def change_role(member: Any, role: Role) -> Chore:
    """Give a member another role, in a transaction; the room is to hear of it."""
    room_id, user_id = member.room_id, member.account_id
    Member.update(role=role).where(Member.room == room_id, Member.account == user_id).execute()
    event = MemberEvent(0, room_id, accounts.user(Account.get_by_id(user_id)), role)
    key = f"-role-{secrets.token_hex(12)}"
    rest = unnumbered(event).decode()
    return chores.owe(chores.Tell(room_id, user_id, "member.update", rest, key))


def banned(user_id: UserId, room_id: RoomId) -> bool:
    """Whether the room keeps the account out."""
    return bool(Ban.select().where(Ban.room == room_id, Ban.account == user_id).exists())


def pass_on(room_id: RoomId) -> list[Chore]:
    """Make the oldest moderator owner, or else the oldest member, where there is no owner."""
    here = (Member.room == room_id, Member.state.in_(PRESENT))
    if Member.select().where(*here, Member.role == "owner").exists():
        return []
    # `joined_n` is 0 also while a joining is on its way to the log: such a one is the youngest.
    order = (Member.role != "moderator", Member.state != "joined", Member.joined_n, Member.account)
    heir = Member.select().where(*here).order_by(*order).first()
    return [] if heir is None else [change_role(heir, "owner")]
