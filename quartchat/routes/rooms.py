"""Rooms and who is in them."""

import base64
import binascii
from typing import Annotated, Literal

import msgspec
from quart import Blueprint, Response
from quart_schema import document_response, tag

from quartchat import errors, events
from quartchat.events import Role, Room, RoomId, User, UserId
from quartchat.routes import http, messages
from quartchat.routes.faults import visible

OPENED = 50  # messages of a room that is opened

blueprint = Blueprint("rooms", __name__, url_prefix="/api/chat/rooms")


class NewRoom(msgspec.Struct, forbid_unknown_fields=True):
    """A room to be made. Public rooms' names are unique, whatever the case."""

    name: Annotated[http.Line, msgspec.Meta(min_length=1, max_length=64)]
    topic: Annotated[http.Line, msgspec.Meta(max_length=255)] = ""
    visibility: Literal["public", "private"] = "public"


class RoomsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which rooms: `joined` only the caller's, `q` part of a name, `after` the last `next`."""

    joined: Annotated[bool, msgspec.Meta(description="Only those that the caller is in.")] = False
    q: Annotated[http.Text, msgspec.Meta(max_length=64, description="A part of the name.")] = ""
    limit: http.Limit = 50
    after: Annotated[
        str | None, msgspec.Meta(description="The `next` of the page before; none: the first.")
    ] = None
    open: Annotated[
        http.Id | None,
        msgspec.Meta(description="A room of the caller's whose newest messages come along."),
    ] = None


class Rooms(msgspec.Struct):
    """A page of rooms by name; `cursor` is where to begin `GET /api/chat/events`.

    `opened` has the newest messages of the room that was asked for by `open`, read after that.
    """

    rooms: list[Room]
    next: str | None
    cursor: str
    opened: messages.Messages | None


class MembersQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which members: those after the last `next`."""

    limit: http.Limit = 50
    after: Annotated[http.Id, msgspec.Meta(description="The `next` of the page before.")] = 0


class Membership(msgspec.Struct):
    """A member and what the member may do."""

    user: User
    role: Role


class Members(msgspec.Struct):
    """A page of members."""

    members: list[Membership]
    next: int | None


class Read(msgspec.Struct, forbid_unknown_fields=True):
    """The last event that was read."""

    id: http.Id


@blueprint.get("")
@tag(["Rooms"])
@http.query(RoomsQuery)
@document_response(Rooms)
async def rooms(args: RoomsQuery) -> Response:
    """List the rooms that the caller may see, by name."""
    chat, user = http.services().chat, http.caller().user
    found, following, position = await chat.rooms(
        user,
        joined=args.joined,
        search=args.q.strip(),
        after=None if args.after is None else _place(args.after),
        limit=args.limit,
    )
    page = None if args.open is None else await chat.newest(user, RoomId(args.open), OPENED)
    return http.answer(
        Rooms(
            found,
            None if following is None else _cursor(following),
            events.cursor(position),
            None if page is None else messages.shown(page),
        )
    )


@blueprint.post("")
@tag(["Rooms"])
@http.body(NewRoom, name=visible)
@document_response(Room, 201)
async def create(data: NewRoom) -> Response:
    """Make a room; the caller is in it, as owner."""
    room = await http.services().chat.create_room(
        http.caller().user, data.name.strip(), data.topic.strip(), data.visibility
    )
    return http.answer(room, 201, Location=f"/api/chat/rooms/{room.id}")


@blueprint.get("/<number:room>")
@tag(["Rooms"])
@document_response(Room)
async def get(room: RoomId) -> Response:
    """Return a room."""
    return http.answer(await http.services().chat.room(http.caller().user, room))


@blueprint.post("/<number:room>/join")
@tag(["Rooms"])
@document_response(Room)
async def join(room: RoomId) -> Response:
    """Join a public room; may be repeated."""
    return http.answer(await http.services().chat.join(http.caller().user, room))


@blueprint.post("/<number:room>/leave")
@tag(["Rooms"])
async def leave(room: RoomId) -> Response:
    """Leave a room; may be repeated. The caller's streams of it end."""
    await http.services().chat.leave(http.caller().user, room)
    return http.nothing()


@blueprint.get("/<number:room>/members")
@tag(["Rooms"])
@http.query(MembersQuery)
@document_response(Members)
async def members(room: RoomId, args: MembersQuery) -> Response:
    """List a room's members, in the order of their accounts."""
    found, following = await http.services().chat.members(
        http.caller().user, room, UserId(args.after), args.limit
    )
    return http.answer(Members([Membership(user, role) for user, role in found], following))


@blueprint.post("/<number:room>/read")
@tag(["Rooms"])
@http.body(Read)
async def read(room: RoomId, data: Read) -> Response:
    """Move the caller's read marker forward, up to an event; never back. All tabs hear `read`."""
    await http.services().awareness.read(http.caller().user, room, data.id)
    return http.nothing()


def _cursor(place: tuple[str, RoomId]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place(cursor: str) -> tuple[str, RoomId]:
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"==")
        key, room_id = msgspec.json.decode(raw, type=tuple[http.Text, http.Id])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise errors.ValidationFailed("This is not a `next` from here.", field="after") from None
    return key, RoomId(room_id)
