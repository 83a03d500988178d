"""The events of the streams, as the API's document tells of them."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from quartchat.events import (
    MemberEvent,
    Message,
    ReactionEvent,
    RoomEvent,
    RoomId,
    RoomSummary,
    User,
)
from quartchat.signals import Marker, Missed, Presence, Typing


class Ready(msgspec.Struct):
    """First event of a room's stream: where the room stands."""

    room_id: RoomId
    last_id: int


class RoomHead(msgspec.Struct):
    """Where a room stands."""

    id: RoomId
    last_id: int


class ReadyAll(msgspec.Struct):
    """First event of the stream of all rooms: where it begins, and where the rooms stand."""

    cursor: str
    rooms: list[RoomHead]


class Reset(msgspec.Struct):
    """The cursor cannot be served: read the history anew. No room: all of them.

    `reason` is `malformed`, `ahead`, `lost` (a Redis lost events that it had acknowledged), or
    `rejoined`, on the stream of all rooms: the caller left the room after the cursor and came
    back, and the stream goes on after `last_id`.
    """

    room_id: RoomId | None
    last_id: int | None
    reason: str


class RoomRemoved(msgspec.Struct):
    """The caller is in this room no more. A stream of the room ends after this."""

    room_id: RoomId


class RoomAdded(msgspec.Struct):
    """The caller is in this room from now on: made in another tab, or somebody's direct room."""

    room_id: RoomId


class Invited(msgspec.Struct):
    """Somebody invites the caller into a room; `id` is the invitation's."""

    id: int
    room: RoomSummary
    inviter: User


class InvitationRemoved(msgspec.Struct):
    """An invitation of the caller's is open no more: answered, also elsewhere, taken back or void.

    It may come late; the list of invitations says what is so.
    """

    id: int
    room_id: RoomId


class UserUpdate(User, frozen=True):
    """What the caller, or somebody who shares a room with the caller, is called now.

    Also somebody who wrote in a room of the caller's and whose account was deleted.
    """


class SessionRevoked(msgspec.Struct):
    """The session has ended, and so does the stream."""


class Heartbeat(msgspec.Struct):
    """Nothing happened; the connection is well."""


class StreamEvent(NamedTuple):
    """An event of the streams; where `when` is empty, its data's description says it."""

    name: str
    data: type
    has_id: bool
    streams: str  # room, all, both
    when: str = ""

    @property
    def description(self) -> str:
        """When it comes, in a line."""
        return self.when or " ".join((self.data.__doc__ or "").split())


EVENTS = (
    StreamEvent("ready", Ready, False, "room"),
    StreamEvent("ready", ReadyAll, False, "all"),
    StreamEvent("message", Message, True, "both", "Somebody sent a message."),
    StreamEvent(
        "message.update", Message, True, "both", "A message was edited; here it is as it stands."
    ),
    StreamEvent(
        "message.delete", Message, True, "both", "A message was deleted; its text is empty now."
    ),
    StreamEvent(
        "reaction.add", ReactionEvent, True, "both", "Somebody put an emoji under a message."
    ),
    StreamEvent("reaction.remove", ReactionEvent, True, "both", "Somebody took an emoji back."),
    StreamEvent("member.join", MemberEvent, True, "both", "Somebody came into the room."),
    StreamEvent("member.leave", MemberEvent, True, "both", "Somebody left, or was removed."),
    StreamEvent("member.update", MemberEvent, True, "both", "Somebody has another role."),
    StreamEvent("room.update", RoomEvent, True, "both", "The room's settings were changed."),
    StreamEvent("typing", Typing, False, "both"),
    StreamEvent("presence", Presence, False, "both"),
    StreamEvent("read", Marker, False, "both"),
    StreamEvent("missed", Missed, False, "both"),
    StreamEvent("user.update", UserUpdate, False, "both"),
    StreamEvent("heartbeat", Heartbeat, False, "both"),
    StreamEvent("reset", Reset, False, "both"),
    StreamEvent("invitation", Invited, False, "all"),
    StreamEvent("invitation.remove", InvitationRemoved, False, "all"),
    StreamEvent("room.added", RoomAdded, False, "all"),
    StreamEvent("room.removed", RoomRemoved, False, "both"),
    StreamEvent("session.revoked", SessionRevoked, False, "both"),
)


def table(events: Iterable[StreamEvent]) -> str:
    """Write events as a table in Markdown: viewers do not show `x-events`."""
    rows = ["| event | when | data | id |", "| --- | --- | --- | --- |"]
    for event in events:
        fields = ", ".join(field.encode_name for field in msgspec.structs.fields(event.data))
        rows.append(
            f"| `{event.name}` | {event.description} | `{event.data.__name__}`: "
            f"{fields or 'nothing'} | {'yes' if event.has_id else 'no'} |"
        )
    return "\n".join(rows)
