"""The use cases that change a message: edit, delete, react.

Each change is an event made of the message as it stood, and is appended only if it still
stands so (`Stale` otherwise): of two edits at once one comes after the other, and nothing
that came in between is lost.
"""

import asyncio
import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from quartchat import emoji as emojis
from quartchat import errors, events, fold, history, sends
from quartchat.chat import Chat
from quartchat.events import Message, ReactionEvent, RoomId, User
from quartchat.records import Change, Draft, Stale, Standing
from quartchat.stream import Streams

TRIES = 50  # as often as others may be faster: those of this process wait for each other
PAUSE_S = 0.02  # at most, between them
LOCKS = 256  # that messages share
WAIT_S = 10.0  # for those of this process that change the same message

_decode = msgspec.json.Decoder(Message).decode
_encode = msgspec.json.encode
_UNKNOWN = b"?"  # no version: only what was appended before is found under its key

Make = Callable[[Message], "Step | None"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a change makes of a message; `rest` is the event's JSON after its id."""

    type: str
    after: Message
    rest: bytes = b""  # b"": the event's JSON is the message's


@dataclass(frozen=True, slots=True)
class Asked:
    """A change that a user asks for; `client_id` names it, `digest` says what it is."""

    user: User
    room_id: RoomId
    n: int
    make: Make
    digest: str = ""
    client_id: str | None = None

    def draft(self, type_: str, rest: bytes, change: Change) -> Draft:
        """Return the change as an event."""
        return Draft(self.room_id, self.user.id, type_, rest, "", self.digest, change=change)


class Edits:
    """Changes of messages, for one process."""

    def __init__(self, chat: Chat, streams: Streams) -> None:
        self._chat = chat
        self._streams = streams
        self._locks = [asyncio.Lock() for _ in range(LOCKS)]

    async def edit(
        self, user: User, room_id: RoomId, n: int, body: str, client_id: str | None
    ) -> bytes:
        """Give the user's own message another body; return the message's JSON.

        Raises NotAMember, RoomArchived, NotFound, Forbidden, IdempotencyMismatch, Unavailable.
        """
        await self._chat.seats.writer(user, room_id)
        content = await self._chat.mentions.content(room_id, body)

        def make(message: Message) -> Step | None:
            if message.author.id != user.id:
                raise errors.Forbidden("Only its author may edit a message.")
            if message.deleted_at is not None and client_id is None:
                raise errors.NotFound
            if message.body == body:
                return None
            return Step("message.update", fold.edited(message, body, content, events.now()))

        digest = sends.digest(body, None, n)
        return await self._change(Asked(user, room_id, n, make, digest, client_id))

    async def delete(self, user: User, room_id: RoomId, n: int) -> None:
        """Delete the user's own message, or as a moderator any; may be repeated.

        Raises NotAMember, NotFound, Forbidden, Unavailable.
        """
        seat = await self._chat.seat(user, room_id)

        def make(message: Message) -> Step | None:
            if message.author.id != user.id and seat.role == "member":
                raise errors.Forbidden("Only its author or a moderator may delete a message.")
            if message.deleted_at is not None:
                return None
            return Step("message.delete", fold.deleted(message, events.now()))

        await self._change(Asked(user, room_id, n, make))

    async def react(self, user: User, room_id: RoomId, n: int, emoji: str) -> bytes:
        """Put a user's emoji under a message; return the message's JSON. May be repeated.

        Raises NotAMember, RoomArchived, NotFound, ValidationFailed, TooManyReactions,
        Unavailable.
        """

        def make(message: Message) -> Step | None:
            spelled = fold.spelled(message, emoji)
            after = fold.reacted(message, spelled, user.id)
            if after is message:
                return None
            known = sum(reaction.count for reaction in message.reactions)
            if len(after.reactions) > fold.EMOJIS or known >= fold.REACTED:
                raise errors.TooManyReactions
            return _reaction(user, after, "reaction.add", spelled)

        return await self._react(user, room_id, n, emoji, make)

    async def unreact(self, user: User, room_id: RoomId, n: int, emoji: str) -> bytes:
        """Take a user's emoji back; return the message's JSON. May be repeated.

        Raises NotAMember, RoomArchived, NotFound, ValidationFailed, Unavailable.
        """

        def make(message: Message) -> Step | None:
            after = fold.unreacted(message, emoji, user.id)
            if after is message:
                return None
            return _reaction(user, after, "reaction.remove", fold.spelled(message, emoji))

        return await self._react(user, room_id, n, emoji, make)

    async def _react(self, user: User, room_id: RoomId, n: int, emoji: str, make: Make) -> bytes:
        await self._chat.seats.writer(user, room_id)
        if not emojis.is_emoji(emoji):
            raise errors.ValidationFailed("It must be one emoji.", field="emoji")

        def alive(message: Message) -> Step | None:
            if message.deleted_at is not None:
                raise errors.NotFound
            return make(message)

        return await self._change(Asked(user, room_id, n, alive))

    async def _change(self, asked: Asked) -> bytes:
        """Append what a change makes of a message, once nobody else is faster."""
        lock = self._locks[hash((asked.room_id, asked.n)) % LOCKS]
        async with asyncio.timeout(WAIT_S):
            await lock.acquire()
        try:
            for _ in range(TRIES):
                seen = await history.message(self._streams, asked.room_id, asked.n, kept=True)
                if seen is None:
                    raise errors.NotFound
                message = _decode(seen.data)
                step = asked.make(message)
                try:
                    if step is None or message.deleted_at is not None:
                        await self._chat.posts.hold(asked.room_id, seen)
                        return await self._repeated(asked, seen, step)
                    return await self._append(asked, seen, step)
                except Stale:
                    await asyncio.sleep(random.random() * PAUSE_S)  # noqa: S311 - spreads the tries
        finally:
            lock.release()
        raise errors.Unavailable("Too many people are changing this message.", retry_after_s=1)

    async def _append(self, asked: Asked, seen: Standing, step: Step) -> bytes:
        state = _encode(step.after)
        change = Change(asked.n, seen, state if step.rest else b"", asked.client_id)
        draft = asked.draft(step.type, step.rest or state, change)
        posted = await self._chat.posts.send(draft, asked.client_id)
        return state if asked.client_id is None else posted.data

    async def _repeated(self, asked: Asked, seen: Standing, step: Step | None) -> bytes:
        """Return what an edit was answered that was made under this key; else what stands.

        `step` is what cannot be done any more: the message is deleted. Raises NotFound.
        """
        if asked.client_id is None:
            return seen.data
        change = Change(asked.n, dataclasses.replace(seen, version=_UNKNOWN))
        data = seen.data if step is None else _encode(step.after)
        draft = asked.draft("message.update", data, change)
        try:
            return (await self._chat.posts.send(draft, asked.client_id)).data
        except Stale:  # there is none, and nothing to change
            if step is not None:
                raise errors.NotFound from None
            return seen.data


def _reaction(user: User, after: Message, type_: str, emoji: str) -> Step:
    event = ReactionEvent(0, after.room_id, after.id, emoji, user)
    return Step(type_, after, events.unnumbered(event))
