"""What travels: the public types, their JSON, and the event that carries them.

A room's events are numbered 1, 2, 3, … without a hole. An event's JSON is made once,
without its number, and `stream.append` stamps the number in front; nobody prints it again.
"""

import re
from datetime import UTC, datetime
from typing import Literal, NewType

import msgspec

UserId = NewType("UserId", int)
RoomId = NewType("RoomId", int)
# A place in a partition's feed: the Redis entry id `<ms>-<seq>` packed into one integer
# that sorts the same, so that SQL can scan it and a cursor can carry it.
FeedId = NewType("FeedId", int)
# One FeedId per partition: all that a process has delivered.
Position = tuple[FeedId, ...]

Visibility = Literal["public", "private", "direct"]
Role = Literal["owner", "moderator", "member"]
EventType = Literal[
    "message",
    "message.update",
    "message.delete",
    "reaction.add",
    "reaction.remove",
    "member.join",
    "member.leave",
    "member.update",
    "room.update",
]

NOBODY = UserId(0)
NEVER = 1 << 62  # above every event's number
_HEX = re.compile(r"[0-9a-f]{1,16}")
_DECIMAL = re.compile(r"[0-9]{1,15}")
_SEQ_BITS = 20  # 2**20 entries in one millisecond are more than a Redis can take
_encode = msgspec.json.encode


class User(msgspec.Struct, frozen=True):
    """An account as others see it."""

    id: UserId
    username: str
    display_name: str
    created_at: str


class Reaction(msgspec.Struct, frozen=True):
    """One emoji under a message, and who put it there."""

    emoji: str
    count: int
    user_ids: list[UserId]


class Message(msgspec.Struct, frozen=True):
    """A message; `id` is the number of the event that made it."""

    id: int
    room_id: RoomId
    author: User
    body: str
    html: str
    created_at: str
    edited_at: str | None = None
    deleted_at: str | None = None
    client_id: str | None = None
    reply_to: int | None = None
    reactions: list[Reaction] = []
    mentions: list[UserId] = []


class Room(msgspec.Struct, frozen=True):
    """A room as the caller sees it; `unread` counts messages after `read_id`.

    `mentions` counts those of them that mention the caller, up to 100.
    """

    id: RoomId
    name: str
    topic: str
    visibility: Visibility
    created_at: str
    member_count: int
    joined: bool
    role: Role | None
    last_id: int
    read_id: int
    unread: int
    mentions: int = 0
    archived: bool = False
    peer: User | None = None  # of a direct room: the other one


class MemberEvent(msgspec.Struct, frozen=True):
    """Data of `member.join`, `member.leave` and `member.update`."""

    id: int
    room_id: RoomId
    user: User
    role: Role


class RoomState(msgspec.Struct, frozen=True):
    """What a room's settings are now."""

    name: str
    topic: str
    visibility: Visibility
    archived: bool


class RoomEvent(msgspec.Struct, frozen=True):
    """Data of `room.update`."""

    id: int
    room_id: RoomId
    room: RoomState


class RoomSummary(msgspec.Struct, frozen=True):
    """A room as somebody sees it who is not in it yet, and may come in."""

    id: RoomId
    name: str
    topic: str
    member_count: int


class Invitation(msgspec.Struct, frozen=True):
    """Who asks whom into which room."""

    id: int
    room: RoomSummary
    inviter: User
    invitee: User
    created_at: str


class ReactionEvent(msgspec.Struct, frozen=True):
    """Data of `reaction.add` and `reaction.remove`: who, and which message."""

    id: int
    room_id: RoomId
    message_id: int
    emoji: str
    user: User


class Event(msgspec.Struct, frozen=True):
    """One numbered event of a room; `data` is its JSON object on one line."""

    room_id: RoomId
    n: int
    type: str
    data: bytes
    feed: FeedId = FeedId(0)  # 0 where the source does not say
    messages: int = 0  # messages in the room up to and with this event
    # Of a message's change, on its way into the archive: what the message is after it, where
    # `data` does not say, and the `client_id` of the change.
    state: bytes = b""
    key: str | None = None


class Control(msgspec.Struct, frozen=True, omit_defaults=True):
    """A feed entry that is no room's event: every process must forget or close something.

    `lost`: Redis may have lost the end of a room, or of all rooms of the partition (no
    `room_id`); who has seen a number above `n` must read the history anew.
    `begin`: nothing to do; what SQL holds is from before.
    """

    kind: Literal["session", "user", "room", "gone", "notice", "lost", "begin"]
    user_id: UserId  # `user`: whose name or sessions are others now
    session: str | None = None  # `session`: the hash of the secret that is no longer good
    room_id: RoomId | None = None  # `room`: one that the user made and is in; `gone`: no more
    n: int = 0  # `lost`: the room's last number now
    raised: bool = False  # `lost`: SQL held more than Redis, and that was put back
    event: str = ""  # `notice`: an event without a number, for the user's streams of all rooms
    data: str = ""  # its JSON; `user`: what others see of the user now, if that has changed,
    rooms: tuple[RoomId, ...] = ()  # for whoever is in one of these
    feed: FeedId = FeedId(0)


def now() -> str:
    """Return the time in ISO 8601, UTC, milliseconds, with Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unnumbered(struct: Message | MemberEvent | ReactionEvent | RoomEvent) -> bytes:
    """Encode an event's JSON after its `id`: what follows `{"id":42`."""
    # All of them put `id` first and are encoded here with id 0.
    return _encode(struct).removeprefix(b'{"id":0')


_decode_member = msgspec.json.Decoder(MemberEvent).decode


def leaves(event: Event, user_id: UserId) -> bool:
    """Whether an event is a user's leaving."""
    return event.type == "member.leave" and _decode_member(event.data).user.id == user_id


def numbered(n: int, rest: bytes) -> bytes:
    """Put an event's JSON together; the Lua script does the same.

    An edit or a deletion is whole already: its `id` is the message's.
    """
    return rest if rest.startswith(b"{") else b'{"id":%d' % n + rest


def pack(entry_id: bytes | str) -> FeedId:
    """Turn a Redis entry id into a FeedId."""
    text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
    ms, _, seq = text.partition("-")
    return FeedId(int(ms) << _SEQ_BITS | int(seq or 0))


def unpack(feed: FeedId) -> str:
    """Turn a FeedId back into a Redis entry id."""
    return f"{feed >> _SEQ_BITS}-{feed & ((1 << _SEQ_BITS) - 1)}"


def reached(position: Position, other: Position) -> bool:
    """Whether `position` is at or before `other` in every partition."""
    return len(position) == len(other) and all(a <= b for a, b in zip(position, other, strict=True))


def cursor(position: Position) -> str:
    """Write a position as the opaque cursor of the all-rooms stream: base 16, joined by dots."""
    return ".".join(f"{feed:x}" for feed in position)


def parse_cursor(text: str, partitions: int) -> Position | None:
    """Read a cursor; None if it is malformed or was made for another number of partitions."""
    if text == "0":  # from the beginning, whatever the number of partitions
        return (FeedId(0),) * partitions
    parts = text.split(".")
    if len(parts) != partitions or not all(_HEX.fullmatch(part) for part in parts):
        return None
    position = tuple(FeedId(int(part, 16)) for part in parts)
    return position if all(feed < 1 << 63 for feed in position) else None


def parse_number(text: str) -> int | None:
    """Read a room stream's cursor, an event number; None if it is malformed."""
    return int(text) if _DECIMAL.fullmatch(text) else None
