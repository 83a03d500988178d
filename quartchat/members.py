"""The use cases on what members do to each other: roles, kicks, bans."""

from quartchat import chores, store
from quartchat.events import Role, RoomId, User, UserId
from quartchat.seats import Seats
from quartchat.store import members
from quartchat.store.members import BanRow
from quartchat.stream import Streams


class Members:
    """Members' rights, for one process. All raise NotFound, NotAMember, Forbidden."""

    def __init__(self, seats: Seats, streams: Streams) -> None:
        self._seats = seats
        self._streams = streams

    async def set_role(self, user: User, room_id: RoomId, member_id: UserId, role: Role) -> User:
        """Give a member a role; return the member. Raises LastOwner, too."""
        member, owed = await store.run(members.set_role, user.id, room_id, member_id, role)
        self._seats.vacate(member_id, room_id)
        await chores.pay(self._streams, *owed)
        return member

    async def kick(self, user: User, room_id: RoomId, member_id: UserId) -> None:
        """Take a member out of a room; may be repeated."""
        owed = await store.run(members.kick, user.id, room_id, member_id)
        self._seats.vacate(member_id, room_id)
        await chores.pay(self._streams, *owed)

    async def ban(self, user: User, room_id: RoomId, member_id: UserId, reason: str) -> None:
        """Take somebody out of a room, and keep them out."""
        owed = await store.run(members.ban, user.id, room_id, member_id, reason)
        self._seats.vacate(member_id, room_id)
        await chores.pay(self._streams, *owed)

    async def unban(self, user: User, room_id: RoomId, member_id: UserId) -> None:
        """Let somebody come in again; may be repeated."""
        await store.run(members.unban, user.id, room_id, member_id)

    async def bans(
        self, user: User, room_id: RoomId, after: UserId, limit: int
    ) -> tuple[list[BanRow], UserId | None]:
        """Return a page of who is kept out, and where the next begins."""
        found = await store.run(members.bans, user.id, room_id, after, limit + 1)
        following = found[limit - 1].user.id if len(found) > limit else None
        return found[:limit], following
