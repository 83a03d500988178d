"""One reader of the feed per process: tells listeners of every entry, in order.

It also knows whether news arrive: a cache is trusted only while they do.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

import structlog

from quartchat import events, group, metrics, redis_client, tasks
from quartchat.events import Control, Event, FeedId, Position
from quartchat.group import Lane
from quartchat.replicas import UnconfirmedError
from quartchat.signals import Signal
from quartchat.stream import Streams

FRESH_S = 2 * group.BLOCK_S  # without a reply for so long, caches are not trusted
PACE_S = 0.02  # between reads that bring entries, where they come that fast
WITHHELD_S = 0.2  # before what no replica has is read again
REACH_S = 5.0  # how long a cursor of another process may be ahead of this one

log = structlog.get_logger()

Listener = Callable[[list[tuple[int, Event | Control]]], None]


class Feed:
    """The tail of all partitions, from a known position on.

    Each lane of partitions has a task of its own: of a cluster one node may be away while
    the others bring news.
    """

    def __init__(self, streams: Streams) -> None:
        self.position: Position = ()
        self._streams = streams
        self._listeners: list[Listener] = []
        self._on_gap: list[Callable[[Position], None]] = []
        self._signalled: list[Callable[[list[Signal]], None]] = []
        self._on_missed: list[Callable[[], None]] = []
        self._signals: dict[int, FeedId] = {}  # per partition, up to where they were heard
        self._lanes = dict.fromkeys(streams.lanes, 0.0)  # when each was last heard
        self._heard = 0.0  # and the one that is silent for longest
        self._doubted: set[Lane] = set()  # where Redis may have less than was heard
        self._moved = asyncio.Event()
        self._beginning = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def fresh(self) -> bool:
        """Whether everything that happened until a moment ago was heard."""
        return monotonic() - self._heard < FRESH_S

    def listen(self, listener: Listener, on_gap: Callable[[Position], None]) -> None:
        """Call `listener` with every batch.

        `on_gap` gets the place where reading begins, and begins again after some may have
        been missed.
        """
        self._listeners.append(listener)
        self._on_gap.append(on_gap)

    def listen_to_signals(
        self, listener: Callable[[list[Signal]], None], on_missed: Callable[[], None]
    ) -> None:
        """Call `listener` with signals, and `on_missed` after some may have been missed."""
        self._signalled.append(listener)
        self._on_missed.append(on_missed)

    def start(self) -> None:
        """Begin at the feed's present end, once Redis answers."""
        self._tasks = [
            asyncio.create_task(self._run(lane), name="feed") for lane in self._streams.lanes
        ]

    async def stop(self) -> None:
        """Stop listening."""
        await tasks.end(*self._tasks)

    async def reached(self, position: Position) -> None:
        """Wait until all up to `position` was told to the listeners. Raises TimeoutError."""
        async with asyncio.timeout(REACH_S):
            while not events.reached(position, self.position):
                await self._moved.wait()

    def doubt(self, heard: Position, now: Position) -> None:
        """Have it looked at where feeds end `now`, below what was `heard` before that was asked.

        An emptied Redis would else be noticed by the next entry, which may be long in coming.
        """
        if heard:
            self._doubted |= {each for each in self._lanes if any(now[p] < heard[p] for p in each)}

    async def _run(self, lane: Lane) -> None:
        tries = 0
        brought = 0.0  # when entries were last read
        while True:
            try:
                if self._is_unsure(lane):
                    await self._check_gap(lane)
                news = await self._read(lane)
                tries = 0
            except redis_client.AWAY as error:
                tries += 1
                self._lanes[lane] = self._heard = 0.0  # what answers next may be another Redis
                log.warning("feed_unavailable", error=str(error), tries=tries)
                await tasks.back_off(tries)
            except Exception:
                tries += 1
                log.exception("feed_failed", tries=tries)
                await tasks.back_off(tries)
            else:
                # Under load one read brings many entries; a lone one is not waited with.
                if news and self._lanes[lane] - brought < 2 * PACE_S:
                    await asyncio.sleep(PACE_S)
                brought = self._lanes[lane] if news else brought

    async def _read(self, lane: Lane) -> bool:
        entries, signals = await self._streams.tail(self.position, self._signals, lane)
        for signalled in self._signalled if signals else ():
            signalled(signals)
        kept = await self._kept(entries)
        # This process itself may have slept: then what came may lie behind a cut. And what was
        # there and is not may be cut, too.
        unsure = self._is_unsure(lane) or len(kept) < len(entries)
        if unsure and await self._check_gap(lane):
            return False
        self._hear(lane)
        if not kept:
            return bool(signals)
        for listener in self._listeners:
            listener(kept)
        self.position = advance(self.position, kept)
        self._moved.set()
        self._moved = asyncio.Event()
        return True

    async def _kept(
        self, entries: list[tuple[int, Event | Control]]
    ) -> list[tuple[int, Event | Control]]:
        """Leave out what a failover could take back: it is read again, or will not be there."""
        try:
            kept = await self._streams.group.kept({p: entry.feed for p, entry in entries})
        except UnconfirmedError as error:
            log.warning("feed_withheld", error=str(error))
            await asyncio.sleep(WITHHELD_S)
            return []
        return [item for item in entries if item[0] in kept]

    def _is_unsure(self, lane: Lane) -> bool:
        return lane in self._doubted or monotonic() - self._lanes[lane] >= FRESH_S

    def _hear(self, lane: Lane) -> None:
        self._doubted.discard(lane)
        self._lanes[lane] = monotonic()
        self._heard = min(self._lanes.values())

    async def _check_gap(self, lane: Lane) -> bool:
        """Find out, after a silence, whether entries were trimmed or lost that were not read.

        Then the listeners hear of it, and reading begins anew.
        """
        async with self._beginning:  # of all lanes, one finds out where to begin
            if not self.position:
                self._begin(await self._present_end())
        await self._find_signals(lane)
        found = dict(enumerate(self.position))
        gap = False
        for partition, last in zip(lane, await self._streams.position(lane), strict=True):
            if last < found[partition]:
                # Emptied, or a replica took over that had less: it goes on above what we
                # and our readers have seen, and says so to all.
                log.error("feed_lost_tail", partition=partition, was=found[partition], now=last)
                metrics.LOST.inc()
                await self._streams.outbid(partition, found[partition])
                gap = True
            trimmed = await self._streams.trimmed(partition)
            if trimmed > found[partition]:
                log.warning("feed_gap", partition=partition, was=found[partition], now=trimmed)
                found[partition] = trimmed
                gap = True
        self._hear(lane)
        if gap:
            lanes = enumerate(self.position)  # other lanes went on meanwhile
            self._begin(tuple(found[p] if p in lane else now for p, now in lanes))
        return gap

    async def _present_end(self) -> Position:
        """Return where the feeds end; of one without a replica, a place that is certain.

        One that Redis knows nothing of gets an entry first: to begin at 0 would be to say that
        there was nothing before, while SQL may hold all that a Redis had that was emptied since.
        """
        for partition, last in enumerate(await self._streams.position()):
            if not last:
                await self._streams.control(Control("begin", events.NOBODY), partition)
        try:
            return await self._streams.position(kept=True)
        except UnconfirmedError:  # what SQL holds is not taken back, nor what SQL alone holds
            stored, trimmed = self._streams.group.stored, self._streams.trimmed
            every = self._streams.everything
            return tuple([max(await stored(p), await trimmed(p)) for p in every])

    async def _find_signals(self, lane: Lane) -> None:
        """Begin at the present end of the signals, or go on if none were lost meanwhile."""
        missed = False
        for partition in lane:
            first, last = await self._streams.live.ends(partition)
            heard = self._signals.setdefault(partition, last)
            if last < heard or heard < first:  # an emptied Redis; or cut, perhaps past us
                self._signals[partition] = last
                missed = True
        for on_missed in self._on_missed if missed else ():
            on_missed()

    def _begin(self, position: Position) -> None:
        self.position = position
        for on_gap in self._on_gap:
            on_gap(position)


def advance(position: Position, entries: list[tuple[int, Event | Control]]) -> Position:
    """Return the position once `entries` are delivered."""
    reached = list(position)
    for partition, entry in entries:
        reached[partition] = entry.feed
    return tuple(reached)
