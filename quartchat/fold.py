"""What a room's later events make of its messages. Pure; all histories are this fold.

Whoever holds messages as they stood after event n, and all events of the room after n,
has the messages as they stand now, wherever n lies: SQL holds them as far as it is
archived, Redis holds each changed one as it stands, and a reader folds what it is sent.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from quartchat import emoji as emojis
from quartchat.events import Event, Message, Reaction, ReactionEvent, UserId

EMOJIS = 20  # different ones under one message
REACTED = 2_000  # reactions under one message: their ids travel with it, 7 bytes each

TEXTS = ("message", "message.update")  # events that bring a message's text
CHANGES = ("message.update", "message.delete", "reaction.add", "reaction.remove")

_replace = msgspec.structs.replace
_decode_message = msgspec.json.Decoder(Message).decode
_decode_reaction = msgspec.json.Decoder(ReactionEvent).decode


@dataclass(frozen=True, slots=True)
class Content:
    """A body as it is shown, and the members that it mentions, in their order in it."""

    html: str
    mentions: list[UserId]


def edited(message: Message, body: str, content: Content, at: str) -> Message:
    """Return a message with another body."""
    return _replace(message, body=body, html=content.html, mentions=content.mentions, edited_at=at)


def deleted(message: Message, at: str) -> Message:
    """Return what is left of a message."""
    return _replace(message, body="", html="", mentions=[], reactions=[], deleted_at=at)


def undeleted(left: Message, said: Message, *, edited: bool) -> Message:
    """Return a deleted message as it was when it said what `said` says, before any reaction."""
    return _replace(
        left, body=said.body, html=said.html, mentions=said.mentions, deleted_at=None,
        edited_at=left.edited_at if edited else None,
    )  # fmt: skip


def reacted(message: Message, emoji: str, user_id: UserId) -> Message:
    """Return a message with a user's reaction; the same object if it has that already."""
    reactions = list(message.reactions)
    for index, known in enumerate(reactions):
        if emojis.same(known.emoji, emoji):
            if user_id in known.user_ids:
                return message
            reactions[index] = _reaction(known.emoji, [*known.user_ids, user_id])
            return _replace(message, reactions=reactions)
    return _replace(message, reactions=[*reactions, _reaction(emoji, [user_id])])


def unreacted(message: Message, emoji: str, user_id: UserId) -> Message:
    """Return a message without a user's reaction; the same object if it has none."""
    reactions = []
    for known in message.reactions:
        left = known.user_ids
        if emojis.same(known.emoji, emoji):
            left = [other for other in left if other != user_id]
        if left:
            reactions.append(_reaction(known.emoji, left))
    return message if reactions == message.reactions else _replace(message, reactions=reactions)


def spelled(message: Message, emoji: str) -> str:
    """Return an emoji as the message's reactions spell it."""
    known = (each.emoji for each in message.reactions)
    return next((each for each in known if emojis.same(each, emoji)), emoji)


def about(event: Event) -> int | None:
    """Return the id of the message that an event changes, if it changes one."""
    if event.type in ("message.update", "message.delete"):
        return _decode_message(event.data).id
    if event.type in ("reaction.add", "reaction.remove"):
        return _decode_reaction(event.data).message_id
    return None


def text_of(event: Event) -> int:
    """Return the id of the message whose text an event brings; 0 if it brings none."""
    if event.type == "message":
        return event.n
    return _decode_message(event.data).id if event.type == "message.update" else 0


def is_deleted(data: bytes) -> bool:
    """Whether a message's JSON is what a deletion has left."""
    return b'"deleted_at":null' not in data and _decode_message(data).deleted_at is not None


def fold(messages: Iterable[Message], later: Iterable[Event]) -> list[Message]:
    """Return messages, and those that came later, as they stand after later events."""
    standing = {message.id: message for message in messages}
    for event in later:
        if event.type == "message":
            standing[event.n] = _decode_message(event.data)
        elif event.type in ("message.update", "message.delete"):
            changed = _decode_message(event.data)
            if changed.id in standing:
                standing[changed.id] = changed
        elif event.type in ("reaction.add", "reaction.remove"):
            data = _decode_reaction(event.data)
            if (message := standing.get(data.message_id)) is not None:
                change = reacted if event.type == "reaction.add" else unreacted
                standing[message.id] = change(message, data.emoji, data.user.id)
    return list(standing.values())


def _reaction(emoji: str, user_ids: list[UserId]) -> Reaction:
    return Reaction(emoji, len(user_ids), user_ids)
