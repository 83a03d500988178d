"""What everybody in a run shares: the notes, the clock, and the gate that holds the writers."""

import asyncio
import time
from dataclasses import dataclass, field

from faults.record import Record


class Gate:
    """Lets the nemesis stop all writers for a moment, and wait until none is at it."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy = 0

    async def __aenter__(self) -> None:
        await self._open.wait()
        self._busy += 1
        self._idle.clear()

    async def __aexit__(self, *_: object) -> None:
        self._busy -= 1
        if not self._busy:
            self._idle.set()

    @property
    def closing(self) -> bool:
        """Whether nobody may begin, and who can leave should."""
        return not self._open.is_set()

    async def close(self, within_s: float) -> None:
        """Let nobody begin, and wait until nobody is at it. Raises TimeoutError."""
        self._open.clear()
        async with asyncio.timeout(within_s):
            await self._idle.wait()

    def open(self) -> None:
        self._open.set()


class Clock:
    """Seconds since the run began."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self) -> float:
        return round(time.monotonic() - self._start, 4)


@dataclass(frozen=True)
class Stage:
    """One run's people, places and notes."""

    notes: Record
    cookies: dict[str, str]  # of the accounts, by name
    rooms: list[int]
    clock: Clock = field(default_factory=Clock)
    gate: Gate = field(default_factory=Gate)
