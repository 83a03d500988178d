"""Searching messages."""

import re
from typing import Annotated

import msgspec
from quart import Blueprint, Response
from quart_schema import document_response, tag

from quartchat import errors
from quartchat.auth import words
from quartchat.events import Message, RoomId
from quartchat.routes import http
from quartchat.search import PER_USER

blueprint = Blueprint("search", __name__, url_prefix="/api/search")

MAX_PLACE = (1 << 63) - 1  # what SQL can compare
_CURSOR = re.compile(r"[0-9a-f]{1,16}")


class SearchQuery(msgspec.Struct, forbid_unknown_fields=True):
    """What is looked for: `q`; `room` and `author` narrow it, `before` is the last `next`."""

    q: Annotated[
        http.Text,
        msgspec.Meta(min_length=1, max_length=200, description='Words, and "phrases in quotes".'),
    ]
    room: Annotated[http.Id | None, msgspec.Meta(description="In this room alone.")] = None
    author: Annotated[
        Annotated[http.Text, msgspec.Meta(max_length=256)] | None,
        msgspec.Meta(description="By the user of this username alone."),
    ] = None
    before: Annotated[
        str | None, msgspec.Meta(description="The `next` of the page before; none: the newest.")
    ] = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=50, description="How many at most.")] = 20


class SearchResult(msgspec.Struct):
    """A message that was found; `snippet` is HTML: escaped text, with `<mark>` and no other tag."""

    room_id: RoomId
    message: Message
    snippet: str


class SearchResults(msgspec.Struct):
    """A page of results, newest first; `next` is where the next one begins."""

    results: list[SearchResult]
    next: str | None


@blueprint.get("")
@tag(["Messages"])
@http.noted(f"At most {words(PER_USER)} for one user.")
@http.query(SearchQuery)
@document_response(SearchResults)
async def find(args: SearchQuery) -> Response:
    """Search the messages of the rooms that the caller is in.

    A message must have every word of `q`, whatever the case and the accents, and every
    phrase in quotation marks; the last word may go on. Signs are left out, and nothing is a
    wrong query. What is sent, edited or deleted counts a moment later, once it is in SQL.
    """
    found, following = await http.services().search.find(
        http.caller().user,
        args.q,
        room_id=None if args.room is None else RoomId(args.room),
        author=None if args.author is None else args.author.lower(),
        below=None if args.before is None else _place(args.before),
        limit=args.limit,
    )
    results = b",".join(
        # Each message is JSON already, as it went out on the stream.
        b'{"room_id":%d,"message":%b,"snippet":%b}'
        % (each.message.room_id, each.message.data, msgspec.json.encode(each.snippet))
        for each in found
    )
    cursor = None if following is None else f"{following:x}"
    return http.answer(b'{"results":[%b],"next":%b}' % (results, msgspec.json.encode(cursor)))


def _place(cursor: str) -> int:
    place = int(cursor, 16) if _CURSOR.fullmatch(cursor) else MAX_PLACE + 1
    if place > MAX_PLACE:
        raise errors.ValidationFailed("This is not a `next` from here.", field="before")
    return place
