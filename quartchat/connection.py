"""One HTTP request on the ASGI side: what Quart's own class leaves to be done.

It believes trusted proxies, gives streams their connection, and lets no odd request line
become an exception.
"""

import asyncio
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, ClassVar, cast

from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, HTTPScope
from quart import Quart, Request
from quart.asgi import ASGIHTTPConnection
from quart.typing import ResponseTypes
from quart.utils import encode_headers
from werkzeug.datastructures import Headers

from quartchat.routes.events import EventStream

if TYPE_CHECKING:
    from quartchat.outlet import Send

_ABSOLUTE = re.compile(r"https?://([\w.-]+|\[[0-9a-f:.]+\])(:\d+)?(?P<path>/.*)?$", re.IGNORECASE)

BODY_READ = "quartchat.body_read"  # in the scope, once nothing of the body is to come
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
        self._receiver: asyncio.Task[Any] | None = None
        self._request: Request | None = None
        super().__init__(app, cast("HTTPScope", self.proxies.see_through(cast("Any", scope))))

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve the request, and note when its body is all here."""

        async def noted() -> ASGIReceiveEvent:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                cast("dict[str, Any]", self.scope)[BODY_READ] = True
            return message

        await super().__call__(noted, send)

    async def handle_messages(self, request: Request, *args: Any) -> None:
        """Receive as Quart does; its versions differ in what else they are given."""
        self._receiver = asyncio.current_task()
        self._request = request
        await super().handle_messages(request, *args)

    def _lighten(self, response: EventStream) -> None:
        """Drop what a stream will not need: it lasts, and there may be ten thousand of them."""
        response.headers.clear()
        self.scope["headers"] = []
        if self._request is not None:
            body = self._request.body  # the receiver goes on to use it, and nothing else
            self._request.__dict__.clear()
            self._request.body = body

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        if not isinstance(response, EventStream):
            return await super()._send_response(send, response)
        start = {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": _encoded(tuple(response.headers.items())),
        }
        self._lighten(response)
        ended = await response.reader.serve(cast("Send", send), start)
        if not ended and self._receiver is not None:
            # Quart 0.23 waits for the receiver as well, which hears of the end of a response;
            # this one has none, and the connection is to be closed.
            self._receiver.cancel()
        return None


@lru_cache(maxsize=64)
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
        if client is None or not self._trusts(client[0]):
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
