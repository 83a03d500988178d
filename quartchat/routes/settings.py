"""What a room is: its settings, its archive, its removal, and direct rooms."""

from typing import Annotated, Literal

import msgspec
from quart import Blueprint, Response
from quart_schema import document_response, tag

from quartchat.events import Room, RoomId, UserId
from quartchat.routes import http
from quartchat.routes.faults import visible

blueprint = Blueprint("settings", __name__, url_prefix="/api/chat")


class Changes(msgspec.Struct, forbid_unknown_fields=True):
    """What shall be another; what is left out stays. In an archived room nothing can be said."""

    name: Annotated[http.Line, msgspec.Meta(min_length=1, max_length=64)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    topic: Annotated[http.Line, msgspec.Meta(max_length=255)] | msgspec.UnsetType = msgspec.UNSET
    visibility: Literal["public", "private"] | msgspec.UnsetType = msgspec.UNSET
    archived: bool | msgspec.UnsetType = msgspec.UNSET


class Peer(msgspec.Struct, forbid_unknown_fields=True):
    """Who the other one is."""

    user_id: http.Id


@blueprint.post("/direct")
@tag(["Rooms"])
@http.limited("30 per minute", "direct")
@http.body(Peer)
@document_response(Room, 200)
@document_response(Room, 201)
async def direct(data: Peer) -> Response:
    """Return the one room of the caller and another user; 201 if it is made now."""
    room, new = await http.services().settings.direct(http.caller().user, UserId(data.user_id))
    where = {"Location": f"/api/chat/rooms/{room.id}"} if new else {}
    return http.answer(room, 201 if new else 200, **where)


@blueprint.patch("/rooms/<number:room>")
@tag(["Rooms"])
@http.limited("30 per minute", "settings")
@http.body(Changes, name=visible)
@document_response(Room)
async def change(room: RoomId, data: Changes) -> Response:
    """Change a room: moderators its name and topic, owners all of it."""
    changes = {name: value for name, value in msgspec.structs.asdict(data).items()
               if value is not msgspec.UNSET}  # fmt: skip
    for text in changes.keys() & {"name", "topic"}:
        changes[text] = changes[text].strip()
    return http.answer(await http.services().settings.change(http.caller().user, room, changes))


@blueprint.delete("/rooms/<number:room>")
@tag(["Rooms"])
async def remove(room: RoomId) -> Response:
    """Remove a room and all that was said in it, for ever; owners only. Its streams end."""
    await http.services().settings.remove(http.caller().user, room)
    return http.nothing()
