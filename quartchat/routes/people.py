"""Who there is, and what one may change of oneself."""

from typing import Annotated

import msgspec
import quart_auth
from quart import Blueprint, Response
from quart_schema import document_response, tag

from quartchat.auth import PASSWORD_PER_USER, words
from quartchat.events import User, UserId
from quartchat.routes import http
from quartchat.routes.accounts import UserAnswer, password
from quartchat.routes.faults import visible
from quartchat.store.accounts import SessionRow

blueprint = Blueprint("people", __name__, url_prefix="/api")

GUESSES = f"At most {words(PASSWORD_PER_USER)} for one user."


class Profile(msgspec.Struct, forbid_unknown_fields=True):
    """What a user is called. What is left out stays."""

    display_name: (
        Annotated[http.Line, msgspec.Meta(min_length=1, max_length=64)] | msgspec.UnsetType
    ) = msgspec.UNSET


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """The password as it is, and as it shall be: 8 to 72 bytes of UTF-8."""

    current_password: Annotated[http.Text, msgspec.Meta(max_length=256)]
    new_password: Annotated[http.Text, msgspec.Meta(max_length=72)]


class Password(msgspec.Struct, forbid_unknown_fields=True):
    """The password, as what is asked for cannot be undone."""

    password: Annotated[http.Text, msgspec.Meta(max_length=256)]


class SignedIn(msgspec.Struct):
    """A place where the caller is signed in; `name` is what the browser says that it is."""

    id: int
    kind: str
    name: str
    created_at: str
    current: bool


class Sessions(msgspec.Struct):
    """Where the caller is signed in, newest first."""

    sessions: list[SignedIn]


class UsersQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How a username or a display name begins: 2 characters at least, or all of a short name."""

    q: Annotated[
        http.Text, msgspec.Meta(min_length=1, max_length=64, description="How the name begins.")
    ]
    limit: http.Limit = 20


class Users(msgspec.Struct):
    """Users, those first whose username begins so."""

    users: list[User]


@blueprint.patch("/me")
@tag(["Accounts"])
@http.limited("30 per minute", "profile")
@http.body(Profile, display_name=visible)
@document_response(UserAnswer)
async def rename(data: Profile) -> Response:
    """Change the caller's display name. Messages keep the name that they were sent under.

    Whoever shares a room with the caller hears of it by the event `user.update`.
    """
    user = http.caller().user
    if data.display_name is not msgspec.UNSET:
        user = await http.services().people.rename(user, data.display_name.strip())
    return http.answer(UserAnswer(user))


@blueprint.put("/me/password")
@tag(["Accounts"])
@http.noted(GUESSES)
@http.body(NewPassword, new_password=password)
async def set_password(data: NewPassword) -> Response:
    """Change the caller's password. Every other session ends, everywhere, at once; tokens stay."""
    await http.services().auth.set_password(http.caller(), data.current_password, data.new_password)
    return http.nothing()


@blueprint.delete("/me")
@tag(["Accounts"])
@http.noted(GUESSES)
@http.body(Password)
async def close(data: Password) -> Response:
    """Delete the caller's account, for ever. Its messages stay, without its name.

    All its sessions and tokens end. It leaves its rooms; one that it alone owned goes to the
    oldest moderator, or else the oldest member. Its direct rooms are archived.
    """
    await http.services().people.close(http.caller().user, data.password)
    quart_auth.logout_user()
    return http.nothing()


@blueprint.get("/sessions")
@tag(["Accounts"])
@document_response(Sessions)
async def sessions() -> Response:
    """List where the caller is signed in. Programs' tokens are in `GET /api/tokens`."""
    mine = http.caller()
    rows = await http.services().auth.cookies(mine.user)
    return http.answer(Sessions([_signed_in(row, mine) for row in rows]))


@blueprint.delete("/sessions/<number:session>")
@tag(["Accounts"])
async def end_session(session: int) -> Response:
    """Sign the caller out of one place; its open streams end."""
    await http.services().auth.end_cookie(http.caller().user, session)
    return http.nothing()


@blueprint.get("/users")
@tag(["People"])
@http.limited("120 per minute", "people")
@http.query(UsersQuery)
@document_response(Users)
async def search(args: UsersQuery) -> Response:
    """Find users by how their username or display name begins."""
    return http.answer(Users(await http.services().people.search(args.q.strip(), args.limit)))


@blueprint.get("/users/<number:user>")
@tag(["People"])
@document_response(UserAnswer)
async def person(user: UserId) -> Response:
    """Return a user."""
    return http.answer(UserAnswer(await http.services().people.person(user)))


def _signed_in(row: SessionRow, mine: SessionRow) -> SignedIn:
    return SignedIn(row.id, row.kind, row.name, row.created_at, row.id == mine.id)
