"""One timer for all streams: when each is due for a heartbeat or its end."""

import random
from collections import defaultdict
from time import monotonic

from quartchat.readers import Reader

JITTER = (0.8, 1.2)  # of the heartbeat, so that writes spread
LIFETIME = (0.8, 1.0)  # a stream lives for a random share of its lifetime, so that reconnects do


class Beats:
    """A timer wheel: each reader is in the slot of the tick at which it is due."""

    def __init__(self, heartbeat_s: float, lifetime_s: float) -> None:
        self.tick_s = min(1.0, heartbeat_s / 20)
        self._heartbeat_s = heartbeat_s
        self._lifetime_s = lifetime_s
        self._tick = 0
        self._slots: defaultdict[int, set[Reader]] = defaultdict(set)

    def begin(self, reader: Reader) -> None:
        """Start a reader's life."""
        if self._lifetime_s:
            reader.ends = monotonic() + self._lifetime_s * random.uniform(*LIFETIME)  # noqa: S311
        self.schedule(reader)

    def schedule(self, reader: Reader) -> None:
        """Put a reader into the slot of its next heartbeat, or of its end."""
        wait_s = self._heartbeat_s * random.uniform(*JITTER)  # noqa: S311
        wait_s = max(0.0, min(wait_s, reader.ends - monotonic()))
        reader.slot = self._tick + 1 + int(wait_s / self.tick_s)
        self._slots[reader.slot].add(reader)

    def discard(self, reader: Reader) -> None:
        """Forget a reader."""
        slot = self._slots.get(reader.slot, set())
        slot.discard(reader)

    def due(self) -> set[Reader]:
        """Go on by one tick; return the readers whose time has come."""
        self._tick += 1
        return self._slots.pop(self._tick, set())
