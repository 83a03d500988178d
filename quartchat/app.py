"""The application: builds the services, wires them to Quart."""

import asyncio
from pathlib import Path
from time import perf_counter

from hypercorn.typing import ASGIReceiveCallable as Receive
from hypercorn.typing import ASGISendCallable as Send
from hypercorn.typing import Scope
from quart import Quart, Request, Response, g
from quart.sessions import NullSession, SessionInterface
from quart.typing import ResponseTypes
from quart_schema import QuartSchema
from werkzeug.exceptions import BadHost

from quartchat import metrics, openapi, store
from quartchat.assets import Assets
from quartchat.auth import Auth
from quartchat.awareness import Awareness
from quartchat.chat import Chat
from quartchat.config import Config
from quartchat.connection import Connection
from quartchat.cookies import Cookie
from quartchat.edits import Edits
from quartchat.feed import Feed
from quartchat.hub import Hub
from quartchat.invitations import Invitations
from quartchat.members import Members
from quartchat.people import People
from quartchat.routes import (
    access,
    accounts,
    awareness,
    error_handlers,
    events,
    http,
    invitations,
    members,
    messages,
    ops,
    pages,
    people,
    rooms,
    settings,
    static,
)
from quartchat.routes import search as search_routes
from quartchat.routes.http import Services
from quartchat.search import Search
from quartchat.settings import Settings
from quartchat.stream import Streams

BODY_BYTES = 64 << 10
BODY_S = 20  # to send it in
DRAIN_S = 1.0  # for streams to end in
ROOT = Path(__file__).parent.parent

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
DATA = {"application/json", "application/problem+json"}
DATA_HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
]
# Swagger UI styles its elements itself.
DOCS_POLICY = SECURITY_HEADERS["Content-Security-Policy"].replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
)
MODULES = (
    accounts, people, rooms, members, settings, invitations, messages, events, awareness,
    search_routes, pages, ops,
)  # fmt: skip
ONE_BY_ONE = ("1.0", "1.1")  # versions of HTTP whose connections carry one request at a time
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}  # as metrics name them


class NoSession(SessionInterface):
    """Quart's own cookie of data, which we do not use: nothing is read or written for it."""

    null = NullSession()

    async def open_session(self, *_: object) -> NullSession:
        """Return the one that is always empty."""
        return self.null


class Application(Quart):
    """Quart, closing the door before it looks who knocks."""

    def __init__(self, config: Config) -> None:
        super().__init__(
            "quartchat",
            static_folder=str(ROOT / "static"),
            template_folder=str(ROOT / "templates"),
        )
        self.asgi_http_class = Connection.trusting(config.forwarded_allow_ips)
        self.url_map.converters |= {"number": http.NumberConverter, "token": http.TokenConverter}
        self.url_map.merge_slashes = False  # one path is one resource
        self.session_interface = NoSession()  # type: ignore[assignment]
        self.secret_key = config.secret_key
        self.config["MAX_CONTENT_LENGTH"] = BODY_BYTES
        self.config["BODY_TIMEOUT"] = BODY_S
        self.config["RESPONSE_TIMEOUT"] = None  # `Connection` has its own, which costs no task
        self.assets = Assets(ROOT / "static")
        static.install(self, self.assets)

    async def asgi_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve HTTP; there are no WebSockets here, and Hypercorn answers 403."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        else:
            await super().asgi_app(scope, receive, send)

    async def handle_request(self, request: Request) -> ResponseTypes:
        """Answer a request; a host that is no name is found before there is a context."""
        try:
            return await super().handle_request(request)
        except BadHost as error:
            return error_handlers.refused_by_http(error)

    async def send_static_file(self, filename: str) -> Response:
        """Send a file of the page."""
        return await static.send(self.assets, filename)


def create_app(config: Config) -> Quart:
    """Build the application for one web process; it starts with the server's lifespan."""
    app = Application(config)
    cookie = Cookie(app)
    QuartSchema(
        app,
        info=openapi.INFO,
        redoc_ui_path=None,
        scalar_ui_path=None,
        swagger_ui_path=None,
        security_schemes=openapi.SECURITY,
        security=[{"token": []}, {"cookie": []}],
        conversion_preference="msgspec",
        openapi_provider_class=openapi.Provider,
    )
    # It wraps this, to make responses of models; our routes return responses.
    vars(app).pop("make_response")
    for module in MODULES:
        app.register_blueprint(module.blueprint)
    _serve(app, config, cookie)
    _guard(app)
    error_handlers.install(app)
    return app


async def drain(app: Quart) -> None:
    """Say that this process is not ready any more, and end every open stream."""
    services: Services = app.extensions["quartchat"]
    await services.hub.drain(DRAIN_S)


def _serve(app: Quart, config: Config, cookie: Cookie) -> None:
    """Start and stop the services with the server."""

    @app.before_serving
    async def start() -> None:
        store.open_database(config.database_url)
        replicated = config.ack == "replicated"
        streams = Streams(config.redis_url, config.partitions, replicated=replicated)
        feed = Feed(streams)
        auth, chat = Auth(config, streams, feed), Chat(config, streams, feed)
        hub = Hub(config, streams, feed)
        app.extensions["quartchat"] = Services(
            config, streams, feed, cookie, auth, chat, hub,
            Awareness(config, streams, chat, hub.presence),
            People(streams, auth), Members(chat.seats, streams),
            Settings(chat, streams), Invitations(chat, streams), Edits(chat, streams),
            Search(auth, chat),
        )  # fmt: skip
        feed.start()
        hub.start()

    @app.after_serving
    async def stop() -> None:
        services: Services = app.extensions["quartchat"]
        await services.hub.stop()
        await services.feed.stop()
        await services.auth.close()
        await services.streams.close()
        await store.close_database()


def _guard(app: Quart) -> None:
    """Check every request before its route, mark every answer."""

    @app.before_request
    async def check() -> None:
        g.started = perf_counter()
        http.drop_odd_dates(http.current_request())
        await access.check()

    @app.after_request
    async def mark(response: Response) -> Response:
        asked = http.current_request()
        headers = response.headers
        if response.content_type in DATA:
            headers.extend(DATA_HEADERS)
        else:
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        if asked.endpoint == "ops.docs":
            headers["Content-Security-Policy"] = DOCS_POLICY
        if _is_last(asked) or (asked.method not in access.SAFE and not await _body_read(asked)):
            # Where the rest of a body is in the way, Hypercorn closes the connection; say so.
            headers["Connection"] = "close"
        route = asked.url_rule.rule if asked.url_rule else "none"
        method = asked.method if asked.method in METHODS else "other"
        metrics.request(method, route, response.status_code).observe(
            perf_counter() - g.get("started", perf_counter())
        )
        return response


def _is_last(asked: Request) -> bool:
    """Whether the connection ends with this answer, because the process does."""
    return http.services().hub.draining and asked.http_version in ONE_BY_ONE


async def _body_read(asked: Request) -> bool:
    if not http.body_read(asked):
        await asyncio.sleep(0)  # what has arrived is read in another task
    return http.body_read(asked) or asked.http_version not in ONE_BY_ONE
