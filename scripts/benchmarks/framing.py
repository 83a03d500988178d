"""What a reader receives, taken apart: HTTP, chunks, event streams, WebSocket frames.

Most readers of a room receive the same bytes in the same pieces. So a reader's place is an
immutable `State`, shared by all readers that stand there, and it remembers what the last
pieces that arrived at it led to: one reader's parsing serves all, and a byte comparison in C
stands for the rest. That is what lets one process check a million deliveries a second.
"""

import re
from collections import deque
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from benchmarks.messages import MARK

REMEMBERED = 4  # continuations that a state remembers
_ID = re.compile(rb"^id: (\d+)$", re.MULTILINE)
_STATUS = re.compile(rb"HTTP/1\.1 (\d+)")
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)
_HELLO = b"40"  # Engine.IO's message that holds Socket.IO's CONNECT
_PONG = b"3"


class RefusedError(Exception):
    """The server did not open the stream; `again_s` is when it may be asked again, if at all."""

    def __init__(self, message: str, again_s: float | None) -> None:
        super().__init__(message)
        self.again_s = again_s


@dataclass(frozen=True, slots=True)
class Tally:
    """What a reader has had, and what was wrong with it."""

    messages: int = 0
    bytes: int = 0  # of event data and framing, without HTTP's
    ready: bool = False
    last_id: int = -1  # the server's number of the last event; -1: none yet
    order: int = 0  # a hash over all (writer, place): equal where readers saw the same order
    places: tuple[tuple[int, int], ...] = ()  # the next place of each writer
    missing: int = 0
    repeated: int = 0
    holes: int = 0  # jumps in the server's own numbers
    heartbeats: int = 0
    resets: int = 0


