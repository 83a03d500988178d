"""Events on their way to a room's log: each is appended once, however often it is sent.

Redis knows the keys of a day, SQL all others; who asks which of the two is decided here.
"""

import dataclasses
from dataclasses import dataclass

import msgspec

from quartchat import errors, events, fold, history, metrics, records, sends, store, stream
from quartchat.acks import Acks
from quartchat.config import Config
from quartchat.events import Event, Message, RoomId
from quartchat.records import Appended, Stale, Standing
from quartchat.store import events as archive
from quartchat.stream import Draft, Streams

RETRY_S = 1  # what a 503 asks the client to wait

_decode = msgspec.json.Decoder(Message).decode
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Posted:
    """A message's JSON, and whether this send made it."""

    data: bytes
    new: bool


class Posts:
    """What one process appends."""

    def __init__(self, config: Config, streams: Streams) -> None:
        self._streams = streams
        self._acks = Acks() if config.ack == "archived" else None

    async def send(self, draft: Draft, client_id: str | None) -> Posted:
        """Append what a client may have named, once, however often this is called.

        Raises IdempotencyMismatch, NotAMember, Unavailable, and Stale for a change.
        """
        sent_ms = None if client_id is None else sends.made_ms(client_id)
        draft = dataclasses.replace(
            draft,
            key=records.random_key() if client_id is None else client_id,
            key_ttl_s=stream.OWN_KEY_TTL_S if client_id is None else stream.SENT_TTL_S,
            sent_ms=sent_ms,
        )
        if client_id is not None and sent_ms is None:
            earlier = await self._sent_earlier(draft)
            if earlier is not None:
                return earlier
        return await self.append(draft)

    async def append(self, draft: Draft) -> Posted:
        """Append what has its key already. Raises as `send` does."""
        appended = await self._seeded(draft)
        if appended.outcome == "unsure":
            earlier = await self._sent_earlier(draft)
            if earlier is not None:
                return earlier
            draft = dataclasses.replace(draft, sent_ms=None)
            appended = await self._streams.append(draft)
        if self._acks is not None:
            await self._acks.stored(draft, appended)
        if appended.outcome == "stale":
            raise Stale
        if appended.outcome == "out":
            raise errors.NotAMember
        if appended.outcome == "new":
            metrics.POSTED.inc()
            return Posted(events.numbered(appended.n, draft.rest), new=True)
        if appended.outcome == "again":
            earlier = await self._again(draft, appended)
            if earlier is not None:
                return earlier
        # `full`, or a Redis that is emptied as fast as it is seeded
        raise errors.Unavailable("The archive is too far behind.", retry_after_s=RETRY_S)

    async def hold(self, room_id: RoomId, seen: Standing) -> None:
        """Wait until SQL has a message's last change too, where that is acknowledged alone."""
        if self._acks is not None and seen.version:
            await self._acks.committed(room_id, int(seen.version))

    async def _seeded(self, draft: Draft) -> Appended:
        appended = await self._streams.append(draft)
        if appended.outcome != "unseeded":
            return appended
        if not await history.seed(self._streams, draft.room_id):  # removed a moment ago
            raise errors.NotFound
        return await self._streams.append(draft)

    async def _again(self, draft: Draft, appended: Appended) -> Posted | None:
        if appended.digest != draft.digest:
            raise errors.IdempotencyMismatch(field="client_id")
        metrics.REPEATED.inc()
        data = appended.data
        if data is None:  # trimmed from Redis, so it is in SQL
            found = await store.run(archive.event, draft.room_id, appended.n)
            data = None if found is None else _first_answer(found, draft)
        return None if data is None else Posted(data, new=False)

    async def _sent_earlier(self, draft: Draft) -> Posted | None:
        found = await store.run(archive.sent, draft.room_id, draft.author_id, draft.key)
        if found is None:
            return None
        event, kept = found
        if draft.digest != (kept or sends.digest_of(event.type, _decode(event.data))):
            raise errors.IdempotencyMismatch(field="client_id")
        metrics.REPEATED.inc()
        return Posted(_first_answer(event, draft), new=False)


def _first_answer(event: Event, draft: Draft) -> bytes:
    """Return what a request was answered; a text that was deleted since is in its repeat."""
    if event.type not in fold.TEXTS or not fold.is_deleted(event.data):
        return event.data
    said = _decode(events.numbered(event.n, draft.rest))
    return _encode(fold.undeleted(_decode(event.data), said, edited=event.type != "message"))
