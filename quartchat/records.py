"""What goes into Redis and comes out: drafts, and from replies and entries to structs."""

import secrets
from dataclasses import dataclass, field

import msgspec

from quartchat.events import Control, Event, RoomId, UserId, pack

SENT_TTL_S = 24 * 3600  # how long Redis alone knows a client_id

_decode_control = msgspec.json.Decoder(Control).decode


class Stale(Exception):
    """A message was changed since it was looked at: look again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A message as it stands, and what proves that nobody has changed it since."""

    data: bytes
    version: bytes  # the number of its last change, as Redis holds it; b"" where it holds none
    forgotten: bytes  # up to where changes may be known to SQL alone


@dataclass(frozen=True, slots=True)
class Change:
    """What a draft changes: a message, as its maker saw it, and what it is after this."""

    about: int
    seen: Standing
    state: bytes = b""  # the message's JSON after this; b"": the event's is that
    key: str | None = None  # the client_id


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that has no number yet.

    `rest` is its JSON after `{"id":<n>`; of an edit or a deletion all of it.
    """

    room_id: RoomId
    author_id: UserId
    type: str
    rest: bytes
    key: str  # names the send: the same room, author and key make one event
    digest: str  # of what was asked; another digest under the same key is another request
    key_ttl_s: int = SENT_TTL_S
    sent_ms: int | None = None  # when the key was made; None: SQL was asked, or need not be
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a draft.

    outcome `new` or `again`: `n` is its number; `new` also has its place in the feed and the
    room's messages so far, `again` has `digest`, and `data` where Redis still holds it.
    `unseeded`: seed the room first. `unsure`: Redis cannot know whether this key was used
    before; look in SQL. `full`: the archive is too far behind. `stale`: the message that it
    changes was changed meanwhile. `out`: its author has left the room.
    """

    outcome: str
    n: int = 0
    digest: str = ""
    data: bytes | None = None
    place: tuple[bytes, ...] = field(default=(), compare=False)  # messages so far, feed id


@dataclass(frozen=True, slots=True)
class Head:
    """A room's counters: last event, messages so far, and the caller's marker (`0:0` if none)."""

    n: int
    messages: int
    read_id: int
    read_messages: int


def appended(outcome: bytes, n: int = 0, *rest: bytes) -> Appended:
    """Read what the append script answers."""
    if outcome == b"new":
        return Appended("new", n, place=rest)
    if outcome == b"again":
        digest, data = rest
        return Appended("again", n, digest.decode(), data)
    return Appended(outcome.decode())


def change_arguments(change: Change) -> list[bytes | int | str]:
    """Return what the append script wants to know of a change."""
    seen = change.seen
    return [change.about, seen.version, seen.forgotten, change.state, change.key or ""]


def event(draft: Draft, appended: Appended, data: bytes) -> Event:
    """Return what a new draft has become."""
    messages, feed = appended.place
    found = Event(draft.room_id, appended.n, draft.type, data, pack(feed), int(messages))
    if draft.change is None:
        return found
    return msgspec.structs.replace(found, state=draft.change.state, key=draft.change.key)


def head(n: bytes, messages: bytes, marker: bytes | None) -> Head:
    """Read a room's counters, and the marker of a user in it."""
    read_id, _, read_messages = (marker or b"0:0").partition(b":")
    return Head(int(n), int(messages), int(read_id), int(read_messages))


def room_event(room_id: RoomId, entry_id: bytes, fields: dict[bytes, bytes]) -> Event:
    """Read an entry of a room's stream."""
    number = int(entry_id.partition(b"-")[0])
    return Event(room_id, number, fields[b"t"].decode(), fields[b"d"])


def archive_entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Event | Control:
    """Read an entry of the feed, with what only the archive wants of it."""
    entry = feed_entry(entry_id, fields)
    if not isinstance(entry, Event) or b"s" not in fields:
        return entry
    key = fields[b"k"].decode() or None
    return msgspec.structs.replace(entry, state=fields[b"s"], key=key)


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


def random_key() -> str:
    """Make a key for a send that its client did not name, so that our own retry is safe."""
    return f"-{secrets.token_hex(12)}"
