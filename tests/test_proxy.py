"""The proxy loses exactly what it is told to lose."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from proxy import Proxy, Trap

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def proxied(
    heard: list[bytes],
) -> AsyncIterator[tuple[Proxy, Callable[[], Awaitable[Streams]]]]:
    """A server that answers each chunk with `<chunk>`, and how to reach it through a proxy."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(1000):
                heard.append(chunk)
                writer.write(b"<" + chunk + b">")
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy = Proxy(lambda: asyncio.open_connection("127.0.0.1", port))
    await proxy.start()
    try:
        yield proxy, lambda: asyncio.open_connection("127.0.0.1", proxy.port)
    finally:
        await proxy.stop()
        server.close()
        await asyncio.sleep(0.01)  # for the server's connections to hear of it


async def said(streams: Streams, text: bytes) -> bytes:
    """Say it, and return all that comes until the connection ends."""
    reader, writer = streams
    writer.write(text)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("loses", "arrives", "comes_back"),
    [("command", [], b""), ("reply", [b"one"], b""), ("middle", [b"one"], b"<one")],
)
def test_a_trap_loses_one_thing_and_cuts(
    loses: str, arrives: list[bytes], comes_back: bytes
) -> None:
    async def run() -> None:
        heard: list[bytes] = []
        async with proxied(heard) as (proxy, connect):
            trap = Trap(re.compile(b"one"), loses)  # type: ignore[arg-type]
            proxy.traps.append(trap)
            assert await said(await connect(), b"one") == comes_back
            assert heard == arrives
            assert trap.sprung == 1
            reader, writer = await connect()  # it springs no more often than it may
            writer.write(b"one")
            assert await reader.readexactly(5) == b"<one>"
            writer.transport.abort()

    asyncio.run(run())


def test_a_trap_leaves_other_connections_alone() -> None:
    async def run() -> None:
        async with proxied([]) as (proxy, connect):
            proxy.traps.append(Trap(re.compile(b"one"), "reply"))
            reader, writer = await connect()
            assert await said(await connect(), b"one") == b""
            writer.write(b"two")
            assert await reader.readexactly(5) == b"<two>"
            assert proxy.cut() == 1
            assert await said((reader, writer), b"three") == b""

    asyncio.run(run())
