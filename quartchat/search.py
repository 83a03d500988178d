"""Searching: the messages of the rooms that the caller is in, by their words."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import limits
import msgspec

from quartchat import markup, store, words
from quartchat.auth import Auth
from quartchat.chat import Chat
from quartchat.events import Event, Message, RoomId, User, UserId
from quartchat.store import events as archive
from quartchat.store import rooms, search
from quartchat.store.search import Found, Query
from quartchat.words import Phrase

PER_USER = limits.parse("120 per minute")  # who types fast asks three times a second
AT_ONCE = 2  # of a process, so that SQL's four connections are there for others too
WAIT_S = 5.0  # for a turn and the answer; then 503

_decode = msgspec.json.Decoder(Message).decode


@dataclass(frozen=True, slots=True)
class Result:
    """A message that was found, as it stands, and the part of it that was looked for."""

    message: Event
    snippet: str


class Search:
    """Searches of one process."""

    def __init__(self, auth: Auth, chat: Chat) -> None:
        self._auth = auth
        self._chat = chat
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def find(
        self,
        user: User,
        text: str,
        *,
        room_id: RoomId | None,
        author: str | None,
        below: int | None,
        limit: int,
    ) -> tuple[list[Result], int | None]:
        """Return a page of results, newest first, and the place where the next begins.

        Raises NotAMember, NotFound, RateLimited, TimeoutError.
        """
        await self._auth.limit(PER_USER, "search", str(user.id))
        if room_id is not None:
            await self._chat.seat(user, room_id)
        phrases = words.parse(text)
        async with asyncio.timeout(WAIT_S), self._turns:
            found, messages = await store.run(
                _find, user.id, phrases,
                room_id=room_id, author=author, below=below, limit=limit + 1,
            )  # fmt: skip
        following = found[limit - 1].place if len(found) > limit else None
        shown = [messages[key] for each in found[:limit] if (key := each.key) in messages]
        return [Result(message, _snippet(message, phrases)) for message in shown], following


def _find(
    user_id: UserId,
    phrases: list[Phrase],
    *,
    room_id: RoomId | None,
    author: str | None,
    below: int | None,
    limit: int,
) -> tuple[list[Found], dict[tuple[RoomId, int], Event]]:
    """Search, and read what was found, on one connection."""
    author_id = None if author is None else search.author(author)
    if author is not None and author_id is None:
        return [], {}
    searched = list(rooms.memberships([user_id])[user_id]) if room_id is None else [room_id]
    found = search.find(Query(phrases, searched, author_id), below, limit)
    return found, archive.messages([each.key for each in found])


def _snippet(message: Event, phrases: Sequence[Phrase]) -> str:
    said = _decode(message.data)
    shown = words.snippet(markup.plain(said.html), phrases)
    # What was looked for may be in the body alone, as a link's address is.
    return shown if "<mark>" in shown else words.snippet(said.body, phrases)
