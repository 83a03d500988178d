"""Events without a number: typing, presence, read markers; their types and their bytes.

They have no history and no place in the log: whoever is not listening misses them, and no
cursor ever moves by one. Whoever may have missed some is told so by `missed`.
"""

from typing import TypeAlias

import msgspec

from quartchat import sse
from quartchat.events import RoomId, UserId

TYPING_S = 6  # how long somebody counts as typing after the last word of it

_encode = msgspec.json.encode


class Typing(msgspec.Struct, frozen=True):
    """Somebody is writing in the room; forget it after `expires_s`, or once the message comes."""

    room_id: RoomId
    user_id: UserId
    expires_s: int = TYPING_S


class Presence(msgspec.Struct, frozen=True):
    """A member of the room came online or went offline. Nobody is told of themselves."""

    room_id: RoomId
    user_id: UserId
    online: bool


class Marker(msgspec.Struct, frozen=True):
    """The caller has read the room up to `id`, perhaps in another tab or on another device."""

    room_id: RoomId
    user_id: UserId
    id: int
    unread: int
    mentions: int


class Missed(msgspec.Struct, frozen=True):
    """Events without an id were dropped: ask for presence and counts anew, at leisure.

    Of one room its presence alone, where more changed at once than is worth telling;
    without a room, of everything. Wait a random moment, since many hear of it together.
    """

    room_id: RoomId | None = None


class Change(msgspec.Struct, frozen=True, array_like=True):
    """Somebody came online or went offline, and the rooms whose members care."""

    user_id: UserId
    online: bool
    rooms: tuple[RoomId, ...]


Changes: TypeAlias = tuple[Change, ...]
Signal: TypeAlias = Typing | Marker | Changes  # one entry of a partition's live stream

_decoders: dict[bytes, msgspec.json.Decoder[Signal]] = {
    b"typing": msgspec.json.Decoder(Typing),
    b"read": msgspec.json.Decoder(Marker),
    b"presence": msgspec.json.Decoder(Changes),
}
_names: dict[type, str] = {
    Typing: "typing",
    Marker: "read",
    Presence: "presence",
    Missed: "missed",
    tuple: "presence",
}


def kind(signal: Signal) -> str:
    """Return the name under which a signal travels."""
    return _names[type(signal)]


def encode(signal: Signal) -> bytes:
    """Return a signal as it travels."""
    return _encode(signal)


def decode(name: bytes, data: bytes) -> Signal | None:
    """Read a signal; None for a kind that only a later version knows."""
    decoder = _decoders.get(name)
    return None if decoder is None else decoder.decode(data)


def frame(event: Typing | Marker | Presence | Missed) -> bytes:
    """Encode a signal as streams carry it: without an id."""
    return sse.frame(_names[type(event)], _encode(event))
