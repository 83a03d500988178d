"""One reader of the feed per process: tells listeners of every entry, in order.

It also knows whether news arrive: a cache is trusted only while they do.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

import structlog

from quartchat import events, redis_client, stream, tasks
from quartchat.events import Control, Event, FeedId, Position
from quartchat.stream import Streams

FRESH_S = 2 * stream.BLOCK_S  # without a reply for so long, caches are not trusted
PACE_S = 0.01  # between reads that bring entries, where they come that fast
REACH_S = 5.0  # how long a cursor of another process may be ahead of this one

log = structlog.get_logger()

Listener = Callable[[list[tuple[int, Event | Control]]], None]


class Feed:
    """The tail of all partitions, from a known position on."""

    def __init__(self, streams: Streams) -> None:
        self.position: Position = ()
        self._streams = streams
        self._listeners: list[Listener] = []
        self._on_gap: list[Callable[[Position], None]] = []
        self._heard = 0.0
        self._brought = 0.0  # when entries were last read
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

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

    def start(self) -> None:
        """Begin at the feed's present end, once Redis answers."""
        self._task = asyncio.create_task(self._run(), name="feed")

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            await tasks.end(self._task)

    async def reached(self, position: Position) -> None:
        """Wait until all up to `position` was told to the listeners. Raises TimeoutError."""
        async with asyncio.timeout(REACH_S):
            while not events.reached(position, self.position):
                await self._moved.wait()

    async def _run(self) -> None:
        tries = 0
        while True:
            try:
                if not self.fresh:
                    await self._check_gap()
                await self._read()
                tries = 0
            except redis_client.AWAY as error:
                tries += 1
                log.warning("feed_unavailable", error=str(error), tries=tries)
                await tasks.back_off(tries)
            except Exception:
                tries += 1
                log.exception("feed_failed", tries=tries)
                await tasks.back_off(tries)

    async def _read(self) -> None:
        entries = await self._streams.tail(self.position)
        self._heard = monotonic()
        if not entries:
            return
        for listener in self._listeners:
            listener(entries)
        self.position = advance(self.position, entries)
        self._moved.set()
        self._moved = asyncio.Event()
        # Under load one read brings many entries; a lone one is not waited with.
        if self._heard - self._brought < PACE_S:
            await asyncio.sleep(PACE_S)
        self._brought = self._heard

    async def _check_gap(self) -> None:
        """Find out, after a silence, whether entries were trimmed that were not read."""
        now = await self._streams.position()
        trimmed = [await self._streams.trimmed(p) for p in range(len(now))]
        self._heard = monotonic()
        # A feed that is behind us was emptied, or lost a tail: begin again where it begins.
        position = tuple(
            FeedId(max(lost, 0 if last < mine else mine))
            for mine, last, lost in zip(self.position or now, now, trimmed, strict=True)
        )
        if position != self.position:
            if self.position:
                log.warning("feed_gap", was=self.position, now=position)
            self.position = position
            for on_gap in self._on_gap:
                on_gap(position)


def advance(position: Position, entries: list[tuple[int, Event | Control]]) -> Position:
    """Return the position once `entries` are delivered."""
    reached = list(position)
    for partition, entry in entries:
        reached[partition] = entry.feed
    return tuple(reached)
