"""What one run writes down, in plain data: the checker judges nothing else."""

import hashlib
import json
import math
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

RoomId = int
EDITS = frozenset({"message.update", "message.delete"})  # their `id` is the message's
Json = dict[str, Any]


@dataclass(slots=True)
class Answer:
    """What one attempt of a send was answered with: 200 or 201."""

    at: float  # seconds since the run began
    n: int  # the id that the message has
    print: str


@dataclass(slots=True)
class Send:
    """One message, and every answer that it was acknowledged with; repeats have several."""

    room_id: RoomId
    author: str
    client_id: str
    body: str
    began: float  # the first attempt
    answers: list[Answer] = field(default_factory=list)


@dataclass(slots=True)
class Change:
    """An edit, a deletion or a reaction that was acknowledged; `body` is the text or the emoji."""

    room_id: RoomId
    about: int
    kind: str  # of its event
    body: str


@dataclass(slots=True)
class Event:
    """A numbered event of the history, or of a reader's log."""

    room_id: RoomId
    n: int
    type: str
    print: str
    at: float = 0.0
    client_id: str | None = None
    author: str | None = None
    body: str | None = None
    about: int | None = None  # of a change: the message
    gone: bool = False  # the message was deleted since: SQL holds its number, and no text


@dataclass(slots=True)
class Segment:
    """What a reader got since it began, or since a reset: `start` is the number before."""

    start: dict[RoomId, int]
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Reset:
    """The server said that it cannot serve a cursor."""

    at: float
    reason: str


@dataclass(slots=True)
class Log:
    """All that one reader got, over all of its connections."""

    name: str
    every_room: bool
    segments: list[Segment] = field(default_factory=list)
    resets: list[Reset] = field(default_factory=list)
    connections: int = 0


@dataclass(slots=True)
class Fault:
    """Something that the nemesis did."""

    at: float
    kind: str
    target: str
    until: float = math.inf  # it is still at work
    note: str = ""


@dataclass(slots=True)
class Audit:
    """What SQL alone served at a moment at which nobody wrote: messages since the last audit."""

    at: float
    found: dict[RoomId, list[Event]]


@dataclass(slots=True)
class Record:
    """One run."""

    seed: int
    partitions: int = 1
    seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)  # "POST 503" and the like
    slowest_s: float = 0.0  # the longest that any request took
    audits: list[Audit] = field(default_factory=list)
    history: dict[RoomId, list[Event]] = field(default_factory=dict)  # streams from 0, at the end
    folded: dict[RoomId, list[Event]] = field(default_factory=dict)  # what its messages became
    pages: dict[RoomId, list[Event]] = field(default_factory=dict)  # GET …/messages, at the end
    troubles: list[str] = field(default_factory=list)  # what went wrong outside all of these
    outputs: dict[str, str] = field(default_factory=dict)  # of the processes
    cut_short: bool = False  # by what was found; nobody looked at the end

    def save(self, path: Path) -> None:
        """Keep all but the outputs, for whoever looks into a failed run."""
        # Half a million events after ten minutes: msgspec takes a second, `json` a minute.
        text = msgspec.json.encode(replace(self, outputs={}))
        path.write_bytes(msgspec.json.format(text, indent=1))


def fingerprint(data: Json) -> str:
    """Name an event's content, however its JSON was spaced."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def event(
    kind: str, data: Json, at: float = 0.0, *, whole: bool = False, n: int | None = None
) -> Event:
    """Take what is checked from an event's JSON; `whole`: also who sent what.

    `n` is its number; without one, its JSON says it. A run's readers get each event some ten
    times: they share its texts.
    """
    print_ = sys.intern(fingerprint(data))
    found = Event(data["room_id"], data["id"] if n is None else n, sys.intern(kind), print_, at)
    if kind in EDITS:
        found.about, found.body = data["id"], data["body"]
    elif kind == "reaction.add":
        found.about, found.body = data["message_id"], data["emoji"]
    found.gone = kind in {"message", "message.update"} and bool(data["deleted_at"])
    if whole and kind == "message":
        found.client_id, found.body = data["client_id"], data["body"]
        found.author = data["author"]["username"]
    return found
