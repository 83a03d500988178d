"""Clients that come, read and go, 200 a second: what a web process holds must not grow.

`scripts/test --churn [--minutes M]` runs it for as long as asked; `test_churn` for half a
minute. What is measured is the web process alone.
"""

import argparse
import asyncio
import itertools
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import harness
import sockets

RATE = 200  # connects/s
STAY_S = (0.0, 0.5)  # how long a reader stays once its stream has begun
MESSAGES_S = 1.0  # between two messages, so that there is something to read
ROOMS, PEOPLE = 5, 10
HISTORY = 100  # messages in each room before it begins
AT_ONCE = 100  # visits before it begins, so that the pools of connections are full
SETTLE_S = 2.0
LATE = 500  # visits at a time; with more the machine is too slow for the rate
MINUTE_S = 60.0


@dataclass
class Sample:
    """What the web process held at one moment."""

    at_s: float
    rss_mb: float
    files: int  # descriptors


@dataclass
class Notes:
    """What came of it."""

    before: Sample
    visits: Counter[str] = field(default_factory=Counter)  # by kind
    failed: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)


class Churn:
    """One web process, and those who come and go."""

    def __init__(self, server: harness.Server) -> None:
        self._server = server
        self._people = [server.user("ann") for _ in range(PEOPLE)]
        self._rooms: list[int] = [self._people[0].room()["id"] for _ in range(ROOMS)]
        for person, room in itertools.product(self._people[1:], self._rooms):
            person.join({"id": room})
        for number, room in itertools.product(range(HISTORY), self._rooms):
            self._people[number % PEOPLE].say({"id": room}, f"message {number}")
        self._chance = random.Random(1)
        self._kinds: dict[str, Callable[[], bytes]] = {
            "room stream": lambda: self._stream(f"rooms/{self._room()}/events"),
            "all rooms": lambda: self._stream("events"),
            "all rooms, from the first": lambda: self._stream("events", "Last-Event-ID: 0\r\n"),
            "page": lambda: self._get(f"/api/chat/rooms/{self._room()}/messages?limit=20"),
            "half a request": lambda: self._get("/api/me")[:-9],
            "nothing": lambda: b"",
        }

    def sample(self, at_s: float = 0.0) -> Sample:
        """Measure the web process."""
        return sample(self._server.web.pid, at_s)

    async def run(self, seconds: float, every_s: float, tell: Callable[[Sample], object]) -> Notes:
        """Let them come for so long, and measure every so often, and once all have gone."""
        notes = Notes(await self._begin())
        visits: set[asyncio.Task[None]] = set()
        began, count = monotonic(), 0
        talking = asyncio.create_task(self._talk())
        while (now := monotonic() - began) < seconds:
            if now >= every_s * (len(notes.samples) + 1):
                notes.samples.append(self.sample(now))
                tell(notes.samples[-1])
            count += self._let_come(int(now * RATE) - count, visits, notes)
            assert len(visits) < LATE, "visits take too long"
            await asyncio.sleep(1 / RATE)
        self._let_come(int(seconds * RATE) - count, visits, notes)
        talking.cancel()
        await asyncio.gather(talking, *visits, return_exceptions=True)
        notes.samples.append(self.sample(seconds))
        tell(notes.samples[-1])
        return notes

    def _let_come(self, number: int, visits: set[asyncio.Task[None]], notes: Notes) -> int:
        for _ in range(number):
            visits.add(visit := asyncio.create_task(self._visit(notes)))
            visit.add_done_callback(visits.discard)
        return number

    async def _begin(self) -> Sample:
        """Let many come at once; return what the process holds when they have gone."""
        ignored = Notes(self.sample())
        await asyncio.gather(*(self._visit(ignored) for _ in range(AT_ONCE)))
        await asyncio.sleep(SETTLE_S)
        return self.sample()

    async def _visit(self, notes: Notes) -> None:
        kind = self._chance.choice(list(self._kinds))
        request = self._kinds[kind]()
        notes.visits[kind] += 1
        try:
            async with asyncio.timeout(harness.WAIT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
                try:
                    writer.write(request)
                    if request.endswith(b"\r\n\r\n"):
                        status = await reader.readuntil(b"\r\n")
                        if not status.startswith(b"HTTP/1.1 200 "):
                            notes.failed[status.decode().strip()] += 1
                        await reader.readuntil(b"event: ready" if b"/events" in request else b"}")
                    await asyncio.sleep(self._chance.uniform(*STAY_S))
                finally:
                    writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError) as error:
            notes.failed[repr(error)] += 1

    async def _talk(self) -> None:
        for number in itertools.count():
            person, room = self._people[number % PEOPLE], {"id": self._room()}
            await asyncio.to_thread(person.say, room, f"said meanwhile: {number}")
            await asyncio.sleep(MESSAGES_S)

    def _room(self) -> int:
        return self._chance.choice(self._rooms)

    def _stream(self, path: str, header: str = "") -> bytes:
        return self._get(f"/api/chat/{path}", header)

    def _get(self, path: str, header: str = "") -> bytes:
        cookies = self._chance.choice(self._people).cookies
        return f"GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookies}\r\n{header}\r\n".encode()


def sample(pid: int, at_s: float = 0.0) -> Sample:
    """Measure a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    rss_mb = pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return Sample(at_s, rss_mb, len(sockets.descriptors(pid)))


def main() -> int:
    """Run with the options of the command line, and tell what was held minute by minute."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to end what was started
    parser = argparse.ArgumentParser(prog="scripts/test --churn", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes

    def tell(sample: Sample) -> None:
        minute = sample.at_s / MINUTE_S
        print(f"{minute:>7.1f}  {sample.rss_mb:>7.1f}  {sample.files:>11}", flush=True)  # noqa: T201

    with tempfile.TemporaryDirectory(prefix="churn-", ignore_cleanup_errors=True) as directory:
        here = Path(directory)
        with (
            harness.Valkey(here / "v") as valkey,
            harness.Server(valkey.url(), here / "server") as server,
        ):
            churn = Churn(server)
            print(" minute  RSS, MB  descriptors")  # noqa: T201
            notes = asyncio.run(churn.run(MINUTE_S * minutes, MINUTE_S, tell))
            with suppress(AssertionError):
                harness.eventually(lambda: churn.sample().files <= notes.before.files)
            after = churn.sample(MINUTE_S * minutes)
    for name, held in (("before", notes.before), ("after", after)):
        print(f"{name}: {held.rss_mb:.1f} MB, {held.files} descriptors")  # noqa: T201
    print(f"{notes.visits.total()} visits: {dict(notes.visits)}")  # noqa: T201
    print(f"failed: {dict(notes.failed)}")  # noqa: T201
    return bool(notes.failed)


if __name__ == "__main__":
    sys.exit(main())
