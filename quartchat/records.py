"""How events and counters stand in Redis: from an entry's fields to a struct."""

from dataclasses import dataclass

import msgspec

from quartchat.events import Control, Event, RoomId, pack

_decode_control = msgspec.json.Decoder(Control).decode


@dataclass(frozen=True, slots=True)
class Head:
    """A room's counters: last event, messages so far, and the caller's marker (`0:0` if none)."""

    n: int
    messages: int
    read_id: int
    read_messages: int


def head(n: bytes, messages: bytes, marker: bytes | None) -> Head:
    """Read a room's counters, and the marker of a user in it."""
    read_id, _, read_messages = (marker or b"0:0").partition(b":")
    return Head(int(n), int(messages), int(read_id), int(read_messages))


def room_event(room_id: RoomId, entry_id: bytes, fields: dict[bytes, bytes]) -> Event:
    """Read an entry of a room's stream."""
    number = int(entry_id.partition(b"-")[0])
    return Event(room_id, number, fields[b"t"].decode(), fields[b"d"])


def feed_entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Event | Control:
    """Read an entry of the feed."""
    feed = pack(entry_id)
    if b"c" in fields:
        return msgspec.structs.replace(_decode_control(fields[b"c"]), feed=feed)
    return Event(
        RoomId(int(fields[b"r"])),
        int(fields[b"n"]),
        fields[b"t"].decode(),
        fields[b"d"],
        feed,
        int(fields[b"m"]),
    )
