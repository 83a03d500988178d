"""Connections between two requests: how long they may wait, and how they end."""

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import hypercorn.asyncio
import hypercorn.asyncio.run
import pytest
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.protocol.h11 import H11Protocol
from rolling import until

from quartchat import http1, listener, tcp
from quartchat.config import Config
from quartchat.tcp import Connections

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
GRACEFUL_S = 0.5
ANSWER = [(b"content-length", b"2")]

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """`install` is for a process that does nothing else."""
    monkeypatch.setattr(hypercorn.asyncio.run, "TCPServer", tcp.Connection)
    monkeypatch.setattr("hypercorn.protocol.H11Protocol", H11Protocol)
    monkeypatch.setattr(tcp, "LINGER_S", 0.2)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers everything alike, but hangs where it is asked to."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/hang":
        await asyncio.Event().wait()
    await send({"type": "http.response.start", "status": 200, "headers": ANSWER})
    await send({"type": "http.response.body", "body": b"ok", "more_body": False})


@asynccontextmanager
async def serving(keep_alive_s: float) -> AsyncIterator[tuple[int, Connections]]:
    """Serve on a port of our own; the connections that wait come with it."""
    settings = hypercorn.Config()
    opened = listener.listen(Config(port=0))
    port = opened.getsockname()[1]
    settings.bind = [f"fd://{opened.detach()}"]
    settings.keep_alive_timeout = keep_alive_s
    connections, stop = http1.install(), asyncio.Event()

    async def stopped() -> None:
        await stop.wait()
        asyncio.get_running_loop().call_later(GRACEFUL_S, connections.cut)

    server = asyncio.create_task(hypercorn.asyncio.serve(app, settings, shutdown_trigger=stopped))
    try:
        yield port, connections
    finally:
        stop.set()
        await server


async def ask(streams: Streams) -> None:
    reader, writer = streams
    writer.write(REQUEST)
    assert b"200" in await reader.readuntil(b"\r\n\r\nok")


async def closed_after(streams: Streams) -> float:
    """How long until the server closes a connection, in seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(5):
        assert await streams[0].read() == b""
    streams[1].close()
    return loop.time() - began


@pytest.mark.parametrize("asks", [False, True])
def test_an_idle_connection_is_closed_in_time(asks: bool) -> None:
    async def scenario() -> float:
        async with serving(0.3) as (port, connections):
            streams = await asyncio.open_connection("127.0.0.1", port)
            if asks:
                await ask(streams)
            took = await closed_after(streams)
            assert not connections._timers
            return took

    assert 0.25 < asyncio.run(scenario()) < 1


def test_a_request_that_comes_while_the_process_is_busy_is_no_silence() -> None:
    async def scenario() -> float:
        async with serving(0.3) as (port, _):
            streams = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.1)
            for _ in range(3):
                streams[1].write(REQUEST)
                time.sleep(0.4)  # noqa: ASYNC251  (this is what it is about)
                async with asyncio.timeout(1):
                    assert b"200" in await streams[0].readuntil(b"\r\n\r\nok")
            return await closed_after(streams)

    assert 0.25 < asyncio.run(scenario()) < 1


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HEAD /hang HTTP/1.1\r\nHost: x\r\n\r\n",
        # Hypercorn's own parser is for these two.
        b"POST /hang HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
        b"HEAD /hang HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["GET", "HEAD", "chunked POST", "chunked HEAD"],
)
def test_a_request_that_is_not_answered_by_the_end_is_told_when_to_come_back(
    request_: bytes,
) -> None:
    async def scenario() -> bytes:
        async with serving(5) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request_)
            await asyncio.sleep(0.1)
        async with asyncio.timeout(1):
            answer = await reader.read()
        writer.close()
        return answer

    head, _, body = asyncio.run(scenario()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in head
    assert b"\r\nconnection: close\r\n" in head
    assert body == (b"" if request_.startswith(b"HEAD") else tcp.LATE_PROBLEM)


def test_in_the_end_who_has_just_asked_may_ask_again_and_others_are_closed_at_once() -> None:
    async def scenario() -> None:
        async with serving(60) as (port, connections):
            quiet, busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            await ask(quiet)
            await asyncio.sleep(0.3)
            await ask(busy)
            ending = asyncio.create_task(connections.end())
            assert await closed_after(quiet) < 0.1
            await ask(busy)
            late = await asyncio.open_connection("127.0.0.1", port)
            await ask(late)
            await ending
            assert await closed_after(busy) < 0.3
            assert await closed_after(late) < 0.3
            assert not connections._timers

    asyncio.run(scenario())


def test_a_closed_connection_is_freed_at_once_and_waits_for_no_collector() -> None:
    def connections() -> int:
        return sum(isinstance(one, tcp.Connection) for one in gc.get_objects())

    async def scenario() -> None:
        async with serving(5) as (port, _):
            many = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
            for streams in many:
                await ask(streams)
            assert connections() == 20
            for _, writer in many:
                writer.close()
            await until(lambda: connections() == 0)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(scenario())
    finally:
        gc.enable()


def test_who_is_accepted_after_the_end_has_begun_is_told_when_to_come_back() -> None:
    """Not cancelled in the middle of the request, which Hypercorn would make a 500 of."""

    async def scenario() -> tuple[bytes, bytes]:
        context, settings = WorkerContext(None), hypercorn.Config()
        await context.terminated.set()
        loop = asyncio.get_running_loop()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            kind = type("Connection", (tcp.Connection,), {"connections": Connections()})
            await kind(app, loop, settings, context, {}, reader, writer)

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(REQUEST)
            async with asyncio.timeout(5):
                answer = await reader.readuntil(b"\r\n\r\n")
                rest = await reader.read()
            writer.close()
            return answer, rest

    answer, rest = asyncio.run(scenario())
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in answer
    problem = json.loads(rest)
    assert (problem["status"], problem["code"]) == (503, "unavailable")
    assert problem.keys() >= {"type", "title", "detail"}
