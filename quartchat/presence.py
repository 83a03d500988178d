"""Who is online: this process's users, told to Redis in batches; and who of a room is there.

A user is online while any process has a stream of theirs, and for `GRACE_S` after the last.
A process that dies is found out by the others, who remove its users. Redis may lose all of
it: each process compares what it has told with what is there, and tells it anew.
"""

import asyncio
import secrets
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import partial
from time import monotonic

import structlog

from quartchat import redis_client, store, tasks
from quartchat.cache import Cache
from quartchat.events import RoomId, UserId
from quartchat.feed import Feed
from quartchat.signals import Change, Signal
from quartchat.store import rooms
from quartchat.stream import Streams

GRACE_S = 10.0  # a reload, a lost network, a deploy: nobody need hear of it
PACE_S = 1.0  # between two looks,
NEXT_S = 0.2  # and between two batches, where one is not enough
BATCH = 1000  # users of one batch
STORM = 200  # people who come between two looks: their streams go first, and
STORM_S = 10.0  # for so long at most nobody hears that they are there
BEAT_S = 5.0  # how often a process says that it lives; one command, however many users
GOOD_S = 30.0  # how long that counts
BURY_S = 15.0  # what one process gets to remove a dead one's users
STOP_S = 1.0  # what Redis gets to hear that this process ends
CACHE_S = 1.0  # a room's answer is good for so long, or until a change in it is heard of
CACHED = 10_000  # rooms
MEMBERS = 1000  # read from SQL at once
USERS = 200  # whose rooms are read from SQL at once

log = structlog.get_logger()


