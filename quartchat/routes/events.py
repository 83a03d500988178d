"""The streams: Server-Sent Events of one room, and of all of the caller's rooms."""

from functools import partial
from typing import Annotated

import msgspec
from quart import Blueprint, Response, request
from quart_schema import tag

from quartchat import sse
from quartchat.events import RoomId
from quartchat.readers import Reader
from quartchat.routes import http

blueprint = Blueprint("events", __name__, url_prefix="/api/chat")


class EventsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Where to begin, if there is no `Last-Event-ID` header: after this event."""

    last_event_id: Annotated[
        Annotated[str, msgspec.Meta(max_length=32_000)] | None,
        msgspec.Meta(description="Resume after this event, where no header can be set."),
    ] = None


class EventStream(Response):
    """A response that its reader writes; `app` hands it the connection."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(None, 200, sse.HEADERS)
        self.timeout = None  # RESPONSE_TIMEOUT would cut it after a minute
        self.reader = reader


@blueprint.get("/rooms/<number:room>/events")
@tag(["Events"])
@http.query(EventsQuery)
async def room_events(room: RoomId, args: EventsQuery) -> Response:
    """Stream a room's events; members only.

    Server-Sent Events: each has a name, and one JSON object as its data. An `id` is the event's
    number in the room; those without one have no history, and no cursor moves by them.

    At most 20 streams at a time for one user, where the server's settings say nothing else.
    """
    services, session = http.services(), http.caller()
    allowed = partial(services.chat.seat, session.user, room)
    if request.method == "HEAD":
        await allowed()
        return Response(None, 200, sse.HEADERS)
    return EventStream(
        await services.hub.open_room(
            session.secret_hash, session.user.id, room, _cursor(args), allowed
        )
    )


@blueprint.get("/events")
@tag(["Events"])
@http.query(EventsQuery)
async def all_events(args: EventsQuery) -> Response:
    """Stream the events of all of the caller's rooms.

    Server-Sent Events: each has a name, and one JSON object as its data. An `id` is an opaque
    cursor; events without one have no history, and no cursor moves by them.
    Each room begins with the caller's last joining, also after `0`, which is before everything.

    At most 20 streams at a time for one user, where the server's settings say nothing else.
    """
    services, session = http.services(), http.caller()
    if request.method == "HEAD":
        return Response(None, 200, sse.HEADERS)
    return EventStream(
        await services.hub.open_feed(session.secret_hash, session.user.id, _cursor(args))
    )


def _cursor(args: EventsQuery) -> str | None:
    """Return where the client stands: the header wins; an empty one counts as none."""
    return request.headers.get("Last-Event-ID") or args.last_event_id or None
