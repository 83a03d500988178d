"""Searching: the messages of the rooms that the caller is in, by their words."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import limits
import msgspec

from quartchat import store, words
from quartchat.auth import Auth
from quartchat.chat import Chat
from quartchat.events import Event, Message, RoomId, User
from quartchat.store import events as archive
from quartchat.store import rooms, search
from quartchat.store.search import Query
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
            joined = await store.run(rooms.memberships, user.id)
            author_id = None if author is None else await store.run(search.author, author)
            if author is not None and author_id is None:
                return [], None
            query = Query(phrases, list(joined) if room_id is None else [room_id], author_id)
            found = await store.run(search.find, query, below, limit + 1)
            page = found[:limit]
            messages = await store.run(archive.messages, [(each.room_id, each.n) for each in page])
        following = page[-1].place if len(found) > limit else None
        shown = [messages[key] for each in page if (key := (each.room_id, each.n)) in messages]
        return [Result(message, _snippet(message, phrases)) for message in shown], following


def _snippet(message: Event, phrases: Sequence[Phrase]) -> str:
    return words.snippet(_decode(message.data).body, phrases)
