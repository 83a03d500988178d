"""Those who read: each follows one stream over any number of connections to either process.

A reader judges nothing. It writes down what it got, and the checker compares that with the
history.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Any

from faults import record, wire
from faults.record import Log, Record, Reset, Segment
from faults.stage import Stage

SILENCE_S = 5.0  # with a heartbeat each second, such a server is gone
AGAIN_S = (0.05, 0.5)  # before a reader comes back
RESTLESS_S = (0.3, 3.0)  # a restless reader's connections last so long
AWAY_S = (10.0, 20.0)  # a reader that goes away stays so long, some windows of its room
SLOW_S = (2.0, 10.0)  # a slow reader looks away so long: its socket is full after some seconds,
# and the server gives up after 15;
LOOKS_S = (0.5, 4.0)  # after it has read for so long
UNNUMBERED = {"heartbeat", "presence", "missed"}  # may come at any moment, and promise nothing
DEAF_S = 20.0  # a deaf reader keeps its connection so long; the server gives up before


class Reader:
    """Follows a stream; `habit` is `steady`, `restless`, `away` or `slow`."""

    def __init__(
        self,
        name: str,
        cookie: str,
        ports: Sequence[int],
        room_id: int | None,
        *,
        habit: str = "steady",
        cursor: str | None = None,
    ) -> None:
        self.log = Log(name, room_id is None)
        self.room_id = room_id
        self.heads: dict[int, int] = {}  # what it has reached
        self._last: dict[int, int] = {}  # the same, and where it began
        self._habit = habit
        self._cookie, self._ports = cookie, ports
        self._path = "/api/chat/events" if room_id is None else f"/api/chat/rooms/{room_id}/events"
        self._cursor = cursor
        self._from_first = cursor == "0"
        self._chance = random.Random(name)

    async def run(self, stage: Stage, last: asyncio.Event) -> None:
        """Read until cancelled; once `last` is set, without a pause."""
        while True:
            lasts = {"restless": RESTLESS_S, "away": AWAY_S}.get(self._habit)
            try:
                async with asyncio.timeout(
                    None if lasts is None or last.is_set() else self._chance.uniform(*lasts)
                ):
                    await self._connect(stage, last)
            except wire.CLOSED:
                pass
            pause = AWAY_S if self._habit == "away" and not last.is_set() else AGAIN_S
            with suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(*pause)):
                    await (asyncio.Event() if last.is_set() else last).wait()

    def reached(self, heads: dict[int, int]) -> bool:
        """Whether it has everything up to the rooms' last numbers."""
        if self.room_id is not None:
            return self.heads.get(self.room_id, 0) >= heads[self.room_id]
        return all(self.heads.get(room_id, 0) >= n for room_id, n in heads.items())

    async def _connect(self, stage: Stage, last: asyncio.Event) -> None:
        port = self._chance.choice(self._ports)
        self.log.connections += 1
        slow = self._habit == "slow"
        stream = wire.events(port, self._path, self._cookie, self._cursor, SILENCE_S, narrow=slow)
        away = stage.clock() + self._chance.uniform(*LOOKS_S)
        async with aclosing(stream):
            async for kind, data, id_ in stream:
                if slow and not last.is_set() and stage.clock() > away:
                    await asyncio.sleep(self._chance.uniform(*SLOW_S))
                    away = stage.clock() + self._chance.uniform(*LOOKS_S)
                self._hear(kind, data, id_, stage.notes, stage.clock())

    def _hear(self, kind: str, data: Any, id_: str | None, notes: Record, at: float) -> None:
        if kind == "status":
            notes.statuses[f"stream {data}"] += 1
            if data not in {200, 503}:
                notes.troubles.append(f"{self.log.name} got {data} at {at} s")
        elif kind == "ready":
            self._begin(data)
        elif kind == "reset":
            self._reset(data, at)
        elif id_ is not None:
            self._take(record.event(kind, data, at, n=self._number(kind, data, id_)), id_)
        elif kind not in UNNUMBERED:
            notes.troubles.append(f"{self.log.name} got {kind} {data} at {at} s")

    def _number(self, kind: str, data: Any, id_: str) -> int | None:
        """Return an event's number where its data does not say it: it follows the one before."""
        if self.room_id is not None:
            return int(id_)
        return self._last.get(data["room_id"], 0) + 1 if kind in record.EDITS else None

    def _begin(self, ready: dict[str, Any]) -> None:
        """Who connects without a cursor begins where the server says that it stands."""
        if self.log.segments:
            return
        heads = {r["id"]: r["last_id"] for r in ready.get("rooms", ())}
        if self.room_id is not None:
            heads = {self.room_id: ready["last_id"]}
        if self._from_first:
            heads = dict.fromkeys(heads, 0)
        else:
            self._cursor = str(ready.get("cursor", ready.get("last_id")))
        self._last = dict(heads)
        self.log.segments.append(Segment(heads))

    def _reset(self, data: dict[str, Any], at: float) -> None:
        """Begin anew: the checker decides whether a reset was allowed at all."""
        self.log.resets.append(Reset(at, data["reason"]))
        self.log.segments.append(Segment({}))
        self._cursor = None

    def _take(self, event: record.Event, id_: str) -> None:
        self.log.segments[-1].events.append(event)
        self.heads[event.room_id] = self._last[event.room_id] = event.n
        self._cursor = id_


async def deaf(port: int, cookie: str, path: str) -> None:
    """Ask for a stream from its first event, again and again, and never read a byte of it."""
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nLast-Event-ID: 0\r\n\r\n"
    while True:
        with suppress(OSError):
            _, writer = await wire.open_narrow(port)  # it reads ahead by twice its limit
            try:
                writer.write(request.encode())
                await asyncio.sleep(DEAF_S)
            finally:
                writer.transport.abort()
        await asyncio.sleep(1)