@dataclass(eq=False, slots=True, weakref_slot=True)
class State:
    """A reader's place in its stream, and where the pieces that came next led to."""

    tally: Tally
    mode: str  # head, plain, chunked, websocket
    raw: bytes = b""  # received, not yet taken apart
    left: int = 0  # bytes of the current chunk that are still to come
    text: bytes = b""  # the beginning of an event
    steps: list["Step"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Step:
    """What one piece of bytes does to a state."""

    data: bytes
    state: State
    count: int  # messages in it
    due: tuple[int, ...]  # when each was due, ns
    sent: tuple[int, ...]  # when each was sent
    reply: bytes  # what the reader has to answer


class Parser:
    """Takes apart the streams of one server; `ready` is what says that a stream is open."""

    def __init__(self, ready: bytes, *, numbered: bool) -> None:
        self._ready = ready
        self._numbered = numbered  # the server numbers its events 1, 2, 3, …
        self._states: WeakValueDictionary[tuple[object, ...], State] = WeakValueDictionary()
        self._kept: deque[State] = deque(maxlen=REMEMBERED)
        self.parsed = 0  # pieces that were not known before

    def start(self, last_id: int = -1) -> State:
        """Return the place before the first byte; `last_id` is what a resuming reader has."""
        return self._intern(Tally(last_id=last_id), "head", b"", 0, b"")

    def step(self, state: State, data: bytes) -> Step:
        """Return what `data` does to `state`. Raises RefusedError."""
        for step in state.steps:
            if step.data == data:
                return step
        self.parsed += 1
        step = self._parse(state, data)
        state.steps.insert(0, step)
        del state.steps[REMEMBERED:]
        return step

    def _intern(self, tally: Tally, mode: str, raw: bytes, left: int, text: bytes) -> State:
        key = (tally, mode, raw, left, text)
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = State(tally, mode, raw, left, text)
        return state

    def _parse(self, state: State, data: bytes) -> Step:
        raw, mode, left, text = state.raw + data, state.mode, state.left, state.text
        if mode == "head":
            head, end, rest = raw.partition(b"\r\n\r\n")
            if not end:
                return Step(data, self._intern(state.tally, mode, raw, 0, b""), 0, (), (), b"")
            mode, raw = _mode(head), rest
            # What follows `ready` is the same for many; what is in front of it is not.
            ready = rest.find(b"\n\n", rest.find(self._ready)) if self._ready in rest else -1
            if ready >= 0 and ready + 2 < len(rest):
                cut = len(data) - len(rest) + ready + 2
                first = self._parse(state, data[:cut])
                self._kept.append(first.state)  # no reader stays there, but others pass
                then = self.step(first.state, data[cut:])
                return Step(data, then.state, then.count, then.due, then.sent, first.reply)
        if mode == "websocket":
            payloads, raw = _unframe(raw)
            return self._socketio(data, state.tally, payloads, raw)
        if mode == "chunked":
            found, raw, left = _unchunk(raw, left)
            text += found
        else:
            text, raw = text + raw, b""
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")  # a last \r waits for its \n
        events, end, text = text.rpartition(b"\n\n")
        tally, due, sent = self._count(state.tally, events + end)
        return Step(data, self._intern(tally, mode, raw, left, text), len(due), due, sent, b"")

    def _socketio(self, data: bytes, tally: Tally, payloads: list[bytes], raw: bytes) -> Step:
        reply = b""
        for payload in payloads:
            if payload[:1] == b"0":  # Engine.IO's OPEN
                reply += masked(_HELLO)
            elif payload == b"2":  # its PING
                reply += masked(_PONG)
        tally, due, sent = self._count(tally, b"\n".join(payloads))
        after = self._intern(tally, "websocket", raw, 0, b"")
        return Step(data, after, len(due), due, sent, reply)

    def _count(self, tally: Tally, events: bytes) -> tuple[Tally, tuple[int, ...], tuple[int, ...]]:
        """Check a piece's events; return the new tally, when each was due, when it was sent."""
        if not events:
            return tally, (), ()
        marks = MARK.findall(events)
        order, missing, repeated = tally.order, tally.missing, tally.repeated
        places = dict(tally.places)
        due, sent = [], []
        for mark in marks:
            writer, place, due_ns, late_ns = map(int, mark)
            expected = places.get(writer, place)
            if place < expected:
                repeated += 1
                continue
            missing += place - expected
            places[writer] = place + 1
            order = hash((order, writer, place))
            due.append(due_ns)
            sent.append(due_ns + late_ns)
        last_id, holes = tally.last_id, tally.holes
        if self._numbered:
            for number in map(int, _ID.findall(events)):
                holes += last_id not in (-1, number - 1)
                last_id = number
        after = Tally(
            messages=tally.messages + len(due),
            bytes=tally.bytes + len(events),
            ready=tally.ready or self._ready in events,
            last_id=last_id,
            order=order,
            places=tuple(places.items()),
            missing=missing,
            repeated=repeated,
            holes=holes,
            heartbeats=tally.heartbeats + events.count(b"event: heartbeat\n"),
            resets=tally.resets + events.count(b"event: reset\n"),
        )
        return after, tuple(due), tuple(sent)


def masked(payload: bytes) -> bytes:
    """Frame a short text as a WebSocket client must; a mask of zeros changes nothing."""
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def _mode(head: bytes) -> str:
    status = _STATUS.match(head)
    if status is None or status.group(1) not in (b"200", b"101"):
        again = _RETRY_AFTER.search(head)
        first = head.partition(b"\r\n")[0].decode("latin-1")
        raise RefusedError(first, float(again.group(1)) if again else None)
    if status.group(1) == b"101":
        return "websocket"
    return "chunked" if b"\r\ntransfer-encoding: chunked" in head.lower() else "plain"


def _unchunk(raw: bytes, left: int) -> tuple[bytes, bytes, int]:
    """Return the chunks' content, the bytes not yet understood, what the last chunk lacks.

    `left` counts a chunk's closing CRLF too.
    """
    parts, at = [], 0
    while at < len(raw):
        if left == 0:
            end = raw.find(b"\r\n", at)
            if end < 0:
                break
            left = int(raw[at:end], 16) + 2
            at = end + 2
        piece = raw[at : at + left]
        parts.append(piece[: max(0, left - 2)])  # its closing CRLF is not content
        at += len(piece)
        left -= len(piece)
    return b"".join(parts), raw[at:], left


def _unframe(raw: bytes) -> tuple[list[bytes], bytes]:
    """Return the payloads of whole WebSocket frames, and the rest."""
    payloads, at = [], 0
    while at + 2 <= len(raw):
        size, start = raw[at + 1] & 0x7F, at + 2
        if size > 125:  # noqa: PLR2004 - RFC 6455, 5.2
            width = 2 if size == 126 else 8  # noqa: PLR2004
            if start + width > len(raw):
                break
            size, start = int.from_bytes(raw[start : start + width]), start + width
        if start + size > len(raw):
            break
        payloads.append(raw[start : start + size])
        at = start + size
    return payloads, raw[at:]
