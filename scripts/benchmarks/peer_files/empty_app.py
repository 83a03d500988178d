# ruff: noqa: INP001 - run by its path
"""The least that an authenticated POST can cost: Quart and quart-auth on quartchat's Hypercorn."""

import os

import hypercorn.asyncio
import uvloop
from hypercorn import Config
from quart import Quart
from quart_auth import AuthUser, QuartAuth, login_required, login_user

app = Quart(__name__)
app.secret_key = "for the benchmark only"  # noqa: S105
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


if __name__ == "__main__":
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.keep_alive_timeout = 95.0  # as in quartchat
    config.keep_alive_max_requests = 1 << 30
    config.include_server_header = False
    uvloop.run(hypercorn.asyncio.serve(app, config))
