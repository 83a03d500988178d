"""What members do to each other: roles, kicks, bans."""

from typing import Annotated

import msgspec
from quart import Blueprint, Response
from quart_schema import document_response, tag

from quartchat.events import Role, RoomId, User, UserId
from quartchat.routes import http
from quartchat.routes.rooms import Membership, MembersQuery

blueprint = Blueprint("members", __name__, url_prefix="/api/chat/rooms/<number:room>")

RATE = "60 per minute"  # each is an event in the room, and ends streams


class NewRole(msgspec.Struct, forbid_unknown_fields=True):
    """What a member shall be allowed to do."""

    role: Role


class NewBan(msgspec.Struct, forbid_unknown_fields=True):
    """Why somebody is kept out; moderators read it. The body may be left out."""

    reason: Annotated[http.Line, msgspec.Meta(max_length=255)] = ""


class Ban(msgspec.Struct):
    """Who is kept out of a room, why, since when, and by whom."""

    user: User
    reason: str
    created_at: str
    by: User


class Bans(msgspec.Struct):
    """A page of bans."""

    bans: list[Ban]
    next: int | None


@blueprint.put("/members/<number:user>")
@tag(["Members"])
@http.limited(RATE, "members")
@http.body(NewRole)
@document_response(Membership)
async def set_role(room: RoomId, user: UserId, data: NewRole) -> Response:
    """Give a member a role; owners only. The last owner cannot step down."""
    member = await http.services().members.set_role(http.caller().user, room, user, data.role)
    return http.answer(Membership(member, data.role))


@blueprint.delete("/members/<number:user>")
@tag(["Members"])
@http.limited(RATE, "members")
async def kick(room: RoomId, user: UserId) -> Response:
    """Take a member of a lower role out; may be repeated. The member's streams of the room end."""
    await http.services().members.kick(http.caller().user, room, user)
    return http.nothing()


@blueprint.put("/bans/<number:user>")
@tag(["Members"])
@http.limited(RATE, "members")
@http.body(NewBan, optional=True)
async def ban(room: RoomId, user: UserId, data: NewBan) -> Response:
    """Take somebody out and keep them out: no joining, no invitation, no link."""
    await http.services().members.ban(http.caller().user, room, user, data.reason.strip())
    return http.nothing()


@blueprint.get("/bans")
@tag(["Members"])
@http.query(MembersQuery)
@document_response(Bans)
async def bans(room: RoomId, args: MembersQuery) -> Response:
    """List who is kept out, for moderators."""
    found, following = await http.services().members.bans(
        http.caller().user, room, UserId(args.after), args.limit
    )
    rows = [Ban(row.user, row.reason, row.created_at, row.by) for row in found]
    return http.answer(Bans(rows, following))


@blueprint.delete("/bans/<number:user>")
@tag(["Members"])
@http.limited(RATE, "members")
async def unban(room: RoomId, user: UserId) -> Response:
    """Let somebody come in again; may be repeated."""
    await http.services().members.unban(http.caller().user, room, user)
    return http.nothing()
