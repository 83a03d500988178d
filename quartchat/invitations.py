"""The use cases on coming into a room by an invitation or a link."""

from quartchat import chores, store
from quartchat.chat import Chat
from quartchat.events import Invitation, Room, RoomId, RoomSummary, User, UserId
from quartchat.store import invitations
from quartchat.store.chores import Chore
from quartchat.stream import Streams

OPEN = 200  # invitations in a list, the newest


class Invitations:
    """Invitations and links, for one process."""

    def __init__(self, chat: Chat, streams: Streams) -> None:
        self._chat = chat
        self._streams = streams

    async def invite(
        self, user: User, room_id: RoomId, invitee_id: UserId
    ) -> tuple[Invitation, bool]:
        """Invite somebody; return the invitation, and whether it is new.

        Raises NotFound, NotAMember, Forbidden, ValidationFailed, Banned, AlreadyMember.
        """
        made, owed = await store.run(invitations.invite, user.id, room_id, invitee_id)
        await chores.pay(self._streams, *owed)
        return made, bool(owed)

    async def mine(self, user: User) -> list[Invitation]:
        """Return a user's open invitations."""
        return await store.run(invitations.invitations, user.id, OPEN)

    async def of_room(self, user: User, room_id: RoomId) -> list[Invitation]:
        """Return a room's open invitations. Raises NotFound, NotAMember, Forbidden."""
        return await store.run(invitations.of_room, user.id, room_id, OPEN)

    async def accept(self, user: User, invitation_id: int) -> Room:
        """Join the room that the user is invited to. Raises NotFound, Banned."""
        room_id, owed = await store.run(invitations.accept, user.id, invitation_id)
        return await self._enter(user, room_id, owed)

    async def withdraw(self, user: User, invitation_id: int) -> None:
        """Decline an invitation, or take it back. Raises NotFound."""
        owed = await store.run(invitations.withdraw, user.id, invitation_id)
        await chores.pay(self._streams, *owed)

    async def link(self, user: User, room_id: RoomId) -> str | None:
        """Return a room's link, if it has one. Raises NotFound, NotAMember, Forbidden."""
        return await store.run(invitations.link, user.id, room_id)

    async def set_link(self, user: User, room_id: RoomId) -> str:
        """Give a room a new link. Raises NotFound, NotAMember, Forbidden."""
        return await store.run(invitations.set_link, user.id, room_id)

    async def remove_link(self, user: User, room_id: RoomId) -> None:
        """Kill a room's link. Raises NotFound, NotAMember, Forbidden."""
        await store.run(invitations.remove_link, user.id, room_id)

    async def linked(self, user: User, token: str) -> tuple[RoomSummary, bool]:
        """Return the room that a link opens, and whether the user is in it. Raises NotFound."""
        return await store.run(invitations.linked, user.id, token)

    async def join_linked(self, user: User, token: str) -> Room:
        """Join the room that a link opens; may be repeated. Raises NotFound, Banned."""
        room_id, owed = await store.run(invitations.join_linked, user.id, token)
        return await self._enter(user, room_id, owed)

    async def _enter(self, user: User, room_id: RoomId, owed: tuple[Chore, ...]) -> Room:
        room = await self._chat.enter(user, room_id)
        await chores.pay(self._streams, *owed)
        return room
