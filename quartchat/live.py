"""The Redis side of what has no history: signals, and who is online.

Nothing here is archived, and all of it may be lost: processes put back what they know.

    live:{p}              stream   signals of the partition, the last thousand or so
    typing:{p}:<room>:<user>  string, 1 s   that this was passed on
    online:{0}            hash     user -> how many processes have a stream of theirs
    online:{0}:<process>  set      the users of one process
    alive:{0}             zset     process -> until when its last word is good, ms
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from quartchat import events, signals
from quartchat.events import FeedId, RoomId, UserId
from quartchat.signals import Change, Marker, Signal, Typing

KEPT = 1000  # entries of a live stream, about
TYPING_MS = 1000  # between two of one user in one room

_lua = Path(__file__).with_name("lua")
_ONLINE, _ALIVE, _LIVE_0 = "online:{0}", "alive:{0}", "live:{0}"


def key(partition: int) -> str:
    """Return the name of a partition's live stream."""
    return f"live:{{{partition}}}"


def read(entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> tuple[FeedId, list[Signal]]:
    """Read entries of a live stream; return the last one's place too.

    Who typed longer ago than that counts is left out, as where this process was cut off.
    """
    found, last, newest = [], FeedId(0), 0
    decoded = [(events.pack(place), signals.decode(f[b"t"], f[b"d"])) for place, f in entries]
    if decoded:
        last = decoded[-1][0]
        newest = _ms(last)
    for place, signal in decoded:
        stale = isinstance(signal, Typing) and newest - _ms(place) > signals.TYPING_S * 1000
        if signal is not None and not stale:
            found.append(signal)
    return last, found


class Live:
    """One process's access to signals and presence."""

    def __init__(self, client: Any, partition: Callable[[RoomId], int]) -> None:
        self._redis = client
        self._partition = partition
        self._typing = client.register_script((_lua / "typing.lua").read_text())
        self._presence = client.register_script((_lua / "presence.lua").read_text())
        epoch = (_lua / "epoch.lua").read_text()
        self._beat = client.register_script(epoch + (_lua / "beat.lua").read_text())

    # -- signals

    async def typing(self, typing: Typing) -> None:
        """Tell that somebody types, at most once a second and room."""
        p = self._partition(typing.room_id)
        mark = f"typing:{{{p}}}:{typing.room_id}:{typing.user_id}"
        await self._typing(keys=[key(p), mark], args=[signals.encode(typing), TYPING_MS, KEPT])

    async def read(self, marker: Marker) -> None:
        """Tell a user's streams of a read marker."""
        await self._put(self._partition(marker.room_id), marker)

    async def changes(self, changes: Iterable[Change]) -> None:
        """Tell who is online, as where somebody joined a room."""
        await self._put(0, tuple(changes))

    async def _put(self, partition: int, signal: Signal) -> None:
        fields: Any = {"t": signals.kind(signal), "d": signals.encode(signal)}
        await self._redis.xadd(key(partition), fields, maxlen=KEPT, approximate=True)

    async def ends(self, partition: int) -> tuple[FeedId, FeedId]:
        """Return the places of the first and the last entry of a live stream; 0 if it is empty."""
        first = await self._redis.xrange(key(partition), count=1)
        last = await self._redis.xrevrange(key(partition), count=1)
        if not first or not last:
            return FeedId(0), FeedId(0)
        return events.pack(first[0][0]), events.pack(last[0][0])

    # -- who is online

    async def beat(
        self, process: str, good_s: float, bury_s: float
    ) -> tuple[bytes, int, list[str]]:
        """Say that a process lives for another `good_s`.

        Returns the master's reign, how many users the process has in Redis, and processes
        that are dead: their users are this caller's to remove, within `bury_s`.
        """
        reign, count, dead = await self._beat(
            keys=[_ALIVE, _users(process)],
            args=[process, int(good_s * 1000), int(bury_s * 1000)],
        )
        return reign, count, [name.decode() for name in dead]

    async def change(self, process: str, changes: Sequence[Change]) -> None:
        """Note whom a process has and has no more; who came or went altogether is told."""
        await self._presence(
            keys=[_ONLINE, _users(process), _LIVE_0],
            args=[
                KEPT,
                *(
                    part
                    for change in changes
                    for part in (
                        int(change.online),
                        change.user_id,
                        msgspec.json.encode(change.rooms),
                    )
                ),
            ],
        )

    async def users(self, process: str) -> set[UserId]:
        """Return the users that Redis has for a process."""
        return {UserId(int(user)) for user in await self._redis.smembers(_users(process))}

    async def bury(self, process: str) -> None:
        """Forget a process that has no users any more."""
        if not await self._redis.scard(_users(process)):
            await self._redis.zrem(_ALIVE, process)

    async def online(self, users: Collection[UserId]) -> list[UserId]:
        """Return which of some users are online."""
        if not users:
            return []
        found = await self._redis.hmget(_ONLINE, list(users))
        return [user for user, count in zip(users, found, strict=True) if count is not None]


def _users(process: str) -> str:
    return f"{_ONLINE}:{process}"


def _ms(place: FeedId) -> int:
    return int(events.unpack(place).partition("-")[0])
