"""The worker: from the feed into SQL, then out of Redis.

At least once by its consumer group, exactly once by SQL's keys: an entry is acknowledged
only after its commit, and a repeated one changes nothing. Only what is committed is trimmed.
"""

import asyncio
import secrets
from collections import OrderedDict
from time import monotonic

import structlog

from quartchat import (
    acks,
    clearing,
    engines,
    history,
    indexing,
    metrics,
    redis_client,
    store,
    tasks,
)
from quartchat.config import Config
from quartchat.events import NOBODY, Control, Event, FeedId, RoomId
from quartchat.group import GroupLostError, Lane, Taken
from quartchat.store import events as archive
from quartchat.stream import Streams

BATCH = 500  # entries of one commit
PACE_S = 0.5  # between batches, where events come one after the other
CLAIM_EVERY_S = 5.0  # how often a worker looks for what a dead one left
UNTRIMMED = 10_000  # rooms that wait to be trimmed; past it, one waits for its next event
RECENT_ROOMS = 1000  # whose end is compared with SQL when Redis comes back
CLAIM_IDLE_S = 15.0  # how long a worker may take for a batch before others take it over

log = structlog.get_logger()


async def run(config: Config, stop: asyncio.Event) -> None:
    """Archive until `stop` is set; what was taken and not committed is left to others."""
    await engines.check(config.redis_url)
    tasks.heed()
    store.open_database(config.database_url, pool=1)
    replicated = config.ack == "replicated"
    streams = Streams(config.redis_url, config.partitions, replicated=replicated)
    # Of a cluster each partition has a worker: a node that is away must not hold up the rest.
    workers = [_Worker(config, streams, lane) for lane in streams.lanes]
    work = [asyncio.create_task(worker.run(), name="archive") for worker in workers]
    work.append(asyncio.create_task(clearing.run(streams), name="clearing"))
    work.append(asyncio.create_task(indexing.run(), name="indexing"))
    try:
        await stop.wait()
    finally:
        await tasks.end(*work)
        await streams.close()
        await store.close_database()


class _Worker:
    def __init__(self, config: Config, streams: Streams, lane: Lane) -> None:
        self._window = config.room_window
        self._streams = streams
        self._group = streams.group
        self._lane = lane
        self._name = secrets.token_hex(8)
        self._claimed = float("-inf")
        self._stored = float("-inf")  # when it last committed events
        self._joined = False
        # What was taken and is not committed yet; tried again where SQL was away.
        self._held: Taken = []
        self._kept = True  # whether no failover can take that back any more
        # Rooms' newest committed (feed id, number) that may lie above another worker's
        # uncommitted entries; trimmed once everything below is committed.
        self._committed: dict[int, dict[RoomId, tuple[FeedId, int]]] = {}
        # Rooms with events of late: a master that comes back with less is given those back.
        self._recent: OrderedDict[RoomId, None] = OrderedDict()
        self._unsure = False  # whether another master may have come

    async def run(self) -> None:
        tries = 0
        while True:
            try:
                await self._step()
                tries = 0
            except (*redis_client.AWAY, *store.AWAY) as error:
                tries += 1
                self._unsure = True
                log.warning("archive_unavailable", error=str(error), tries=tries)
                await tasks.back_off(tries)
            except GroupLostError as error:
                tries += 1
                self._joined = False
                log.error("archive_group_lost", error=str(error), tries=tries)  # noqa: TRY400
                await tasks.back_off(tries)
            except Exception:
                tries += 1
                log.exception("archive_failed", tries=tries)
                await tasks.back_off(tries)

    async def _step(self) -> None:
        if not self._joined:
            for partition in self._lane:
                await self._group.join(partition)
            self._joined = True
        if self._unsure:
            await history.heads(self._streams, list(self._recent), NOBODY)
            self._unsure = False
        if not self._held:
            await self._take()
        if not self._kept:
            ends = {p: entries[-1].feed for p, entries in self._held if entries}
            kept = await self._group.kept(ends)
            self._held = [(p, entries) for p, entries in self._held if p in kept or not entries]
            self._kept = True
        news = max((len(entries) for _, entries in self._held), default=0)
        while self._held:
            await self._store(*self._held[0])
            del self._held[0]
        # A commit costs as much for a hundred events as for one. A lone one is at once, and
        # where there is more than a batch, the next one is.
        if 0 < news < BATCH:
            earlier, self._stored = self._stored, monotonic()
            if self._stored - earlier < 2 * PACE_S:
                await asyncio.sleep(PACE_S)

    async def _take(self) -> None:
        self._kept = False
        if monotonic() - self._claimed >= CLAIM_EVERY_S:
            await self._take_over()
        if not self._held:
            self._held = await self._group.take(self._name, BATCH, self._lane)

    async def _take_over(self) -> None:
        """Take what other workers have left undone, or will have if they are dead."""
        for partition in self._lane:
            # One that died after its XACK has left texts that nobody else would trim.
            for room_id, place in (await self._group.deletions(partition)).items():
                self._wait(partition, room_id, place)
            claimed = await self._group.claim(partition, self._name, CLAIM_IDLE_S, BATCH)
            self._held.append((partition, claimed))
        self._claimed = monotonic()

    async def _store(self, partition: int, entries: list[Event | Control]) -> None:
        """Commit a batch, acknowledge it, trim what no one will miss."""
        waiting = self._committed.setdefault(partition, {})
        if not entries and not waiting:
            return
        events = [entry for entry in entries if isinstance(entry, Event)]
        if events:
            for clash in await store.run(archive.add_events, [acks.row(e) for e in events]):
                metrics.CLASHES.labels(clash.what).inc()
                log.error("archive_clash", room=clash.room_id, n=clash.n, what=clash.what)
            metrics.ARCHIVED.inc(len(events))
        for event in events:
            self._recent[event.room_id] = None
            self._recent.move_to_end(event.room_id)
            self._wait(partition, event.room_id, (event.feed, event.n))
        while len(self._recent) > RECENT_ROOMS:
            self._recent.popitem(last=False)
        first_open = await self._group.archived(partition, entries)
        done = {room_id: n for room_id, (feed, n) in waiting.items() if feed < first_open}
        await asyncio.gather(
            *(self._streams.trim(room_id, n, self._window) for room_id, n in done.items())
        )
        for room_id in done:
            del waiting[room_id]

    def _wait(self, partition: int, room_id: RoomId, place: tuple[FeedId, int]) -> None:
        """Have a room trimmed once everything up to a place of the feed is committed."""
        waiting = self._committed.setdefault(partition, {})
        waiting[room_id] = max(waiting.get(room_id, place), place)
        if len(waiting) > UNTRIMMED:
            del waiting[next(iter(waiting))]
