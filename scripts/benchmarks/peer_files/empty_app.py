# ruff: noqa: INP001 - run by its path
"""The least that an authenticated POST can cost: Quart and quart-auth on quartchat's Hypercorn.

A request of `/empty` is parsed by Hypercorn, routed by Quart, let in by quart-auth, which checks
the cookie's signature (itsdangerous), and answered 201 with two bytes. Nothing else is done: the
body is received and not looked at, no session is looked up, there is no SQL, no Redis, no hook
and no header beside Quart's own. What is not the route's is as in quartchat: uvloop, Hypercorn's
settings, and how the garbage collector is set. Quart's own session cookie, which quartchat
switches off, is off here too, so that the route is charged for nothing that ours is not.
With EMPTY_HTTP=quartchat it also has quartchat's HTTP/1.1 (quartchat/http1.py), which spares most
of Hypercorn's work for each request; without it, it is Hypercorn as it comes.
"""

import gc
import os
from typing import Any

import hypercorn.asyncio
import uvloop
from hypercorn import Config
from quart import Quart
from quart.sessions import NullSession, SessionInterface
from quart_auth import AuthUser, QuartAuth, login_required, login_user

# As in quartchat/server.py; a test compares them.
SETTINGS: dict[str, Any] = {
    "backlog": 2048,
    "graceful_timeout": 4.0,
    "keep_alive_timeout": 95.0,
    "keep_alive_max_requests": 1 << 30,
    "include_server_header": False,
}
GC_THRESHOLD = (5_000, 10, 20)


class NoSession(SessionInterface):
    """Nothing is read or written for Quart's own cookie."""

    null = NullSession()

    async def open_session(self, *_: object) -> NullSession:
        """Return the one that is always empty."""
        return self.null


app = Quart(__name__)
app.secret_key = "for the benchmark only"  # noqa: S105
app.session_interface = NoSession()  # type: ignore[assignment]
app.config["QUART_AUTH_COOKIE_SECURE"] = False
QuartAuth(app)


@app.post("/login")
async def login() -> tuple[dict[str, str], int]:
    """Give a cookie."""
    login_user(AuthUser("somebody"))
    return {}, 200


@app.post("/empty")
@login_required
async def empty() -> tuple[bytes, int]:
    """Do nothing."""
    return b"{}", 201


def main() -> None:
    """Serve on $PORT."""
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    for name, value in SETTINGS.items():
        setattr(config, name, value)
    if os.environ.get("EMPTY_HTTP") == "quartchat":
        from quartchat import http1  # noqa: PLC0415 - only where it was asked for

        http1.install()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    uvloop.run(hypercorn.asyncio.serve(app, config))


if __name__ == "__main__":
    main()
