"""What is sent: bodies that name their writer, their place and their time.

A body begins with `m<writer>.<place>.<due>.<late>m`: the writer's messages of one room are
numbered 0, 1, 2, …; `due` is when the message should have been sent, in ns on the clock that all
processes of a machine share (CLOCK_MONOTONIC), and `late` how many ns later it was.
It is plain in Markdown, HTML and JSON.
"""

import json
import os
import re
import time
import uuid
from collections.abc import Callable

BODY_CHARS = 56
MARK = re.compile(rb'"body":"m(\d+)\.(\d+)\.(\d+)\.(\d+)m')
_FILLER = " and the quick brown fox jumps over the lazy dog"

Make = Callable[[int, int, int, int, int], bytes]


def body(writer: int, place: int, due_ns: int, late_ns: int) -> str:
    """Return a message's text, always of the same length."""
    return f"m{writer}.{place}.{due_ns}.{late_ns}m{_FILLER}"[:BODY_CHARS]


def post(_room: int, writer: int, place: int, due_ns: int, late_ns: int) -> bytes:
    """Return what quartchat is posted; a UUIDv7 is its fastest kind of `client_id`."""
    return b'{"body":"%b","client_id":"%b"}' % (
        body(writer, place, due_ns, late_ns).encode(),
        uuid7().encode(),
    )


def message(room: int, writer: int, place: int, due_ns: int, late_ns: int) -> bytes:
    """Return a whole message of the same size as quartchat makes: what peers pass on."""
    text = body(writer, place, due_ns, late_ns)
    return json.dumps(
        {
            "id": place,
            "room_id": room,
            "author": {
                "id": writer,
                "username": f"w{writer:05}",
                "display_name": f"Writer {writer:05}",
                "created_at": "2026-01-01T00:00:00.000Z",
            },
            "body": text,
            "html": f"<p>{text}</p>\n",
            "created_at": "2026-01-01T00:00:00.000Z",
            "edited_at": None,
            "deleted_at": None,
            "client_id": uuid7(),
            "reply_to": None,
            "reactions": [],
        },
        separators=(",", ":"),
    ).encode()


def uuid7() -> str:
    """Make a UUIDv7 (RFC 9562, 5.7)."""
    chance = int.from_bytes(os.urandom(10)) & ((1 << 74) - 1)
    high, low = chance >> 62, chance & ((1 << 62) - 1)
    ms = time.time_ns() // 1_000_000
    return str(uuid.UUID(int=ms << 80 | 7 << 76 | high << 64 | 2 << 62 | low))


MAKERS: dict[str, Make] = {"post": post, "message": message}
