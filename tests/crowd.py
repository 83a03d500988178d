"""Many readers and writers in one event loop, over plain sockets.

A reader checks nothing while it runs: it writes down what it got, in order, and the test
compares that with what it must have got.
"""

import asyncio
import json
import random
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import harness
import httpx

Room = dict[str, Any]


def uuid7() -> str:
    """A UUIDv7 (RFC 9562, 5.7)."""
    ms, rand = time.time_ns() // 1_000_000, secrets.randbits(74)
    high, low = rand >> 62, rand & ((1 << 62) - 1)
    return str(uuid.UUID(int=ms << 80 | 7 << 76 | high << 64 | 2 << 62 | low))


class Reader:
    """Follows one stream through any number of connections, as EventSource does."""

    def __init__(self, client: harness.Client, path: str, cursor: str | None = None) -> None:
        self.client, self.path, self.cursor = client, path, cursor
        self.port = int(client.url.rsplit(":", 1)[1])
        self.events: list[tuple[str, Any]] = []  # (event, data) of all but heartbeats
        self.connections = 0
        self.ready = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None

    @property
    def ids(self) -> list[int]:
        """The numbers of the numbered events, in the order in which they came."""
        return [data["id"] for _, data in self.events if "id" in data]

    async def follow(self, until: Callable[["Reader"], bool]) -> None:
        """Read, and connect again whenever the stream ends, until it has seen enough."""
        while not until(self):
            try:
                async for event, data in self._connection():
                    if event != "heartbeat":
                        self.events.append((event, data))
                    if until(self):
                        break
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)
            finally:
                self.drop()

    def drop(self) -> None:
        """Cut the connection, wherever it is."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def _connection(self) -> AsyncIterator[tuple[str, Any]]:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.connections += 1
        resume = f"Last-Event-ID: {self.cursor}\r\n" if self.cursor is not None else ""
        request = (
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Cookie: {self.client.cookies}\r\n{resume}\r\n"
        )
        self._writer.write(request.encode())
        status = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in status.split(b"\r\n")[0]:
            raise ConnectionError(status)
        event, data, id_, rest = "message", "", None, b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            rest += (await reader.readexactly(size + 2))[:-2]
            *lines, rest = rest.split(b"\n")
            for line in lines:
                name, _, value = line.decode().partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    data = value
                elif name == "id":
                    id_ = value
                elif not line and data:
                    # As in a browser, an event counts once its blank line is there.
                    self.cursor = self.cursor if id_ is None else id_
                    if event == "ready":
                        self._start(json.loads(data))
                    yield event, json.loads(data)
                    event, data, id_ = "message", "", None

    def _start(self, ready: dict[str, Any]) -> None:
        """Who connects without a cursor and is cut off before the first event has one now."""
        if self.cursor is None:
            self.cursor = str(ready.get("last_id", ready.get("cursor")))
        self.ready.set()


class Writer:
    """Sends messages one after the other, each again until it is answered."""

    def __init__(self, client: harness.Client, room: Room) -> None:
        self.client = client
        self.path = f"/api/chat/rooms/{room['id']}/messages"
        self.answered: list[dict[str, Any]] = []

    async def send(self, count: int, name: str) -> None:
        for number in range(count):
            body = {"body": f"{name} {number}", "client_id": uuid7()}
            while True:
                with suppress(httpx.TransportError):
                    answer = await asyncio.to_thread(self.client.post, self.path, body)
                    if answer.status_code in (200, 201):
                        self.answered.append(answer.json())
                        break
                    assert answer.status_code == 503, answer.text
                await asyncio.sleep(0.05)


async def trouble(readers: list[Reader], every_s: float, seed: int) -> None:
    """Cut a random reader's connection, again and again."""
    chance = random.Random(seed)
    while True:
        await asyncio.sleep(chance.uniform(0, 2 * every_s))
        chance.choice(readers).drop()


async def finish(*tasks: Any, within_s: float = 180) -> None:
    """Run all to their end; a failure ends the test at once."""
    async with asyncio.timeout(within_s), asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(task)
