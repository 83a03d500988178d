"""Who is typing, and who is online."""

import msgspec
from quart import Blueprint, Response
from quart_schema import document_response, tag

from quartchat.events import RoomId, UserId
from quartchat.routes import http

blueprint = Blueprint("awareness", __name__, url_prefix="/api/chat/rooms/<number:room>")


class Online(msgspec.Struct):
    """The members of a room who have a stream open, or had one until a moment ago."""

    user_ids: list[UserId]


@blueprint.post("/typing")
@tag(["Awareness"])
async def typing(room: RoomId) -> Response:
    """Say that the caller is typing; again every three seconds while that is so.

    At most one a second is passed on.
    """
    await http.services().awareness.typing(http.caller().user, room)
    return http.nothing()


@blueprint.get("/presence")
@tag(["Awareness"])
@document_response(Online)
async def online(room: RoomId) -> Response:
    """Return who of the room is online; ask after `ready`, then follow `presence`."""
    return http.answer(Online(await http.services().awareness.online(http.caller().user, room)))
