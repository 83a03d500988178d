"""Sending and reading messages."""

from typing import Annotated

import msgspec
from quart import Blueprint, Response
from quart_schema import document_response, tag

from quartchat import errors
from quartchat.events import Message, RoomId
from quartchat.history import Page
from quartchat.routes import http
from quartchat.routes.faults import visible

blueprint = Blueprint("messages", __name__, url_prefix="/api/chat/rooms/<number:room>/messages")


_decode = msgspec.json.Decoder(Message).decode

ONE_OF_THREE = "give at most one of `before`, `after` and `around`."


class Post(msgspec.Struct, forbid_unknown_fields=True):
    """A message in Markdown. Give a `client_id` and the send may be repeated; a UUIDv7 is best."""

    body: Annotated[http.Text, msgspec.Meta(min_length=1, max_length=4000)]
    client_id: Annotated[http.Text, msgspec.Meta(min_length=1, max_length=64)] | None = None
    reply_to: Annotated[int, msgspec.Meta(ge=1, le=http.MAX_ID)] | None = None


class Edit(msgspec.Struct, forbid_unknown_fields=True):
    """A message's new body; with a `client_id` the edit may be repeated, however late."""

    body: Annotated[http.Text, msgspec.Meta(min_length=1, max_length=4000)]
    client_id: Annotated[http.Text, msgspec.Meta(min_length=1, max_length=64)] | None = None


class MessagesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which messages: around, after or before an id; with none of them the newest."""

    before: Annotated[
        http.Id | None, msgspec.Meta(description=f"Older than this message; {ONE_OF_THREE}")
    ] = None
    after: Annotated[
        http.Id | None, msgspec.Meta(description=f"Newer than this message; {ONE_OF_THREE}")
    ] = None
    around: Annotated[
        http.Id | None, msgspec.Meta(description=f"This message in their midst; {ONE_OF_THREE}")
    ] = None
    limit: http.Limit = 50


class Messages(msgspec.Struct):
    """A page of messages, oldest first, and whether there are others on either side."""

    messages: list[Message]
    has_more_before: bool
    has_more_after: bool


def shown(page: Page) -> Messages:
    """Return a page as a part of another answer."""
    return Messages(
        [_decode(event.data) for event in page.messages], page.more_before, page.more_after
    )


@blueprint.post("")
@tag(["Messages"])
@http.body(Post, body=visible)
@document_response(Message, 200)
@document_response(Message, 201)
async def post(room: RoomId, data: Post) -> Response:
    """Send a message; 200 with the first answer if its `client_id` was used before."""
    posted = await http.services().chat.post(
        http.caller().user, room, data.body, data.client_id, data.reply_to
    )
    return http.answer(posted.data, 201 if posted.new else 200)


@blueprint.get("")
@tag(["Messages"])
@http.query(MessagesQuery)
@document_response(Messages)
async def messages(room: RoomId, args: MessagesQuery) -> Response:
    """Return a page of a room's messages, however old."""
    if sum(place is not None for place in (args.before, args.after, args.around)) > 1:
        raise errors.ValidationFailed("Give one of `before`, `after` and `around`.")
    page = await http.services().chat.messages(
        http.caller().user,
        room,
        before=args.before,
        after=args.after,
        around=args.around,
        limit=args.limit,
    )
    return http.answer(
        # Each message is JSON already, as it went out on the stream.
        b'{"messages":[%b],"has_more_before":%b,"has_more_after":%b}'
        % (
            b",".join(event.data for event in page.messages),
            b"true" if page.more_before else b"false",
            b"true" if page.more_after else b"false",
        )
    )


@blueprint.get("/<number:message>")
@tag(["Messages"])
@document_response(Message)
async def message(room: RoomId, message: int) -> Response:
    """Return one message."""
    return http.answer(await http.services().chat.message(http.caller().user, room, message))


@blueprint.patch("/<number:message>")
@tag(["Messages"])
@http.body(Edit, body=visible)
@document_response(Message)
async def edit(room: RoomId, message: int, data: Edit) -> Response:
    """Give one's own message another body; the same body changes nothing."""
    return http.answer(
        await http.services().edits.edit(
            http.caller().user, room, message, data.body, data.client_id
        )
    )


@blueprint.delete("/<number:message>")
@tag(["Messages"])
async def delete(room: RoomId, message: int) -> Response:
    """Delete one's own message, or as a moderator anybody's; may be repeated."""
    await http.services().edits.delete(http.caller().user, room, message)
    return http.nothing()


@blueprint.put("/<number:message>/reactions/<emoji>")
@tag(["Messages"])
@document_response(Message)
async def react(room: RoomId, message: int, emoji: str) -> Response:
    """Put an emoji under a message; may be repeated."""
    return http.answer(await http.services().edits.react(http.caller().user, room, message, emoji))


@blueprint.delete("/<number:message>/reactions/<emoji>")
@tag(["Messages"])
@document_response(Message)
async def unreact(room: RoomId, message: int, emoji: str) -> Response:
    """Take one's emoji back; may be repeated."""
    return http.answer(
        await http.services().edits.unreact(http.caller().user, room, message, emoji)
    )
