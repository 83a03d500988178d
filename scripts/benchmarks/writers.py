"""The writers: a process that posts messages, at a rate or as fast as they are answered.

Like `readers`, it takes lines of JSON from stdin and answers with lines of JSON. Each writer
is a person with a connection of its own and one request at a time, so that a person's messages
have an order. A message that is due while every writer waits is late, and its latency, which
counts from when it was due, shows that.
"""

import asyncio
import json
import re
import sys
import time
from array import array
from collections import Counter, deque
from contextlib import suppress
from typing import Any, cast

import uvloop

from benchmarks import load, messages
from benchmarks.figures import percentiles

ANSWER_S = 30.0  # a request that is not answered for so long has failed
_HEAD = re.compile(rb"HTTP/1\.[01] (\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Writer(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Finish the request when its answer is whole."""
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        status, length = _HEAD.match(head), _LENGTH.search(head)
        if not end:
            return
        if b"transfer-encoding: chunked" in head.lower():
            if not rest.endswith(b"0\r\n\r\n"):
                return
        elif len(rest) < (int(length.group(1)) if length else 0):
            return
        self._buffer = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(int(status.group(1)) if status else 0)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Fail what is under way."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    async def request(self, data: bytes) -> int:
        """Send a request; return the answer's status, 0 if there was none."""
        assert self._transport is not None  # noqa: S101 - connected
        if self._transport.is_closing():
            return 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._answer
        except TimeoutError:
            return 0

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class Pool:
    """All writers."""

    def __init__(self, port: int, heads: list[str], path: str, make: str) -> None:
        self._port = port
        self._heads = heads  # a request's head for each writer, with {path} and {length}
        self._path = path  # with {room}
        self._make = messages.MAKERS[make]
        self._writers: list[Writer] = []
        self._places: Counter[tuple[int, int]] = Counter()
        self._reset()

    def _reset(self) -> None:
        self._statuses: Counter[int] = Counter()
        self._took = array("q")
        self._lateness = array("q")
        self._posted: Counter[int] = Counter()

    async def connect(self) -> dict[str, Any]:
        """Open the connections."""
        loop = asyncio.get_running_loop()
        for _ in self._heads:
            _, writer = await loop.create_connection(Writer, "127.0.0.1", self._port)
            self._writers.append(writer)
        return {"writers": len(self._writers)}

    async def post(
        self, rate: float, count: int, rooms: list[int], limit_s: float
    ) -> dict[str, Any]:
        """Post `count` messages, `rate` per second, to the rooms in turn; give up at the limit."""
        self._reset()
        free, waiting = deque(range(len(self._writers))), deque[tuple[int, int]]()

        async def work(writer: int) -> None:
            while waiting:
                room, due = waiting.popleft()
                await self._send(writer, room, due)
            free.append(writer)

        began = time.monotonic_ns()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s), asyncio.TaskGroup() as group:
                for number in range(count):
                    due = began + int(number * 1e9 / rate)
                    if (wait := due - time.monotonic_ns()) > 0:
                        await asyncio.sleep(wait / 1e9)
                    waiting.append((rooms[number % len(rooms)], due))
                    if free:
                        group.create_task(work(free.popleft()))
        return self._report(began)

    async def flood(self, seconds: float, rooms: list[int]) -> dict[str, Any]:
        """Let every writer post its next message as soon as the last one is answered."""
        self._reset()
        began = time.monotonic_ns()
        end = began + int(seconds * 1e9)

        async def work(writer: int) -> None:
            while (due := time.monotonic_ns()) < end:
                if not await self._send(writer, rooms[writer % len(rooms)], due):
                    return

        await asyncio.gather(*map(work, range(len(self._writers))))
        return self._report(began)

    async def close(self) -> dict[str, Any]:
        """Close the connections."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        return {}

    async def _send(self, writer: int, room: int, due: int) -> bool:
        place = self._places[writer, room]
        began = time.monotonic_ns()
        body = self._make(room, writer, place, due, max(0, began - due))
        head = self._heads[writer].format(path=self._path.format(room=room), length=len(body))
        status = await self._writers[writer].request(head.encode() + body)
        self._took.append(time.monotonic_ns() - began)
        self._lateness.append(max(0, began - due))  # a timer may be up to 1 ms early
        self._statuses[status] += 1
        good = 200 <= status < 300  # noqa: PLR2004 - HTTP's success
        if good:
            self._places[writer, room] += 1
            self._posted[room] += 1
        return good

    def _report(self, began: int) -> dict[str, Any]:
        seconds = (time.monotonic_ns() - began) / 1e9
        posted = self._posted.total()
        return {
            "posted": posted,
            "by_room": dict(self._posted),
            "statuses": dict(self._statuses),
            "seconds": seconds,
            "rate": posted / seconds if seconds else 0.0,
            "took": percentiles(self._took),
            "lateness": percentiles(self._lateness),
        }


async def main() -> None:
    """Read what to connect to from the first line, then the commands."""
    loop = asyncio.get_running_loop()
    setting = json.loads(sys.stdin.readline())
    pool = Pool(**setting)
    load.say(await pool.connect())
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        load.say(await getattr(pool, command.pop("do"))(**command))


if __name__ == "__main__":
    uvloop.run(main())
