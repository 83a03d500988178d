"""One request and its response on HTTP/1.1: the `receive` and `send` of an ASGI application.

It frames bodies, says how long they are, and knows whether the connection may be used again.
Streams write into the transport, past ASGI.
"""

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from hypercorn.events import Closed, Updated
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent

from quartchat import http_heads, tcp
from quartchat.http_heads import Plain

if TYPE_CHECKING:
    from collections.abc import Callable

BODILESS = {204, 304}  # RFC 9110, 6.4.1
CHUNKS = 8  # that are kept framed: one flush has few, each for many readers


class Exchange:
    """One plain request and its response: the `receive` and `send` of an ASGI application.

    A stream writes its chunks straight into the transport (`stream`, `write`, `drain`), so
    that a delivery costs the system call and little else.
    """

    __slots__ = (
        "_begun", "_chunked", "_connection", "_due", "_ended", "_missing", "_news", "_pending",
        "_silent", "_start", "_transport", "close", "gone", "on_gone",
    )  # fmt: skip

    def __init__(self, connection: tcp.Connection, asked: Plain) -> None:
        self.close = False  # whether the connection ends with this response
        self.gone = False  # whether the client went away
        self.on_gone: Callable[[], object] | None = None
        self._connection = connection
        self._transport = connection.writer.transport
        self._missing = asked.length  # of the request's body
        self._pending: bytes | None = b"" if asked.length == 0 else None  # not yet received
        self._news: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._start: Any = None
        self._begun = False  # whether the head is written
        self._silent = asked.method == "HEAD"
        self._chunked = False
        self._due = -1  # of the response's body, where its head says how much there is

    # -- the request

    def feed(self, data: bytes) -> bytes:
        """Take what the client sends; return what is not of this request."""
        if self._missing:
            body = data[: self._missing]
            self._missing -= len(body)
            self._pending = (self._pending or b"") + body
            self._wake()
            return data[len(body) :]
        return data

    def end(self) -> None:
        """Note that the client went away."""
        if not self.gone:
            self.gone = True
            self._wake()
            if self.on_gone is not None and not self.is_over:
                self.on_gone()

    def whole_body(self) -> bytes | None:
        """Return the body, if all of it is here and none was received yet."""
        if self._missing or self._pending is None:
            return None
        body, self._pending = self._pending, None
        return body

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next piece of the body, then wait until the client is gone."""
        while self._pending is None and not self.gone:
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        if self._pending is None:
            return {"type": "http.disconnect"}
        body, self._pending = self._pending, None
        return {"type": "http.request", "body": body, "more_body": self._missing > 0}

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # -- the response

    @property
    def is_over(self) -> bool:
        """Whether the response is complete."""
        return self._begun and self._start is None

    async def send(self, message: ASGISendEvent) -> None:
        """Take the response, as ASGI has it."""
        event = cast("dict[str, Any]", message)
        if event["type"] == "http.response.start" and self._start is None and not self._begun:
            self._start = event
        elif event["type"] == "http.response.body" and self._start is not None:
            more = event.get("more_body", False)
            data = self._framed(event.get("body", b""), more=more)
            if data:
                await self._connection.write(data)
            if not more:
                await self._finish()
        else:
            raise RuntimeError(f"{event['type']} is out of turn")

    def stream(self) -> None:
        """Write the head of a response whose body comes by `write`."""
        self._transport.write(self._head(None))

    def write(self, chunk: bytes) -> bool:
        """Write a chunk; False if `drain` must be awaited before the next.

        Raises ConnectionResetError if the connection is gone.
        """
        transport = self._transport
        if transport.is_closing():
            raise ConnectionResetError
        if chunk:  # a chunk of no bytes would end the response
            transport.write(_chunk(chunk))
        return transport.get_write_buffer_size() < tcp.HIGH_WATER

    async def drain(self) -> None:
        """Wait until the transport has room."""
        await self._connection.writer.drain()

    def abort(self) -> None:
        """Cut the connection; to close it would be to wait until all was taken."""
        self._transport.abort()

    async def ended(self) -> None:
        """Wait until the response is complete."""
        if not self.is_over:
            self._ended = self._ended or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._ended)

    async def finish(self) -> None:
        """Make an end where the application has not: of what it began, or with an error.

        That is a 500, but where the process ends; then it is "come back later".
        """
        if self.is_over:
            return
        self.close = True
        if not self._begun:
            body, headers, status = b"", [], 500
            if self.gone and self._missing:  # cut by its client, who may still be listening
                status = 400
            elif self._connection.context.terminated.is_set():
                body, headers, status = tcp.LATE_PROBLEM, tcp.LATE_HEADERS, 503
            self._start = {"status": status, "headers": headers}
            await self._connection.write(self._framed(body, more=False))
        await self._finish()

    async def _finish(self) -> None:
        self._start = None
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        reusable = not (self.close or self._missing or self._due > 0)
        self.on_gone = None
        await self._connection.protocol_send(Updated(idle=True) if reusable else Closed())

    def _framed(self, body: bytes, *, more: bool) -> bytes:
        head = b"" if self._begun else self._head(None if more else len(body))
        if self._silent:
            return head
        if self._chunked:
            return head + (_chunk(body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        self._due -= len(body)
        if self._due < 0:
            raise RuntimeError("the response is longer than its Content-Length")
        return head + body

    def _head(self, length: int | None) -> bytes:
        """Write the head; `length` is the body's, None if that is not known."""
        self._begun = True
        status, headers = self._start["status"], list(self._start.get("headers", ()))
        fields = {name.lower(): value for name, value in headers}
        if fields.get(b"connection", b"").lower() == b"close":
            self.close = True
        elif self.close or self._missing or self._connection.context.terminated.is_set():
            self.close = True
            headers.append((b"connection", b"close"))
        if status in BODILESS:
            self._silent = True
        elif b"content-length" in fields:
            self._due = 0 if self._silent else int(fields[b"content-length"])
        elif length is not None:
            self._due = 0 if self._silent else length
            headers.append((b"content-length", b"%d" % length))
        else:
            self._chunked = True
            headers.append((b"transfer-encoding", b"chunked"))
        return http_heads.response(status, headers)


def of(send: Any) -> Exchange | None:
    """Return the exchange whose `send` this is; None where the request was not plain."""
    send = getattr(send, "__wrapped__", send)  # Quart 0.23 wraps it
    owner = getattr(send, "__self__", None)
    return owner if isinstance(owner, Exchange) else None


def lane(send: Any) -> Exchange | None:
    """Return where the chunks of a response that has begun may be written to directly."""
    exchange = of(send)
    if exchange is not None:
        exchange.stream()
    return exchange


@lru_cache(CHUNKS)
def _chunk(chunk: bytes) -> bytes:
    """Frame a chunk (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)
