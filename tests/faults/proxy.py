"""A TCP proxy that loses on purpose: commands, their replies, the second half of an event."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

CHUNK = 64 << 10  # bytes read at once

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass(eq=False)
class Trap:
    """Springs on the connections that carry `needle`, and cuts each of them.

    `command`: what the client sent never arrives. `reply`: it arrives, and whatever comes back
    is lost. `middle`: the client gets the first half of what has the needle in it.
    """

    needle: re.Pattern[bytes]
    loses: Literal["command", "reply", "middle"]
    left: int = 1  # how often it may still spring
    sprung: int = 0
    first: asyncio.Event = field(default_factory=asyncio.Event)

    def spring(self) -> bool:
        """Count; False once it is used up."""
        if self.left <= 0:
            return False
        self.left -= 1
        self.sprung += 1
        self.first.set()
        return True


class Proxy:
    """Listens on a port of its own and forwards to wherever `connect` leads."""

    def __init__(self, connect: Connect) -> None:
        self.port = 0
        self.traps: list[Trap] = []
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*(link.task for link in self._links), return_exceptions=True)

    def cut(self) -> int:
        """Cut every connection where it is; return how many there were."""
        links = list(self._links)
        for link in links:
            link.cut()
        return len(links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        link = _Link(self.traps, (reader, writer), (up_reader, up_writer), task)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


class _Link:
    """One connection, through."""

    def __init__(
        self,
        traps: list[Trap],
        down: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        up: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        task: "asyncio.Task[None]",
    ) -> None:
        self.task = task
        self._traps = traps
        self._down, self._up = down, up
        self._deaf = False  # what comes back is lost

    async def run(self) -> None:
        pumps = [
            asyncio.create_task(self._pump(self._down[0], self._up[1], self._command)),
            asyncio.create_task(self._pump(self._up[0], self._down[1], self._reply)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.cut()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def cut(self) -> None:
        """Drop both ends at once."""
        for _, writer in (self._down, self._up):
            writer.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        look: Callable[[bytes], bytes | None],
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                passed = look(chunk)
                writer.write(chunk if passed is None else passed)
                await writer.drain()
                if passed is not None:
                    break
            # What is written must not be lost with an abort; a closed end takes nothing more.
            writer.close()
            await writer.wait_closed()

    def _command(self, chunk: bytes) -> bytes | None:
        """Return None to forward the chunk and go on, or what to forward before the cut."""
        for trap in self._traps:
            if trap.loses != "middle" and trap.needle.search(chunk) and trap.spring():
                if trap.loses == "command":
                    return b""
                self._deaf = True
        return None

    def _reply(self, chunk: bytes) -> bytes | None:
        if self._deaf:
            return b""
        for trap in self._traps:
            found = trap.needle.search(chunk) if trap.loses == "middle" else None
            if found is not None and trap.spring():
                return chunk[: (found.end() + len(chunk)) // 2]
        return None
