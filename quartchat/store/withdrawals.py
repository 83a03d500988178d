"""The end of invitations, whatever ended them: each invitee is to hear of it."""

from typing import Any

import msgspec

from quartchat.events import Control, RoomId, UserId
from quartchat.store import chores
from quartchat.store.chores import Chore
from quartchat.store.models import Invitation

TOLD = 100  # invitees by one chore: a worker has it done long before its lease ends

_encode = msgspec.json.encode


def withdraw(*where: Any, after_ms: int = chores.GRACE_MS) -> tuple[Chore, ...]:
    """Remove invitations, in a transaction; nothing is owed where there were none."""
    rows: Any = Invitation.select(Invitation.id, Invitation.room, Invitation.invitee).where(*where)
    found = list(rows.tuples())
    if not found:  # as nearly always where somebody joins: then nothing is written
        return ()
    # By id: whoever is invited between the two is told when that one is withdrawn.
    for start in range(0, len(found), TOLD):
        ids = [id_ for id_, *_ in found[start : start + TOLD]]
        Invitation.delete().where(Invitation.id.in_(ids)).execute()
    notices = [_notice(*row) for row in found]
    return tuple(
        chores.owe(chores.Announce(tuple(notices[start : start + TOLD])), after_ms=after_ms)
        for start in range(0, len(notices), TOLD)
    )


def _notice(invitation_id: int, room_id: RoomId, invitee_id: UserId) -> Control:
    data = {"id": invitation_id, "room_id": room_id}
    return Control("notice", invitee_id, event="invitation.remove", data=_encode(data).decode())
