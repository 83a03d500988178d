"""Server-Sent Events on the wire: pure encoding, no I/O.

Source: HTML Living Standard, 9.2.5 "Parsing an event stream".
A frame ends with its blank line, so frames may be joined without anything between.
"""

import re

# The parser ends a line at CRLF, LF or CR alone, so a value may hold none of them.
_LINE_END = re.compile(r"\r\n|\r|\n")
# It also ignores an `id` that holds NUL, which would freeze the reader's cursor.
_UNSAFE = re.compile(r"[\r\n\0]")

HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # no-transform keeps compressing middleboxes from holding events back
    "Cache-Control": "no-cache, no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx buffers otherwise
}


def frame(event: str, data: bytes, id_: str | None = None) -> bytes:
    """Encode one event whose data is one line, as JSON always is."""
    head = f"event: {event}\ndata: " if id_ is None else f"id: {id_}\nevent: {event}\ndata: "
    return head.encode() + data + b"\n\n"


def encode(data: str, *, event: str | None = None, id_: str | None = None) -> bytes:
    """Encode any text: several lines become several `data:` fields."""
    lines = [] if id_ is None else [f"id: {_UNSAFE.sub('', id_)}"]
    if event is not None:
        lines.append(f"event: {_UNSAFE.sub('', event)}")
    lines += [f"data: {line}" for line in _LINE_END.split(data)]
    return ("\n".join(lines) + "\n\n").encode()


def prelude(retry_ms: int) -> bytes:
    """Encode the first bytes of a stream: when to come back, and a comment that flushes proxies."""
    return f"retry: {retry_ms}\n: quartchat\n\n".encode()
