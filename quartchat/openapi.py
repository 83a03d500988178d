"""The OpenAPI document: quart-schema reads the routes; this adds errors, streams, security."""

from inspect import cleandoc
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

from quartchat import __version__, errors, stream_events
from quartchat.problems import Problem
from quartchat.routes.http import MAX_ID, NumberConverter

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

ERRORS = """
## Errors

429 and 503 come with `Retry-After`, in seconds.
More codes may come; take one that you do not know as its status.
A request that is not HTTP, or whose head is too long, gets 400 or 431 without a `code`.
"""


def _description() -> str:
    rows = ["| status | code | meaning |", "| --- | --- | --- |"]
    rows += [f"| {status} | `{code}` | {meaning} |" for status, code, meaning in errors.codes()]
    rows += [f"| other | `{errors.OTHER}` | HTTP refuses it; the status says why. |"]
    return "\n".join([DESCRIPTION.strip(), ERRORS, *rows])


INFO = Info(title="quartchat", version=__version__, description=_description())

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
    "headers": {
        "Retry-After": {
            "description": "With 429 and 503: seconds to wait.",
            "schema": {"type": "integer", "minimum": 1},
        }
    },
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
        self._models: set[type] = {Problem, *(event.data for event in stream_events.EVENTS)}

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
        """Describe a query's fields."""
        _, components = msgspec.json.schema_components([model])
        described = components[model.__name__]
        return [
            {
                "name": name,
                "in": "query",
                "required": name in described["required"],
                "description": schema.pop("description"),
                "schema": schema,
            }
            for name, schema in described["properties"].items()
        ], {}

    def build_request_body(self, model: type, _: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Refer to the model; quart-schema would drop the models inside it."""
        return {"required": True, "content": {"application/json": self._refer(model)}}, {}

    def build_response_object(self, model: type, _: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Refer to the model; quart-schema would drop the models inside it."""
        content = {"application/json": self._refer(model)}
        return {"description": cleandoc(model.__doc__ or ""), "content": content}, {}

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
                    _add_events(operation, STREAMS[path])
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
        for schema in components.values():  # msgspec leaves the indent of docstrings
            schema["description"] = cleandoc(schema["description"])
        document["components"]["schemas"] = components
        return document


def _reference(model: type) -> str:
    return f"#/components/schemas/{model.__name__}"


def _add_events(operation: dict[str, Any], kind: str) -> None:
    """Describe a stream's events: for programs in `x-events`, for people in a table."""
    mine = [event for event in stream_events.EVENTS if event.streams in (kind, "both")]
    operation["description"] = f"{operation['description'].strip()}\n\n{stream_events.table(mine)}"
    described = {
        event.name: {
            "data": {"$ref": _reference(event.data)},
            "id": event.has_id,
            "description": event.description,
        }
        for event in mine
    }
    operation["responses"]["200"] = {
        "description": "Server-Sent Events, described one by one in `x-events`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "x-events": described}},
    }
