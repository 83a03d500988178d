"""Server-Sent Events on the wire: pure encoding, no I/O.

Source: HTML Living Standard, 9.2.5 "Parsing an event stream".
A frame ends with its blank line, so frames may be joined without anything between.
"""

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


def prelude(retry_ms: int) -> bytes:
    """Encode the first bytes of a stream: when to come back, and a comment that flushes proxies."""
    return f"retry: {retry_ms}\n: quartchat\n\n".encode()
