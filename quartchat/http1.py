"""HTTP/1.1 under Hypercorn, for plain requests; every other one is Hypercorn's own business.

Hypercorn's way (H11Protocol, h11, HTTPStream) costs 200 µs a request and 20 µs a chunk of a
stream, in Python, of which a plain request needs little: its head is read by one expression,
and its answer written with one call. A connection may have both kinds, one after the other.
"""

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import unquote

import hypercorn.protocol
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, HTTPScope

from quartchat import heads, tcp
from quartchat.heads import Plain

if TYPE_CHECKING:
    from collections.abc import Callable

BODILESS = {204, 304}  # RFC 9110, 6.4.1
HIGH_WATER = tcp.HIGH_WATER


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
        return transport.get_write_buffer_size() < HIGH_WATER

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
        """Make an end where the application has not: of what it began, or with a 500."""
        if self.is_over:
            return
        self.close = True
        if not self._begun:
            self._start = {"status": 500, "headers": []}
            await self._connection.write(self._framed(b"", more=False))
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
        return heads.response(status, headers)


class Http1:
    """One connection's protocol, in the place of Hypercorn's H11Protocol."""

    __slots__ = (
        "_app", "_client", "_config", "_connection", "_exchange", "_h11", "_scheme", "_server",
        "_settings", "_state", "_tasks",
    )  # fmt: skip

    def __init__(self, *settings: Any) -> None:
        self._settings = settings  # as they are given to H11Protocol
        self._app, self._config, _, self._tasks, self._state, ssl, *rest = settings
        self._client, self._server, send = rest
        self._scheme = "https" if ssl else "http"
        self._connection: tcp.Connection = send.__self__
        self._exchange: Exchange | None = None
        self._h11: H11Protocol | None = None

    async def initiate(self) -> None:
        """Do nothing: the client speaks first."""

    async def handle(self, event: Event) -> None:
        """Take what the connection brings."""
        if isinstance(event, RawData):
            await self._take(event.data)
        elif isinstance(event, Closed):
            if self._exchange is not None:
                self._exchange.end()
            if self._h11 is not None:
                await self._h11.handle(event)

    async def _take(self, data: bytes) -> None:
        while data:
            exchange = self._exchange
            if exchange is not None and not exchange.is_over:
                data = exchange.feed(data)
                if data:  # the next request came early: nothing more is read until its turn
                    await exchange.ended()
                continue
            self._exchange = None
            found = heads.plain(data) if self._between() else None
            if found is None:
                await self._leave(data)
                return
            data = await self._begin(*found)

    def _between(self) -> bool:
        """Whether the next byte is a request's first."""
        if self._h11 is not None:
            connection = self._h11.connection
            if self._h11.stream is not None or connection.trailing_data[0]:
                return False
            self._h11 = None
        return True

    async def _leave(self, data: bytes) -> None:
        """Leave a request to Hypercorn."""
        if self._h11 is None:
            self._h11 = H11Protocol(*self._settings)
        await self._h11.handle(RawData(data))

    async def _begin(self, asked: Plain, rest: bytes) -> bytes:
        """Begin to serve a request; return what is not of it."""
        await self._connection.protocol_send(Updated(idle=False))
        self._exchange = exchange = Exchange(self._connection, asked)
        rest = exchange.feed(rest)
        self._tasks.spawn(self._serve, self._scope(asked), exchange)
        return rest

    async def _serve(self, scope: HTTPScope, exchange: Exchange) -> None:
        try:
            await self._app(scope, exchange.receive, cast("Any", exchange.send), _unused, _unused)
        except Exception:  # noqa: BLE001 - as Hypercorn does; the client gets a 500
            await self._config.log.exception("Error in ASGI Framework")
        finally:
            await exchange.finish()

    def _scope(self, asked: Plain) -> HTTPScope:
        path, _, query = asked.target.partition(b"?")
        return {
            "type": "http",
            "http_version": "1.1",
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "method": asked.method,
            "scheme": self._scheme,
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": self._config.root_path,
            "headers": list(asked.headers),
            "client": self._client,
            "server": self._server,
            "state": self._state.copy(),
            "extensions": {},
        }


def install() -> tcp.Idle:
    """Make Hypercorn serve with connections like these; return those that wait."""
    hypercorn.protocol.H11Protocol = Http1  # type: ignore[attr-defined,assignment]
    return tcp.install()


def exchange_of(send: Any) -> Exchange | None:
    """Return the exchange whose `send` this is; None where the request was not plain."""
    send = getattr(send, "__wrapped__", send)  # Quart 0.23 wraps it
    owner = getattr(send, "__self__", None)
    return owner if isinstance(owner, Exchange) else None


def lane(send: Any) -> Exchange | None:
    """Return where the chunks of a response that has begun may be written to directly."""
    exchange = exchange_of(send)
    if exchange is not None:
        exchange.stream()
    return exchange


def _unused(*_: Any) -> NoReturn:
    """Take the place of what Hypercorn gives to WSGI applications alone."""
    raise NotImplementedError


@lru_cache(maxsize=8)  # one flush has few chunks, each for many readers
def _chunk(chunk: bytes) -> bytes:
    """Frame a chunk (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)
