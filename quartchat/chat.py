"""The use cases: who may do what with rooms and messages.

A room is had only through the user who asks (`seats`), so that no check can be forgotten.
"""

import msgspec

from quartchat import chores, errors, events, history, sends, store
from quartchat.config import Config
from quartchat.events import (
    Control,
    Event,
    MemberEvent,
    Message,
    Position,
    Role,
    Room,
    RoomId,
    User,
    UserId,
    Visibility,
)
from quartchat.feed import Feed
from quartchat.history import Page
from quartchat.mentions import Mentions
from quartchat.posts import Posted, Posts
from quartchat.records import Head
from quartchat.seats import Seats
from quartchat.signals import Marker
from quartchat.store import events as archive
from quartchat.store import mentions, rooms
from quartchat.store.rooms import RoomRow
from quartchat.store.seats import Seat
from quartchat.stream import Draft, Streams
from quartchat.unread import Unread

_decode_member = msgspec.json.Decoder(MemberEvent).decode


class Chat:
    """Rooms and messages, for one process."""

    def __init__(self, config: Config, streams: Streams, feed: Feed) -> None:
        self.seats = Seats(feed)
        self._streams = streams
        self.mentions = Mentions(feed)
        self._unread = Unread(streams, feed)
        self.posts = Posts(config, streams)

    # -- rooms

    async def create_room(self, user: User, name: str, topic: str, visibility: Visibility) -> Room:
        """Make a room with the user in it, as owner. Raises RoomNameTaken."""
        row = await store.run(rooms.add_room, user.id, name, topic, visibility)
        await self._streams.seed(row.id, 0, 0)
        await self._streams.control(Control("room", user.id, room_id=row.id))
        return _room(row, Head(0, 0, 0, 0))

    async def room(self, user: User, room_id: RoomId) -> Room:
        """Return a room. Raises NotFound, also for a private one that the user is not in."""
        row = await store.run(rooms.room, user.id, room_id)
        if row is None:
            raise errors.NotFound
        position, heads = await history.heads(self._streams, [room_id], user.id)
        if room_id not in heads:  # removed a moment ago
            raise errors.NotFound
        room = _room(row, heads[room_id], (await self._peers(user, [row])).get(row.id))
        return (await self._unread.counted(user.id, [room], position))[0]

    async def rooms(
        self,
        user: User,
        *,
        joined: bool,
        search: str,
        after: tuple[str, RoomId] | None,
        limit: int,
    ) -> tuple[list[Room], tuple[str, RoomId] | None, Position]:
        """Return a page of rooms, where the next begins, and the place to listen from.

        Who listens from that place hears of everything that the rooms do not show yet.
        """
        # The place comes first, so that a room that is made meanwhile comes by the stream.
        position = await self._streams.position()
        rows = await store.run(
            rooms.rooms, user.id, joined=joined, search=search, after=after, limit=limit + 1
        )
        page = rows[:limit]
        now, heads = await history.heads(self._streams, [row.id for row in page], user.id)
        following = (rooms.fold(page[-1].name), page[-1].id) if len(rows) > limit else None
        peers = await self._peers(user, page)
        found = [_room(row, heads[row.id], peers.get(row.id)) for row in page if row.id in heads]
        return await self._unread.counted(user.id, found, now), following, position

    async def _peers(self, user: User, page: list[RoomRow]) -> dict[RoomId, User]:
        direct = [row.id for row in page if row.visibility == "direct"]
        return await store.run(rooms.peers, user.id, direct) if direct else {}

    async def join(self, user: User, room_id: RoomId) -> Room:
        """Join a public room; may be repeated. Raises NotFound, Banned."""
        await self.room(user, room_id)
        return await self.enter(user, room_id)

    async def enter(self, user: User, room_id: RoomId) -> Room:
        """Join a room that the user may come into; may be repeated. Raises NotFound, Banned."""
        owed = await store.run(rooms.start_join, user.id, room_id)
        if owed.state == "leaving":  # a leave was cut short: the log hears of that first
            await self.leave(user, room_id)
            owed = await store.run(rooms.start_join, user.id, room_id)
        if owed.state == "joining":
            event = MemberEvent(0, room_id, user, owed.role)
            n = await self._tell(event, "member.join", owed.ticket)
            messages = await self._messages_up_to(room_id, n)
            await store.run(rooms.finish_join, user.id, room_id, owed.ticket, n, messages)
            await self._streams.mark(room_id, user.id, n, messages)
        await chores.pay(self._streams, *owed.chores)  # whose invitation that was
        return await self.room(user, room_id)

    async def leave(self, user: User, room_id: RoomId) -> None:
        """Leave a room; may be repeated. Another member becomes owner where none would be left.

        Raises NotFound for a room that one may not see, Forbidden for a direct one.
        """
        owed = await store.run(rooms.start_leave, user.id, room_id)
        self.seats.vacate(user.id, room_id)
        if owed is None:
            await self.room(user, room_id)
            return
        await chores.pay(self._streams, *owed.chores)

    async def members(
        self, user: User, room_id: RoomId, after: UserId, limit: int
    ) -> tuple[list[tuple[User, Role]], UserId | None]:
        """Return a page of members and where the next begins."""
        await self.seat(user, room_id)
        found = await store.run(rooms.members, room_id, after, limit + 1)
        following = found[limit - 1][0].id if len(found) > limit else None
        return found[:limit], following

    async def read(self, user: User, room_id: RoomId, n: int) -> Marker | None:
        """Note that the user has read the room up to event `n`; None if that is nothing new."""
        await self.seat(user, room_id)
        position, heads = await history.heads(self._streams, [room_id], user.id)
        if room_id not in heads:  # removed a moment ago
            raise errors.NotFound
        head = heads[room_id]
        n = min(n, head.n)
        if n <= head.read_id:
            return None
        messages = await self._messages_up_to(room_id, n)
        await store.run(mentions.read, user.id, room_id, n, messages)
        await self._streams.mark(room_id, user.id, n, messages)
        unread = max(0, head.messages - messages)
        left = await self._unread.count(user.id, {room_id: n} if unread else {}, position)
        return Marker(room_id, user.id, n, unread, left.get(room_id, 0))

    # -- messages

    async def post(
        self, user: User, room_id: RoomId, body: str, client_id: str | None, reply_to: int | None
    ) -> Posted:
        """Send a message, once, however often this is called with one `client_id`.

        Raises NotAMember, RoomArchived, NotFound, IdempotencyMismatch, ValidationFailed,
        Unavailable.
        """
        await self.seats.writer(user, room_id)
        if reply_to is not None:
            await self._message(room_id, reply_to, "reply_to")
        content = await self.mentions.content(room_id, body)
        message = Message(
            id=0, room_id=room_id, author=user, body=body, html=content.html,
            created_at=events.now(), client_id=client_id, reply_to=reply_to,
            mentions=content.mentions,
        )  # fmt: skip
        draft = Draft(
            room_id=room_id, author_id=user.id, type="message",
            rest=events.unnumbered(message), key="", digest=sends.digest(body, reply_to),
        )  # fmt: skip
        return await self.posts.send(draft, client_id)

    async def message(self, user: User, room_id: RoomId, n: int) -> bytes:
        """Return one message's JSON, as it stands. Raises NotFound."""
        await self.seat(user, room_id)
        found = await history.message(self._streams, room_id, n)
        if found is None:
            raise errors.NotFound
        return found.data

    async def messages(
        self,
        user: User,
        room_id: RoomId,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
        limit: int,
    ) -> Page:
        """Return a page of messages: around an id, after one, before one, or the newest."""
        await self.seat(user, room_id)
        if around is not None:
            return await history.page_around(self._streams, room_id, around, limit)
        if after is not None:
            return await history.page_after(self._streams, room_id, after, limit)
        return await history.page_before(self._streams, room_id, before, limit)

    async def newest(self, user: User, room_id: RoomId, limit: int) -> Page | None:
        """Return a room's newest messages; None where the user is not in it."""
        try:
            return await self.messages(user, room_id, limit=limit)
        except (errors.NotAMember, errors.NotFound):
            return None

    async def seat(self, user: User, room_id: RoomId) -> Seat:
        """Return a member's seat in a room. Raises NotAMember, or NotFound if it is hidden."""
        return await self.seats.seat(user, room_id)

    async def _tell(self, event: MemberEvent, type_: str, ticket: str) -> int:
        """Put a membership's change on the room's log, once; return its number."""
        draft = Draft(
            room_id=event.room_id, author_id=event.user.id, type=type_,
            rest=events.unnumbered(event), key=ticket, digest="",
        )  # fmt: skip
        posted = await self.posts.append(draft)
        return _decode_member(posted.data).id

    async def _message(self, room_id: RoomId, n: int, field: str) -> Event:
        found = await history.event(self._streams, room_id, n)
        if found is None or found.type != "message":
            raise errors.ValidationFailed("There is no such message in this room.", field=field)
        return found

    async def _messages_up_to(self, room_id: RoomId, n: int) -> int:
        """Return how many messages a room had at event `n`."""
        head = await history.head(self._streams, room_id)
        later = await self._streams.read(room_id, n, head.n - n + 1)
        if len(later) == head.n - n:  # also where `n` is the head
            return head.messages - sum(event.type == "message" for event in later)
        archived = await store.run(archive.event, room_id, n)
        return head.messages if archived is None else archived.messages


def _room(row: RoomRow, head: Head, peer: User | None = None) -> Room:
    # Redis knows of the user's own sends at once, SQL of all that was marked: the later counts.
    read = max((head.read_id, head.read_messages), (row.read_id, row.read_messages))
    joined = row.role is not None
    return Room(
        id=row.id,
        name=row.name,
        topic=row.topic,
        visibility=row.visibility,
        created_at=row.created_at,
        member_count=row.member_count,
        joined=joined,
        role=row.role,
        last_id=head.n,
        read_id=read[0] if joined else 0,
        unread=max(0, head.messages - read[1]) if joined else 0,
        archived=row.archived,
        peer=peer,
    )
