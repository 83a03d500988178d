"""The use cases of awareness: who is typing, who is online, and how far a user has read.

As in `chat`, a room is had only through the member who asks.
"""

from collections import Counter
from time import monotonic

from quartchat import errors
from quartchat.cache import Cache
from quartchat.chat import Chat
from quartchat.config import Config
from quartchat.events import RoomId, User, UserId
from quartchat.presence import Presence
from quartchat.signals import Typing
from quartchat.stream import Streams

TYPING_EVERY_S = 1.0  # of one user in one room, what comes sooner is not passed on
TYPING_PER_S = 10  # requests of one user to one process; a person needs one in three seconds
TYPING_CACHED = 10_000  # users and rooms


class Awareness:
    """What people know of each other beside what they write, for one process."""

    def __init__(self, config: Config, streams: Streams, chat: Chat, presence: Presence) -> None:
        self._live = streams.live
        self._chat = chat
        self._presence = presence
        self._limited = config.rate_limits
        self._asked: Counter[UserId] = Counter()  # in this second
        self._second = 0
        # Redis has the last word, over all processes; this spares it most of the questions.
        self._typed: Cache[tuple[UserId, RoomId], bool] = Cache(
            size=TYPING_CACHED, ttl_s=TYPING_EVERY_S, trusted=lambda: True
        )

    async def typing(self, user: User, room_id: RoomId) -> None:
        """Tell the room that the user is typing. Raises NotAMember, NotFound, RateLimited."""
        self._limit(user)
        await self._chat.seat(user, room_id)
        if self._typed.peek((user.id, room_id)) is None:
            self._typed.put((user.id, room_id), True)
            await self._live.typing(Typing(room_id, user.id))

    async def online(self, user: User, room_id: RoomId) -> list[UserId]:
        """Return who of a room is online, ascending. Raises NotAMember, NotFound."""
        await self._chat.seat(user, room_id)
        return await self._presence.online(room_id)

    async def read(self, user: User, room_id: RoomId, n: int) -> None:
        """Note that the user has read the room up to event `n`, and tell the user's streams."""
        marker = await self._chat.read(user, room_id, n)
        if marker is not None:
            await self._live.read(marker)

    def _limit(self, user: User) -> None:
        second = int(monotonic())
        if second != self._second:
            self._second = second
            self._asked.clear()
        self._asked[user.id] += 1
        if self._limited and self._asked[user.id] > TYPING_PER_S:
            raise errors.RateLimited(retry_after_s=1)
