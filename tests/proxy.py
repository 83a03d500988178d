"""A TCP proxy that loses on purpose: commands, their replies, the second half of an event."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

CHUNK = 64 << 10  # bytes read at once
GOODBYE_S = 1.0  # what TLS gets to end properly

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
Edit = Callable[[bytes], bytes]


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
    """Listens on a port of its own and forwards to wherever `connect` leads.

    Several may share their traps. With `certificate` it speaks TLS with those who come;
    `edit` is what becomes of each chunk that goes back to them.
    """

    def __init__(
        self,
        connect: Connect,
        traps: list[Trap] | None = None,
        *,
        certificate: ssl.SSLContext | None = None,
        edit: Edit = bytes,
    ) -> None:
        self.port = 0
        self.traps: list[Trap] = [] if traps is None else traps
        self._connect, self._certificate, self._edit = connect, certificate, edit
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; on any free port, unless one is named."""
        self._server = await asyncio.start_server(
            self._accept,
            host,
            port,
            ssl=self._certificate,
            ssl_shutdown_timeout=None if self._certificate is None else GOODBYE_S,
        )
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
        link = _Link(self.traps, self._edit, (reader, writer), (up_reader, up_writer), task)
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
        edit: Edit,
        down: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        up: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        task: "asyncio.Task[None]",
    ) -> None:
        self.task = task
        self._traps, self._edit = traps, edit
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
        look: Callable[[bytes], tuple[bytes, bool]],
    ) -> None:
        goes_on = True
        with suppress(OSError):
            while goes_on and (chunk := await reader.read(CHUNK)):
                passed, goes_on = look(chunk)
                writer.write(passed)
                await writer.drain()
            # What is written must not be lost with an abort; a closed end takes nothing more.
            writer.close()
            await writer.wait_closed()

    def _command(self, chunk: bytes) -> tuple[bytes, bool]:
        """Return what to forward, and whether to go on."""
        for trap in self._traps:
            if trap.loses != "middle" and trap.needle.search(chunk) and trap.spring():
                if trap.loses == "command":
                    return b"", False
                self._deaf = True
        return chunk, True

    def _reply(self, chunk: bytes) -> tuple[bytes, bool]:
        if self._deaf:
            return b"", False
        for trap in self._traps:
            found = trap.needle.search(chunk) if trap.loses == "middle" else None
            if found is not None and trap.spring():
                return chunk[: (found.end() + len(chunk)) // 2], False
        return self._edit(chunk), True
