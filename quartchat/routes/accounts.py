"""Accounts, sessions and tokens."""

from typing import Annotated

import msgspec
import quart_auth
from quart import Blueprint, Response, request
from quart_schema import document_response, tag

from quartchat import devices
from quartchat.auth import (
    LOGIN_PER_ADDRESS,
    LOGIN_PER_NAME,
    PASSWORD_BYTES,
    REGISTER_PER_ADDRESS,
    REGISTER_PER_NAME,
    words,
)
from quartchat.cookies import COOKIE_S
from quartchat.events import User
from quartchat.routes import http
from quartchat.routes.faults import visible
from quartchat.store.accounts import SessionRow

blueprint = Blueprint("accounts", __name__, url_prefix="/api")


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """Who signs in. The username may be given in any case."""

    username: Annotated[http.Text, msgspec.Meta(max_length=256)]
    password: Annotated[http.Text, msgspec.Meta(max_length=256)]


class Registration(msgspec.Struct, forbid_unknown_fields=True):
    """A new account. The username is kept in lower case; the password is 8 to 72 bytes of UTF-8."""

    username: Annotated[
        str,
        msgspec.Meta(min_length=3, max_length=32, pattern=r"^[A-Za-z0-9_.\-]+(?![\s\S])"),
    ]
    password: Annotated[http.Text, msgspec.Meta(max_length=72)]
    display_name: Annotated[http.Line, msgspec.Meta(min_length=1, max_length=64)] | None = None


class UserAnswer(msgspec.Struct):
    """A user."""

    user: User


class TokenRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a program's token is called."""

    name: Annotated[http.Line, msgspec.Meta(min_length=1, max_length=64)]


class Token(msgspec.Struct):
    """A token as its owner sees it later; its secret is not kept."""

    id: int
    name: str
    created_at: str


class NewToken(msgspec.Struct):
    """A token with its secret, which is shown this once."""

    id: int
    name: str
    token: str


class Tokens(msgspec.Struct):
    """A user's tokens, oldest first."""

    tokens: list[Token]


def password(text: str) -> str:
    """Rule: an account may have this password."""
    least, most = PASSWORD_BYTES
    size = len(text.encode())
    if size < least:
        return f"At least {least} characters."
    return (
        f"At most {most} bytes; an accented letter or an emoji takes 2 to 4." if size > most else ""
    )


def blank_or_visible(text: str) -> str:
    """Rule: a blank counts as no name, and what is not blank is seen."""
    return visible(text) if text.strip() else ""


@blueprint.post("/register")
@tag(["Accounts"])
@http.noted(
    f"At most {words(REGISTER_PER_NAME)} for one username,"
    f" and {words(REGISTER_PER_ADDRESS)} from one address."
)
@http.body(Registration, password=password, display_name=blank_or_visible)
@document_response(UserAnswer, 201)
async def register(data: Registration) -> Response:
    """Make an account and sign in."""
    name = (data.display_name or data.username).strip() or data.username
    user, secret = await http.services().auth.register(
        data.username.lower(), data.password, name, request.remote_addr or "", _device()
    )
    _remember(secret)
    return http.answer(UserAnswer(user), 201)


@blueprint.post("/login")
@tag(["Accounts"])
@http.noted(
    f"At most {words(LOGIN_PER_NAME)} for one username,"
    f" and {words(LOGIN_PER_ADDRESS)} from one address, whether or not they succeed."
)
@http.body(Credentials)
@document_response(UserAnswer)
async def login(data: Credentials) -> Response:
    """Sign in: the answer sets the session cookie."""
    user, secret = await http.services().auth.login(
        data.username.lower(), data.password, request.remote_addr or "", _device()
    )
    _remember(secret)
    return http.answer(UserAnswer(user))


@blueprint.post("/logout")
@tag(["Accounts"])
async def logout() -> Response:
    """End this session everywhere: every copy of its cookie or token, every open stream."""
    await http.services().auth.end(http.caller())
    quart_auth.logout_user()
    return http.nothing()


@blueprint.get("/me")
@tag(["Accounts"])
@document_response(UserAnswer)
async def me() -> Response:
    """Return who the caller is."""
    return http.answer(UserAnswer(http.caller().user))


@blueprint.post("/tokens")
@tag(["Tokens"])
@http.body(TokenRequest)
@document_response(NewToken, 201)
async def add_token(data: TokenRequest) -> Response:
    """Make a token for a program: `Authorization: Bearer <token>`."""
    row, secret = await http.services().auth.add_token(http.caller().user, data.name)
    return http.answer(NewToken(row.id, row.name, secret), 201)


@blueprint.get("/tokens")
@tag(["Tokens"])
@document_response(Tokens)
async def tokens() -> Response:
    """List the caller's tokens."""
    rows = await http.services().auth.tokens(http.caller().user)
    return http.answer(Tokens([_token(row) for row in rows]))


@blueprint.delete("/tokens/<number:token>")
@tag(["Tokens"])
async def end_token(token: int) -> Response:
    """Revoke a token; its open streams end."""
    await http.services().auth.end_token(http.caller().user, token)
    return http.nothing()


def _device() -> str:
    return devices.name(request.headers.get("User-Agent", ""))


def _remember(secret: str) -> None:
    quart_auth.login_user(quart_auth.AuthUser(secret), remember=COOKIE_S > 0)


def _token(row: SessionRow) -> Token:
    return Token(row.id, row.name, row.created_at)
