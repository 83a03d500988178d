"""The OpenAPI document: quart-schema reads the routes; this adds errors, streams, security."""

from typing import Any

import msgspec
from quart import Quart
from quart_schema import Info, QuartSchema
from quart_schema.openapi import (
    APIKeySecurityScheme,
    HttpSecurityScheme,
    OpenAPIProvider,
    SecuritySchemeBase,
)
from werkzeug.routing import BaseConverter

from quartchat import __version__
from quartchat.events import (
    MemberEvent,
    Message,
    ReactionEvent,
    RoomEvent,
    RoomId,
    RoomSummary,
    User,
)
from quartchat.routes.http import MAX_ID, NumberConverter
from quartchat.signals import Marker, Missed, Presence, Typing

DESCRIPTION = """
Real-time chat: REST in, Server-Sent Events out.

Sign in with the cookie of `POST /api/login`, or with `Authorization: Bearer <token>`.
Errors are RFC 9457 `application/problem+json` with a stable `code`.

A room's events are numbered 1, 2, 3, … without a hole; a message's `id` is the number of
the event that made it. Edits, deletions and reactions are events of their own: the `id` in the
data of `message.update` and `message.delete` is the message's, the stream's `id:` the event's.
Give each send a `client_id`: sending it again is then safe, however
late, and answers 200 with the first answer's body.
"""

INFO = Info(title="quartchat", version=__version__, description=DESCRIPTION.strip())


class FieldError(msgspec.Struct):
    """A value that is not allowed."""

    field: str
    message: str


class Problem(msgspec.Struct):
    """RFC 9457; `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] = []


class Ready(msgspec.Struct):
    """First event of a room's stream: where the room stands."""

    room_id: RoomId
    last_id: int


class RoomHead(msgspec.Struct):
    """Where a room stands."""

    id: RoomId
    last_id: int


class ReadyAll(msgspec.Struct):
    """First event of the stream of all rooms: where it begins, and where the rooms stand."""

    cursor: str
    rooms: list[RoomHead]


class Reset(msgspec.Struct):
    """The cursor cannot be served: read the history anew. No room: all of them."""

    room_id: RoomId | None
    last_id: int | None
    reason: str


class RoomRemoved(msgspec.Struct):
    """The caller is in this room no more. A stream of the room ends after this."""

    room_id: RoomId


class RoomAdded(msgspec.Struct):
    """The caller is in this room from now on: made in another tab, or somebody's direct room."""

    room_id: RoomId


class Invited(msgspec.Struct):
    """Somebody invites the caller into a room; `id` is the invitation's."""

    id: int
    room: RoomSummary
    inviter: User


class InvitationRemoved(msgspec.Struct):
    """An invitation of the caller's is open no more: answered, also elsewhere, taken back or void.

    It may come late; the list of invitations says what is so.
    """

    id: int
    room_id: RoomId


class UserUpdate(User, frozen=True):
    """What the caller, or somebody who shares a room with the caller, is called now.

    Also somebody who wrote in a room of the caller's and whose account was deleted.
    """


class SessionRevoked(msgspec.Struct):
    """The session has ended, and so does the stream."""


class Heartbeat(msgspec.Struct):
    """Nothing happened; the connection is well."""


# name: (type of data, whether it has an id, on which streams)
EVENTS: dict[str, tuple[type, bool, str]] = {
    "ready": (Ready, False, "room"),
    "ready (all rooms)": (ReadyAll, False, "all"),
    "message": (Message, True, "both"),
    "message.update": (Message, True, "both"),
    "message.delete": (Message, True, "both"),
    "reaction.add": (ReactionEvent, True, "both"),
    "reaction.remove": (ReactionEvent, True, "both"),
    "member.join": (MemberEvent, True, "both"),
    "member.leave": (MemberEvent, True, "both"),
    "member.update": (MemberEvent, True, "both"),
    "room.update": (RoomEvent, True, "both"),
    "typing": (Typing, False, "both"),
    "presence": (Presence, False, "both"),
    "read": (Marker, False, "both"),
    "missed": (Missed, False, "both"),
    "user.update": (UserUpdate, False, "both"),
    "heartbeat": (Heartbeat, False, "both"),
    "reset": (Reset, False, "both"),
    "invitation": (Invited, False, "all"),
    "invitation.remove": (InvitationRemoved, False, "all"),
    "room.added": (RoomAdded, False, "all"),
    "room.removed": (RoomRemoved, False, "both"),
    "session.revoked": (SessionRevoked, False, "both"),
}

