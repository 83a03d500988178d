"""HTTP/1.1 under Hypercorn, for plain requests; every other one is Hypercorn's own business.

Hypercorn's way (H11Protocol, h11, HTTPStream) costs 200 µs a request and 20 µs a chunk of a
stream, in Python, of which a plain request needs little: its head is read by one expression,
and its answer written with one call. A connection may have both kinds, one after the other.
"""

import asyncio
from contextlib import suppress
from typing import Any, NoReturn, cast
from urllib.parse import unquote

import hypercorn.protocol
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import HTTPScope
from hypercorn.utils import UnexpectedMessageError

from quartchat import http_heads, tcp
from quartchat.exchange import Exchange
from quartchat.http_heads import Plain


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
            found = http_heads.plain(data) if self._between() else None
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
            self._h11 = H11Protocol(self._answer, *self._settings[1:])  # type: ignore[arg-type]
        await self._h11.handle(RawData(data))

    async def _answer(self, scope: Any, receive: Any, send: Any, *rest: Any) -> None:
        """Call the application for Hypercorn; say when to come back if the process ends first."""
        try:
            await self._app(scope, receive, send, *rest)
        except asyncio.CancelledError:
            if self._connection.context.terminated.is_set():
                start = {
                    "type": "http.response.start", "status": 503, "headers": tcp.LATE_HEADERS
                }  # fmt: skip
                with suppress(UnexpectedMessageError):  # an answer has begun
                    await send(start)
                    await send({"type": "http.response.body", "body": tcp.LATE_PROBLEM})
            raise

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


def install() -> tcp.Connections:
    """Make Hypercorn serve with connections like these; return them all."""
    hypercorn.protocol.H11Protocol = Http1  # type: ignore[attr-defined,assignment]
    return tcp.install()


def _unused(*_: Any) -> NoReturn:
    """Take the place of what Hypercorn gives to WSGI applications alone."""
    raise NotImplementedError
