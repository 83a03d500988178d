"""Coming into a room by an invitation or a link."""

import msgspec
from quart import Blueprint, Response
from quart_schema import document_response, tag

from quartchat.events import Invitation, Room, RoomId, RoomSummary, UserId
from quartchat.routes import http

blueprint = Blueprint("invitations", __name__, url_prefix="/api/chat")


class NewInvitation(msgspec.Struct, forbid_unknown_fields=True):
    """Who is invited."""

    user_id: http.Id


class Invitations(msgspec.Struct):
    """Open invitations, newest first; 200 at most."""

    invitations: list[Invitation]


class Link(msgspec.Struct):
    """Whoever signs in and opens this path may join."""

    token: str
    path: str


class RoomLink(msgspec.Struct):
    """A room's link; null if it has none."""

    link: Link | None


class Linked(msgspec.Struct):
    """What a link opens, and whether the caller is in there."""

    room: RoomSummary
    joined: bool


@blueprint.post("/rooms/<number:room>/invitations")
@tag(["Invitations"])
@http.limited("30 per minute", "invite")
@http.body(NewInvitation)
@document_response(Invitation, 200)
@document_response(Invitation, 201)
async def invite(room: RoomId, data: NewInvitation) -> Response:
    """Invite somebody: as a member of a public room, or a moderator. 200 if that is done."""
    made, new = await http.services().invitations.invite(
        http.caller().user, room, UserId(data.user_id)
    )
    return http.answer(made, 201 if new else 200)


@blueprint.get("/rooms/<number:room>/invitations")
@tag(["Invitations"])
@document_response(Invitations)
async def of_room(room: RoomId) -> Response:
    """List a room's open invitations, for its moderators."""
    found = await http.services().invitations.of_room(http.caller().user, room)
    return http.answer(Invitations(found))


@blueprint.get("/invitations")
@tag(["Invitations"])
@document_response(Invitations)
async def mine() -> Response:
    """List the caller's open invitations."""
    return http.answer(Invitations(await http.services().invitations.mine(http.caller().user)))


@blueprint.post("/invitations/<number:invitation>/accept")
@tag(["Invitations"])
@document_response(Room)
async def accept(invitation: int) -> Response:
    """Join the room of an invitation."""
    return http.answer(await http.services().invitations.accept(http.caller().user, invitation))


@blueprint.delete("/invitations/<number:invitation>")
@tag(["Invitations"])
async def withdraw(invitation: int) -> Response:
    """Decline an invitation, or take it back as its inviter or a moderator of the room."""
    await http.services().invitations.withdraw(http.caller().user, invitation)
    return http.nothing()


@blueprint.put("/rooms/<number:room>/link")
@tag(["Invitations"])
@http.limited("30 per minute", "link")
@document_response(Link)
async def set_link(room: RoomId) -> Response:
    """Give a room a new link, as a moderator; the old one is dead."""
    token = await http.services().invitations.set_link(http.caller().user, room)
    return http.answer(_link(token))


@blueprint.get("/rooms/<number:room>/link")
@tag(["Invitations"])
@document_response(RoomLink)
async def link(room: RoomId) -> Response:
    """Return a room's link, for its moderators; null if it has none."""
    token = await http.services().invitations.link(http.caller().user, room)
    return http.answer(RoomLink(_link(token) if token else None))


@blueprint.delete("/rooms/<number:room>/link")
@tag(["Invitations"])
async def remove_link(room: RoomId) -> Response:
    """Kill a room's link, as a moderator; may be repeated."""
    await http.services().invitations.remove_link(http.caller().user, room)
    return http.nothing()


@blueprint.get("/links/<token:link>")
@tag(["Invitations"])
@document_response(Linked)
async def linked(link: str) -> Response:
    """Say what a link opens."""
    room, joined = await http.services().invitations.linked(http.caller().user, link)
    return http.answer(Linked(room, joined))


@blueprint.post("/links/<token:link>/join")
@tag(["Invitations"])
@document_response(Room)
async def join_linked(link: str) -> Response:
    """Join the room that a link opens; may be repeated."""
    return http.answer(await http.services().invitations.join_linked(http.caller().user, link))


def _link(token: str) -> Link:
    return Link(token, f"/join/{token}")
