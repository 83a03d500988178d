"""A shorter way for a stream's bytes: past ASGI and h11, into the connection's transport.

Hypercorn's way of one body event (HTTPStream, H11Protocol, h11, a lock, drain) costs about
20 µs, several times the system call that it ends in. Once the response has begun, a stream
needs none of it: its chunks are framed for HTTP/1.1 here, once for all readers.

What is found by looking into Hypercorn is checked piece by piece. Where anything is not as
in 0.18, or the connection is not `tcp`'s, or the response is not chunked (HTTP/2, HTTP/1.0),
there is no lane, and the stream uses ASGI's `send`: slower, and otherwise the same.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from h11._writers import ChunkedWriter
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import ASGIReceiveEvent

from quartchat import tcp

HIGH_WATER = 64 << 10  # bytes in the transport's buffer, from which on the reader is waited for


class Lane:
    """The transport under one response whose body is sent in chunks."""

    __slots__ = ("_transport", "_writer")

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._transport = writer.transport

    def write(self, chunk: bytes) -> bool:
        """Write a chunk; False if `drain` must be awaited before the next.

        Raises ConnectionResetError if the connection is gone.
        """
        transport = self._transport
        if transport.is_closing():
            raise ConnectionResetError
        if chunk:  # a chunk of no bytes would end the response
            transport.write(_framed(chunk))
        return transport.get_write_buffer_size() < HIGH_WATER

    async def drain(self) -> None:
        """Wait until the transport has room."""
        await self._writer.drain()

    def abort(self) -> None:
        """Cut the connection; to close it would be to wait until all was taken."""
        self._transport.abort()


def listen(send: Any, gone: Callable[[], object]) -> bool | None:
    """Call `gone` when the client of an ASGI `send` goes away; nobody need wait for that.

    A stream that waited for `http.disconnect` would keep a queue, a task and all that the
    task needs. False if that client is gone already, None where it cannot be done.
    """
    stream = _stream(send)
    if stream is None or not hasattr(stream, "app_put"):
        return None

    async def put(message: ASGIReceiveEvent) -> None:
        if message["type"] == "http.disconnect" and stream.state != ASGIHTTPState.CLOSED:
            gone()  # CLOSED: the response came to its end

    stream.app_put = put
    return not stream.closed


def find(send: Any) -> Lane | None:
    """Return the lane under an ASGI `send` whose response has begun; None if there is none."""
    stream = _stream(send)
    protocol = _owner(getattr(stream, "send", None), H11Protocol)
    server = _owner(getattr(protocol, "send", None), tcp.Connection)
    connection = getattr(protocol, "connection", None)
    writer = getattr(server, "writer", None)
    if not isinstance(getattr(connection, "_writer", None), ChunkedWriter):
        return None
    if not isinstance(writer, asyncio.StreamWriter):
        return None
    server.flush()  # the head goes first
    return Lane(writer)


def _stream(send: Any) -> HTTPStream | None:
    send = getattr(send, "__wrapped__", send)  # Quart 0.23 wraps it
    stream: HTTPStream | None = _owner(send, HTTPStream)
    return stream


def _owner(method: Any, kind: type) -> Any:
    owner = getattr(method, "__self__", None)
    return owner if isinstance(owner, kind) else None


@lru_cache(maxsize=8)  # one flush has few chunks, each for many readers
def _framed(chunk: bytes) -> bytes:
    """Frame a chunk (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)
