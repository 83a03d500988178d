"""One HTTP request on the ASGI side: what Quart's own class leaves to be done.

It believes trusted proxies, gives streams their connection, and lets no odd request line
become an exception.
"""

import asyncio
import re
from collections.abc import Iterable
from functools import lru_cache
from inspect import signature
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, ClassVar, cast

from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, HTTPScope
from quart import Quart, Request, Response
from quart.asgi import ASGIHTTPConnection
from quart.typing import ResponseTypes
from quart.utils import encode_headers
from quart.wrappers.response import DataBody
from werkzeug.datastructures import Headers

from quartchat import exchange
from quartchat.routes.events import EventStream
from quartchat.routes.http import BODY_READ
from quartchat.stepping import Suspended, step

if TYPE_CHECKING:
    from quartchat.outlet import Send

_ABSOLUTE = re.compile(r"https?://([\w.-]+|\[[0-9a-f:.]+\])(:\d+)?(?P<path>/.*)?$", re.IGNORECASE)

RESPONSE_S = 60  # what a client may take for a response, streams excepted
HEADS = 64  # of streams, that are encoded once
RawHeaders = list[tuple[bytes, bytes]]


class Connection(ASGIHTTPConnection):
    """Quart's connection; make one for an app with `trusting`."""

    proxies: ClassVar["Proxies"]

    @classmethod
    def trusting(cls, forwarded_allow_ips: Iterable[str]) -> type["Connection"]:
        """Return the class for an app behind the given proxies."""
        return type("Connection", (cls,), {"proxies": Proxies(forwarded_allow_ips)})

    def __init__(self, app: Quart, scope: HTTPScope) -> None:
        scope["path"] = path_of(scope["path"])
        # We serve no ranges, as a server may (RFC 9110, 14.2); Quart fails on some of them.
        scope["headers"] = [item for item in scope["headers"] if item[0].lower() != b"range"]
        self._request: Request | None = None
        self._listening: Suspended | None = None
        self._listener: asyncio.Task[None] | None = None
        self._handler: asyncio.Task[None] | None = None  # to be cancelled when the client goes
        self._is_gone = False
        super().__init__(app, cast("HTTPScope", self.proxies.see_through(cast("Any", scope))))

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve the request in this task; who listens to the client gets one if it must wait.

        Quart gives each request two tasks more. Most bodies are here when the request is, and
        who has sent a whole request is not listened to any more, except by a stream.
        """
        self._request = request = self._create_request_from_scope(send)
        plain = exchange.of(send)
        body = None if plain is None else plain.whole_body()
        if body is not None:
            request.body.set_result(body)
            cast("dict[str, Any]", self.scope)[BODY_READ] = True
        else:
            self._listening = step(self._listen(request, receive))
            if self._listening is None:
                return  # the client is gone already
        self._handler = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            if BODY_READ not in self.scope:
                self._keep_listening()
            await self.handle_request(request, send)
        except asyncio.CancelledError:
            if not self._is_gone or self._handler.uncancel():
                raise
        finally:
            self._handler = None
            self._stop_listening()

    async def _listen(self, request: Request, receive: ASGIReceiveCallable) -> None:
        """Take in what the client sends, as Quart does; return when it is gone."""

        async def noted() -> ASGIReceiveEvent:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                cast("dict[str, Any]", self.scope)[BODY_READ] = True
            return message

        await self.handle_messages(request, noted, *_HANDLER)

    def _keep_listening(self) -> None:
        """Go on listening, in a task of its own."""
        if self._listener is None and self._listening is not None:
            self._listener = asyncio.ensure_future(self._listening)
            self._listener.add_done_callback(self._heard_the_end)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
        elif self._listening is not None:
            self._listening.close()

    def _heard_the_end(self, listener: "asyncio.Task[None]") -> None:
        if not listener.cancelled():
            self._gone()

    def _gone(self) -> None:
        """End the request, whose client went away."""
        if self._handler is not None:
            self._is_gone = True
            self._handler.cancel()

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        if isinstance(response, EventStream):
            await self._send_stream(send, response)
            return
        sending = (
            self._send_whole(send, response, response.response.data)
            if isinstance(response, Response) and isinstance(response.response, DataBody)
            else super()._send_response(send, response)
        )
        rest = step(sending)
        if rest is not None:
            async with asyncio.timeout(RESPONSE_S):
                await rest

    async def _send_whole(self, send: ASGISendCallable, response: Response, body: bytes) -> None:
        """Send a response whose body is in memory."""
        headers = encode_headers(response.headers)
        start = {
            "type": "http.response.start", "status": response.status_code, "headers": headers
        }  # fmt: skip
        await send(cast("Any", start))
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_stream(self, send: ASGISendCallable, response: EventStream) -> None:
        start = {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": _encoded(tuple(response.headers.items())),
        }
        if not self._listen_less(send):
            response.reader.abandon()
            return
        response.headers.clear()
        self.scope["headers"] = []
        await response.reader.serve(cast("Send", send), start)

    def _listen_less(self, send: ASGISendCallable) -> bool:
        """Listen for the client's going away alone: there may be ten thousand that just listen.

        False if it went away before.
        """
        plain = exchange.of(send)
        kept = {}
        if plain is None:
            self._keep_listening()
            kept = {"body": self._request.body} if self._request else {}  # where it writes to
        else:
            plain.on_gone = self._gone
            self._stop_listening()
        if self._request is not None:
            self._request.__dict__.clear()
            self._request.__dict__.update(kept)
        return plain is None or not plain.gone


class _Handler:
    """What Quart 0.23 cancels when the client is gone; `_end` does that, for all versions."""

    def cancel(self) -> None:
        """Do nothing."""


_HANDLER = (
    (_Handler(),)
    if "request_task" in signature(ASGIHTTPConnection.handle_messages).parameters
    else ()
)


@lru_cache(HEADS)
def _encoded(headers: tuple[tuple[str, str], ...]) -> RawHeaders:
    """Encode headers once for all streams: Hypercorn keeps them while the response lasts."""
    return encode_headers(Headers(headers))


def path_of(target: str) -> str:
    """Return the path of any request target (RFC 9112, 3.2); Quart reads a path only."""
    if target.startswith("/"):
        return target
    absolute = _ABSOLUTE.match(target)
    return (absolute["path"] or "/") if absolute else f"/{target}"


class Proxies:
    """Whose `X-Forwarded-*` is believed."""

    def __init__(self, allowed: Iterable[str]) -> None:
        allowed = tuple(allowed)
        self._all = "*" in allowed
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(address, strict=False) for address in allowed if address != "*"
        ]

    def see_through(self, scope: dict[str, Any]) -> dict[str, Any]:
        """Return the scope as the outermost trusted proxy saw it."""
        client = scope.get("client")
        if client is None or not (self._all or self._networks) or not self._trusts(client[0]):
            return scope
        headers: RawHeaders = scope["headers"]
        seen = dict(scope)
        # Each proxy appends the address it saw. The last one that is not a trusted proxy's is
        # the client's; whatever stands before it, the client may have made up.
        for address in reversed(_values(headers, b"x-forwarded-for")):
            seen["client"] = (address, 0)
            if self._all or not self._trusts(address):
                break
        scheme = _values(headers, b"x-forwarded-proto")[-1:]
        if scheme and scheme[0] in ("http", "https"):
            seen["scheme"] = scheme[0]
        host = _values(headers, b"x-forwarded-host")[-1:]
        if host:
            seen["headers"] = [(name, value) for name, value in headers if name != b"host"]
            seen["headers"].append((b"host", host[0].encode("latin-1")))
        return seen

    def _trusts(self, address: str) -> bool:
        if self._all:
            return True
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip  # ::ffff:10.0.0.1 is 10.0.0.1
        return any(ip in network for network in self._networks)


def _values(headers: RawHeaders, name: bytes) -> list[str]:
    joined = ",".join(value.decode("latin-1") for key, value in headers if key.lower() == name)
    return [value.strip() for value in joined.split(",") if value.strip()]
