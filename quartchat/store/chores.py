"""Chores: what a commit of SQL owes to Redis, written by the same commit.

The request that made one does it at once. Where it dies first, or Redis is away, a worker
does it some seconds later. Each may be done twice, so a lease is enough to share them out.
"""

import time
from dataclasses import dataclass

import msgspec

from quartchat.events import Control, Role, RoomId, UserId
from quartchat.store import transaction
from quartchat.store.models import Chore as Row

GRACE_MS = 5_000  # for the request itself
EARLIER = 100  # of a room, that are done before one; the others are a worker's
LEASE_MS = 60_000  # for a worker; then another may have it


class Tell(msgspec.Struct, frozen=True, tag_field="kind", tag="tell"):
    """Put an event on a room's log; `rest` is its JSON after `{"id":<n>`."""

    room_id: RoomId
    author_id: UserId
    type: str
    rest: str
    key: str


class Leave(msgspec.Struct, frozen=True, tag_field="kind", tag="leave"):
    """Put `member.leave` on a room's log, and then forget the membership."""

    room_id: RoomId
    user_id: UserId
    role: Role
    ticket: str


class Announce(msgspec.Struct, frozen=True, tag_field="kind", tag="announce"):
    """Let every process hear of something."""

    controls: tuple[Control, ...]


class ClearRoom(msgspec.Struct, frozen=True, tag_field="kind", tag="clear_room"):
    """Remove what is left of a removed room; for workers. `done` counts how often."""

    room_id: RoomId
    done: int = 0


class ClearAccount(msgspec.Struct, frozen=True, tag_field="kind", tag="clear_account"):
    """Remove what is left of a closed account; for workers. `done` counts how often."""

    user_id: UserId
    done: int = 0


What = Tell | Leave | Announce | ClearRoom | ClearAccount

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(What).decode


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do; id 0 where SQL does not have it any more."""

    id: int
    what: What


def cut(join: str) -> str:
    """Return the ticket of the leave that ends a joining, which the log may not know yet."""
    return join.replace("-join-", "-cut-")


def joining(leave: str) -> str | None:
    """Return the ticket of the joining that a leave has cut, if it has cut one."""
    return leave.replace("-cut-", "-join-") if leave.startswith("-cut-") else None


def owe(what: What, *, after_ms: int = GRACE_MS) -> Chore:
    """Write a chore down, in the transaction that makes it due; workers wait for `after_ms`."""
    return Chore(Row.create(data=_encode(what).decode(), due=_now_ms() + after_ms).id, what)


def before(chore_id: int, room_id: RoomId) -> list[Chore]:
    """Return what a room's log is owed from before a chore, and must be told of first.

    Who commits second may be faster, and a room's last `room.update` must be its last state.
    """
    tells, leaves = (
        Row.data.startswith(f'{{"kind":"{kind}","room_id":{room_id},') for kind in ("tell", "leave")
    )
    rows = Row.select().where(Row.id < chore_id, tells | leaves).order_by(Row.id).limit(EARLIER)
    return [Chore(row.id, _decode(row.data)) for row in rows]


def take(limit: int) -> list[Chore]:
    """Return chores that are due; no other worker gets them for a minute."""
    now = _now_ms()
    rows = list(Row.select().where(Row.due <= now).order_by(Row.due).limit(limit))
    if not rows:  # as nearly always: then nothing is locked
        return []
    with transaction():
        return [
            Chore(row.id, _decode(row.data))
            for row in rows
            if Row.update(due=now + LEASE_MS).where(Row.id == row.id, Row.due == row.due).execute()
        ]


def keep(chore: Chore, *, after_ms: int) -> None:
    """Hold on to a chore that a worker has: longer, or until it is to be done again."""
    Row.update(data=_encode(chore.what).decode(), due=_now_ms() + after_ms).where(
        Row.id == chore.id
    ).execute()


def done(chore: Chore) -> None:
    """Strike a chore off."""
    Row.delete().where(Row.id == chore.id).execute()


def _now_ms() -> int:
    return int(time.time() * 1000)