SECURITY: dict[str, SecuritySchemeBase | dict[str, Any]] = {
    "token": HttpSecurityScheme(scheme="bearer"),
    "cookie": APIKeySecurityScheme(name="quartchat", in_="cookie"),
}
OPEN = {  # paths that need no session
    "/api/login",
    "/api/register",
    "/docs",
    "/healthz/live",
    "/healthz/ready",
    "/metrics",
    "/openapi.json",
}
STREAMS = {"/api/chat/rooms/{room}/events": "room", "/api/chat/events": "all"}
NO_CONTENT = {
    ("/api/logout", "post"),
    ("/api/tokens/{token}", "delete"),
    ("/api/me", "delete"),
    ("/api/me/password", "put"),
    ("/api/chat/rooms/{room}", "delete"),
    ("/api/chat/rooms/{room}/members/{user}", "delete"),
    ("/api/chat/rooms/{room}/bans/{user}", "put"),
    ("/api/chat/rooms/{room}/bans/{user}", "delete"),
    ("/api/chat/rooms/{room}/link", "delete"),
    ("/api/chat/invitations/{invitation}", "delete"),
    ("/api/sessions/{session}", "delete"),
    ("/api/chat/rooms/{room}/leave", "post"),
    ("/api/chat/rooms/{room}/read", "post"),
    ("/api/chat/rooms/{room}/typing", "post"),
    ("/api/chat/rooms/{room}/messages/{message}", "delete"),
}
PROBLEM = {
    "description": "An error; `code` says which.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
SELF: dict[str, Any] = {
    "summary": "Return this document.",
    "operationId": "get_openapi",
    "tags": ["Operations"],
    "parameters": [],
    "responses": {},
}
LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "schema": {"type": "string"},
    "description": "Resume after this event; wins over `last_event_id`.",
}


class Provider(OpenAPIProvider):
    """quart-schema's reading of the routes, and what it cannot read there."""

    def __init__(self, app: Quart, extension: QuartSchema) -> None:
        super().__init__(app, extension)
        self._document: dict[str, Any] | None = None
        self._models: set[type] = {Problem, *(model for model, _, _ in EVENTS.values())}

    def schema(self) -> dict[str, Any]:
        """Return the document; it does not change while the process lives."""
        if self._document is None:
            self._document = self._complete(super().schema())
        return self._document

    def build_path_parameter(self, name: str, converter: BaseConverter) -> dict[str, Any]:
        """Describe our ids as integers."""
        parameter: dict[str, Any] = super().build_path_parameter(name, converter)
        if isinstance(converter, NumberConverter):
            parameter["schema"] = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
        return parameter

    def build_querystring_parameters(
        self, model: type
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Describe a query's fields; all are optional."""
        _, components = msgspec.json.schema_components([model])
        properties = components[model.__name__]["properties"]
        return [{"name": n, "in": "query", "schema": s} for n, s in properties.items()], {}

    def build_request_body(self, model: type, _: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Refer to the model; quart-schema would drop the models inside it."""
        return {"required": True, "content": {"application/json": self._refer(model)}}, {}

    def build_response_object(self, model: type, _: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Refer to the model; quart-schema would drop the models inside it."""
        content = {"application/json": self._refer(model)}
        return {"description": (model.__doc__ or "").strip(), "content": content}, {}

    def _refer(self, model: type) -> dict[str, Any]:
        self._models.add(model)
        return {"schema": {"$ref": _reference(model)}}

    def _complete(self, document: dict[str, Any]) -> dict[str, Any]:
        document["paths"]["/openapi.json"] = {"get": SELF}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                responses = operation["responses"] = {
                    str(status): response for status, response in operation["responses"].items()
                }
                if path in STREAMS:
                    operation["parameters"].append(LAST_EVENT_ID)
                    responses["200"] = _stream(STREAMS[path])
                if (path, method) in NO_CONTENT:
                    responses["204"] = {"description": "Done."}
                if not responses:
                    responses["200"] = {"description": "As it says."}
                responses["default"] = PROBLEM
                if path in OPEN:
                    operation["security"] = []
        _, components = msgspec.json.schema_components(
            sorted(self._models, key=lambda model: model.__name__),
            ref_template="#/components/schemas/{name}",
        )
        document["components"]["schemas"] = components
        return document


def _reference(model: type) -> str:
    return f"#/components/schemas/{model.__name__}"


def _stream(kind: str) -> dict[str, Any]:
    """Describe a stream: each event by name, with its data and whether it has an id."""
    mine = {
        name.partition(" ")[0]: {
            "data": {"$ref": _reference(model)},
            "id": has_id,
            "description": (model.__doc__ or "").strip(),
        }
        for name, (model, has_id, streams) in EVENTS.items()
        if streams in (kind, "both")
    }
    return {
        "description": "Server-Sent Events, described one by one in `x-events`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "x-events": mine}},
    }
