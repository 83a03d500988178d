"""Who reads and who asks while web processes are restarted: each as a good client does.

A reader is what a browser's EventSource is: it resumes by its cursor, after the `retry:` that
it was told. A caller keeps its connection for as long as the server does.
"""

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import crowd
import harness
import sockets

WRITE_S = (0.1, 0.5)  # between two messages of one writer
ASK_S = (0.0, 0.05)  # between two questions of one who asks
NUMBERED = re.compile(rb'\{"id":(\d+),"room_id":(\d+),')
FIELD = re.compile(rb"^(\w+): (.*)$", re.MULTILINE)


@dataclass
class Scene:
    """Where everybody is, and what they write down together."""

    port: int
    cookie: str
    rooms: list[int]
    partitions: int = 1  # with several, the stream of all rooms may repeat some events
    over: asyncio.Event = field(default_factory=asyncio.Event)  # nobody begins to ask any more
    silent: asyncio.Event = field(default_factory=asyncio.Event)  # and everybody has an answer
    sent: Counter[int] = field(default_factory=Counter)  # the last number of each room
    answers: Counter[int] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    data: dict[bytes, bytes] = field(default_factory=dict)  # equal events share memory


class Reader:
    """Follows all rooms, or one, through any number of connections."""

    def __init__(self, scene: Scene, room: int | None) -> None:
        self.path = "/api/chat/events" if room is None else f"/api/chat/rooms/{room}/events"
        self.rooms = scene.rooms if room is None else [room]
        self.log: list[bytes] = []  # the data of all numbered events
        self.is_open = False
        self.away: list[tuple[float, float]] = []  # what it was told to wait, and waited, in s
        self._scene = scene
        self._heads: Counter[int] = Counter()
        self._cursor = b"0"
        self._retry_s = 0.0

    async def follow(self) -> None:
        """Read until everything that was sent is there."""
        while True:
            try:
                await self._connect()
            except (OSError, asyncio.IncompleteReadError) as error:
                self._scene.troubles.append(f"GET {self.path}: {error!r}")
            self.is_open = False
            if self._has_all():
                return
            ended = time.monotonic()
            await asyncio.sleep(self._retry_s)
            self.away.append((self._retry_s, time.monotonic() - ended))

    def numbers(self, room: int) -> list[int]:
        """The numbers of a room's events, as they came."""
        found = map(NUMBERED.match, self.log)
        return [int(match[1]) for match in found if match and int(match[2]) == room]

    def _has_all(self) -> bool:
        sent = self._scene.sent
        return self._scene.silent.is_set() and all(self._heads[r] >= sent[r] for r in self.rooms)

    async def _connect(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._scene.port)
        try:
            head = f"GET {self.path} HTTP/1.1\r\nHost: x\r\nCookie: {self._scene.cookie}\r\n"
            writer.write(head.encode() + b"Last-Event-ID: " + self._cursor + b"\r\n\r\n")
            status, headers = await read_head(reader)
            self._scene.answers[status] += 1
            if status != 200:
                assert status == 503, status
                self._retry_s = float(headers["retry-after"])
                return
            self.is_open = True
            rest = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                rest += (await reader.readexactly(size + 2))[:-2]
                *blocks, rest = rest.split(b"\n\n")
                for block in blocks:
                    self._take(dict(FIELD.findall(block)))
                if self._has_all():
                    return
        finally:
            writer.transport.abort()

    def _take(self, fields: dict[bytes, bytes]) -> None:
        if b"retry" in fields:
            self._retry_s = int(fields[b"retry"]) / 1000
        if b"id" in fields:
            self._cursor, data = fields[b"id"], fields[b"data"]
            number = NUMBERED.match(data)
            assert number, data
            n, room = int(number[1]), int(number[2])
            if self._scene.partitions > 1 and len(self.rooms) > 1 and n <= self._heads[room]:
                return
            self._heads[room] = n
            self.log.append(self._scene.data.setdefault(data, data))
        elif fields.get(b"event") in {b"reset", b"session.revoked", b"room.removed"}:
            self._scene.troubles.append(f"GET {self.path}: {fields}")


class Caller:
    """Asks for one thing after the other, and again where the answer is 503."""

    def __init__(self, scene: Scene, *, keeps: bool) -> None:
        self._scene = scene
        self._keeps = keeps  # its connection
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._chance = random.Random(id(self))

    async def write(self) -> None:
        """Send messages until it is over."""
        while not self._scene.over.is_set():
            room = self._chance.choice(self._scene.rooms)
            body = {"body": "hi", "client_id": crowd.uuid7()}
            sent = await self._ask("POST", f"/api/chat/rooms/{room}/messages", body)
            self._scene.sent[room] = max(self._scene.sent[room], json.loads(sent)["id"])
            await asyncio.sleep(self._chance.uniform(*WRITE_S))
        self._close()

    async def look(self) -> None:
        """Look at pages and at oneself until it is over."""
        page = f"/api/chat/rooms/{self._scene.rooms[0]}/messages?limit=2"
        while not self._scene.over.is_set():
            await self._ask("GET", self._chance.choice([page, "/api/me", "/login"]))
            await asyncio.sleep(self._chance.uniform(*ASK_S))
        self._close()

    async def _ask(self, method: str, path: str, body: Any = None) -> bytes:
        while True:
            try:
                status, headers, content = await self._request(method, path, body)
            except (OSError, asyncio.IncompleteReadError) as error:
                self._scene.troubles.append(f"{method} {path}: {error!r}")
                self._close()
                await asyncio.sleep(ASK_S[1])
                continue
            self._scene.answers[status] += 1
            if status != 503:
                assert status in {200, 201}, (status, content)
                return content
            await asyncio.sleep(float(headers["retry-after"]))

    async def _request(
        self, method: str, path: str, body: Any
    ) -> tuple[int, dict[str, str], bytes]:
        reader, writer = self._streams = await self._connection()
        payload = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nCookie: {self._scene.cookie}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        writer.write(head.encode() + payload)
        status, headers = await read_head(reader)
        content = await reader.readexactly(int(headers["content-length"]))
        if not self._keeps or headers.get("connection") == "close":
            self._close()
        return status, headers, content

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The open one, unless the server has closed it; every client looks whether it has."""
        if self._streams is not None:
            connection = self._streams[1].get_extra_info("socket")
            if connection.fileno() >= 0 and not sockets.readable(connection):
                return self._streams
            self._close()
        return await asyncio.open_connection("127.0.0.1", self._scene.port)

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read a response's status and headers."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.partition(": ")[::2] for line in lines if line)
    return int(first.split(" ")[1]), {name.lower(): value for name, value in headers.items()}


async def until(check: Callable[[], bool], within_s: float = harness.WAIT_S) -> float:
    """Wait for something; return how long that took, in seconds."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() < began + within_s, f"still not so after {within_s} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - began