class Presence:
    """The presence of one process's users, and everybody's as seen from here."""

    def __init__(self, streams: Streams, feed: Feed) -> None:
        self._live = streams.live
        self._process = secrets.token_hex(8)
        self._here: set[UserId] = set()  # who has a stream of this process
        self._told: set[UserId] = set()  # whom Redis has for this process
        self._coming: dict[UserId, None] = {}  # here, and not told
        self._going: dict[UserId, float] = {}  # told, and here no more: when that counts
        self._joining: set[tuple[UserId, RoomId]] = set()
        self._reign = b""
        self._beat_at = 0.0
        self._news = asyncio.Event()
        self._arrived = 0  # since the last look
        self._answers: Cache[RoomId, list[UserId]] = Cache(
            size=CACHED, ttl_s=CACHE_S, trusted=lambda: feed.fresh
        )
        self._asking: dict[RoomId, asyncio.Task[list[UserId] | None]] = {}
        feed.listen_to_signals(self._hear, self._answers.clear)

    # -- what the hub says

    def came(self, user_id: UserId) -> None:
        """Note a user's first stream."""
        self._here.add(user_id)
        self._going.pop(user_id, None)
        if user_id not in self._told:
            self._coming[user_id] = None
            self._arrived += 1
            self._news.set()

    def went(self, user_id: UserId) -> None:
        """Note the end of a user's last stream."""
        self._here.discard(user_id)
        self._coming.pop(user_id, None)
        if user_id in self._told:
            self._going[user_id] = monotonic() + GRACE_S

    def joined(self, user_id: UserId, room_id: RoomId) -> None:
        """Note that a user who is here joined a room, where nobody knows that yet."""
        if len(self._joining) < BATCH:
            self._joining.add((user_id, room_id))
            self._news.set()

    # -- telling Redis

    async def run(self) -> None:
        """Keep Redis up to date, for ever."""
        tries = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PACE_S):
                    await self._news.wait()
            self._news.clear()
            try:
                if monotonic() >= self._beat_at:
                    await self._beat()
                await self._calm()
                await self._tell()
                tries = 0
            except (*redis_client.AWAY, *store.AWAY) as error:
                tries += 1
                log.warning("presence_unavailable", error=str(error), tries=tries)
                await tasks.back_off(tries)
            except Exception:
                tries += 1
                log.exception("presence_failed", tries=tries)
                await tasks.back_off(tries)
            await asyncio.sleep(NEXT_S if len(self._coming) >= BATCH else PACE_S)

    async def stop(self) -> None:
        """Let the others take over: who does not come back to one of them goes after `GRACE_S`."""
        with suppress(TimeoutError, *redis_client.AWAY):
            async with asyncio.timeout(STOP_S):
                await self._live.beat(self._process, GRACE_S, BURY_S)

    async def _beat(self) -> None:
        reign, count, dead = await self._live.beat(self._process, GOOD_S, BURY_S)
        self._beat_at = monotonic() + BEAT_S
        if count != len(self._told) or reign != self._reign:
            await self._compare()
            self._reign = reign
        for process in dead:
            if process != self._process:
                await self._bury(process)

    async def _compare(self) -> None:
        """Find out what Redis has: it was emptied, or another master took over."""
        self._told = await self._live.users(self._process)
        self._coming = dict.fromkeys(self._here - self._told)
        for user_id in self._told - self._here:
            self._going.setdefault(user_id, monotonic())

    async def _calm(self) -> None:
        """Wait while people come by the hundred: catching up goes before who is there."""
        until = monotonic() + STORM_S
        while self._arrived > STORM and monotonic() < until:
            self._arrived = 0
            await asyncio.sleep(PACE_S)
        self._arrived = 0

    async def _tell(self) -> None:
        now = monotonic()
        went = [user for user, at in self._going.items() if at <= now][:BATCH]
        came = list(self._coming)[: BATCH - len(went)]
        if came or went:
            await self._live.change(self._process, await _changes(came, went))
        for user_id in came:
            self._coming.pop(user_id, None)
            self._told.add(user_id)
            if user_id not in self._here:
                self._going.setdefault(user_id, monotonic() + GRACE_S)
        for user_id in went:
            self._told.discard(user_id)
            if user_id in self._here:  # came back while Redis was told
                self._coming[user_id] = None
            else:
                self._going.pop(user_id, None)
        joining = list(self._joining)
        if joining:
            await self._live.changes(Change(user, True, (room,)) for user, room in joining)
            self._joining.difference_update(joining)

    async def _bury(self, process: str) -> None:
        """Remove a dead process's users, in its name: some of them are elsewhere by now."""
        left = list(await self._live.users(process))
        log.info("presence_of_dead_process", users=len(left))
        for start in range(0, len(left), BATCH):
            await self._live.change(process, await _changes((), left[start : start + BATCH]))
        await self._live.bury(process)

    # -- asking

    async def online(self, room_id: RoomId) -> list[UserId]:
        """Return a room's members who are online.

        Whoever was listening before asks misses nothing: what changes after this answer is
        told, and a change that was told is in it.
        """
        task = self._asking.get(room_id)
        if task is None:  # one asks for all who come at once
            task = asyncio.create_task(self._answers.get(room_id, partial(self._ask, room_id)))
            self._asking[room_id] = task
            task.add_done_callback(partial(self._asked, room_id))
        return await asyncio.shield(task) or []

    def _asked(self, room_id: RoomId, task: "asyncio.Task[list[UserId] | None]") -> None:
        if self._asking.get(room_id) is task:
            del self._asking[room_id]

    async def _ask(self, room_id: RoomId) -> list[UserId]:
        found: list[UserId] = []
        after = UserId(0)
        while True:
            page = await store.run(rooms.member_ids, room_id, after, MEMBERS)
            found += await self._live.online(page)
            if len(page) < MEMBERS:
                return found
            after = page[-1]

    def _hear(self, signals: list[Signal]) -> None:
        for signal in signals:
            for change in signal if isinstance(signal, tuple) else ():
                for room_id in change.rooms:
                    self._answers.discard(room_id)
                    self._asking.pop(room_id, None)  # its answer may be from before


async def _changes(came: Collection[UserId], went: Iterable[UserId]) -> list[Change]:
    """Return the changes with the rooms of each user."""
    users = [*((user, True) for user in came), *((user, False) for user in went)]
    found: list[Change] = []
    for start in range(0, len(users), USERS):
        some = users[start : start + USERS]
        joined = await store.run(rooms.rooms_of, [user for user, _ in some])
        found += [Change(user, online, tuple(joined[user])) for user, online in some]
    return found
