"""What the routes share: the services, the caller, strict parsing, answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from inspect import cleandoc
from typing import Annotated, Any, TypeVar, cast

import limits
import msgspec
from quart import Request, Response, current_app, g, request
from quart_schema import document_querystring, document_request
from werkzeug.http import parse_date
from werkzeug.routing import BaseConverter

from quartchat import auth, errors
from quartchat.auth import Auth
from quartchat.awareness import Awareness
from quartchat.chat import Chat
from quartchat.config import Config
from quartchat.cookies import Cookie
from quartchat.edits import Edits
from quartchat.feed import Feed
from quartchat.hub import Hub
from quartchat.invitations import Invitations
from quartchat.members import Members
from quartchat.people import People
from quartchat.routes import faults
from quartchat.routes.parameters import Parameters, repeated
from quartchat.search import Search
from quartchat.settings import Settings
from quartchat.store.accounts import SessionRow
from quartchat.stream import Streams

T = TypeVar("T")
Route = Callable[..., Awaitable[Any]]

BODY_READ = "quartchat.body_read"  # in the scope, once nothing of the body is to come
CONDITIONS = ("If-Modified-Since", "If-Unmodified-Since", "If-Range")  # that may be dates
ONCE = "It may be given once."
MAX_ID = 10**15 - 1  # below 2**53, so that JavaScript keeps it exact

# (?![\s\S]) is the end in Python and in JavaScript; `$` would let a last newline through.
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*(?![\s\S])")]
Line = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]*(?![\s\S])")]
Id = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=200, description="How many at most.")]


class NumberConverter(BaseConverter):
    """A path's id: ASCII digits only, and so few that no int() or SQL column overflows."""

    regex = "[0-9]{1,15}"

    def to_python(self, value: str) -> int:
        """Return the number."""
        return int(value)


class TokenConverter(BaseConverter):
    """A link's token in a path."""

    regex = "[A-Za-z0-9_-]{1,64}"


@dataclass(frozen=True, slots=True)
class Services:
    """What one process serves with."""

    config: Config
    streams: Streams
    feed: Feed
    cookie: Cookie
    auth: Auth
    chat: Chat
    hub: Hub
    awareness: Awareness
    people: People
    members: Members
    settings: Settings
    invitations: Invitations
    edits: Edits
    search: Search


def services() -> Services:
    """Return the services of the app that handles this request."""
    return cast("Services", current_app.extensions["quartchat"])


def current_request() -> Request:
    """Return the request itself: its proxy looks it up anew for each thing that it is asked."""
    return cast("Request", request._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001


def caller() -> SessionRow:
    """Return the session that the request was let in with."""
    return cast("SessionRow", g.session)


def drop_odd_dates(asked: Request) -> None:
    """Ignore conditions that are no dates (RFC 9110, 13.1.3), at which werkzeug overflows."""
    for name in CONDITIONS:
        if name in asked.headers:
            try:
                parse_date(asked.headers[name])
            except OverflowError:
                del asked.headers[name]


def body_read(asked: Request) -> bool:
    """Whether nothing of the request's body is to come."""
    return BODY_READ in asked.scope


def body(
    model: type[T], *, optional: bool = False, **rules: faults.Rule
) -> Callable[[Route], Route]:
    """Parse the JSON body into `data`; `optional`: none is `{}`; `rules` for texts, by field.

    Raises NotJson, UnsupportedMediaType, and ValidationFailed with all that is wrong.
    """
    decode = msgspec.json.Decoder(model).decode

    def decorate(route: Route) -> Route:
        @wraps(route)
        async def parsed(*args: Any, **kwargs: Any) -> Any:
            asked = current_request()
            if optional and not asked.mimetype:
                return await route(*args, data=model(), **kwargs)
            if asked.mimetype != "application/json":
                raise errors.UnsupportedMediaType
            # Quart's way waits with a time-out, in a task of its own.
            raw = await (asked.body if body_read(asked) else asked.get_data(cache=False))
            return await route(*args, data=_parse(raw, model, decode, rules), **kwargs)

        return cast("Route", document_request(cast("Any", model))(parsed))

    return decorate


def query(model: type[T]) -> Callable[[Route], Route]:
    """Parse the query string into `args`. Raises ValidationFailed."""
    parameters = Parameters(cast("type[msgspec.Struct]", model))

    def decorate(route: Route) -> Route:
        @wraps(route)
        async def parsed(*args: Any, **kwargs: Any) -> Any:
            given = request.args.to_dict(flat=False)
            if twice := repeated(given):
                raise errors.ValidationFailed(
                    faults=[(name, ONCE) for name in twice[: faults.MOST]]
                )
            values = parameters.read(given)
            try:
                found = msgspec.convert(values, model)
            except msgspec.ValidationError:
                raise errors.ValidationFailed(faults=faults.of_query(model, values)) from None
            return await route(*args, args=found, **kwargs)

        return cast("Route", document_querystring(cast("Any", model))(parsed))

    return decorate


def limited(rate: str, kind: str) -> Callable[[Route], Route]:
    """Let each user call a route, and those of the same kind, so often. Raises RateLimited."""
    parsed = limits.parse(rate)

    def decorate(route: Route) -> Route:
        @wraps(route)
        async def counted(*args: Any, **kwargs: Any) -> Any:
            await services().auth.limit(parsed, kind, str(caller().user.id))
            return await route(*args, **kwargs)

        return noted(f"At most {auth.words(parsed)} for one user.")(cast("Route", counted))

    return decorate


def noted(text: str) -> Callable[[Route], Route]:
    """Add a paragraph to what the API's documentation says of a route."""

    def decorate(route: Route) -> Route:
        route.__doc__ = f"{cleandoc(route.__doc__ or '')}\n\n{text}"
        return route

    return decorate


def answer(value: Any, status: int = 200, **headers: str) -> Response:
    """Answer with JSON; bytes are JSON already."""
    data = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Response(data, status, headers, content_type="application/json")


def nothing() -> Response:
    """Answer 204."""
    response = Response(None, 204)
    response.headers.clear()
    return response


def _parse(
    raw: str | bytes, model: type, decode: Callable[[str | bytes], T], rules: faults.Rules
) -> T:
    try:
        try:
            data = decode(raw)
        except msgspec.ValidationError:
            # The first wrong value is reported before the rest is read: is that JSON at all?
            msgspec.json.decode(raw, type=msgspec.Raw)
            raise errors.ValidationFailed(faults=faults.of_body(model, raw, rules)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise errors.NotJson from None
    if found := faults.of_values(data, rules):
        raise errors.ValidationFailed(faults=found)
    return data
