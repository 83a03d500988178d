"""The listening socket: what it tells the kernel of every connection, and what the kernel does."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import harness
import pytest
import sockets

from quartchat import listener, server
from quartchat.config import Config

LINUX = sys.platform.startswith("linux")
RUN = os.getpid()  # two runs on one machine must not meet
HERE, THERE = f"10.213.{RUN % 250}.1", f"10.213.{RUN % 250}.2"  # the ends of a cable of our own
SPACE, NEAR, FAR = f"quartchat-{RUN}", f"qn{RUN}", f"qf{RUN}"
CONNECT = f"import socket; c = socket.create_connection(('{HERE}', %d)); print(flush=True); input()"
KEEPALIVE = 2  # the timer, in /proc/net/tcp

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def accepting(config: Config) -> AsyncIterator[tuple[int, "asyncio.Queue[Streams]"]]:
    """Accept connections as the web process does; gives the port and those that came."""
    taken: asyncio.Queue[Streams] = asyncio.Queue()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.put_nowait((reader, writer))

    opened = listener.listen(config)
    async with await asyncio.start_server(take, sock=opened):
        yield opened.getsockname()[1], taken


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=server.loop_factory()) as runner:
        runner.run(scenario())


@pytest.mark.skipif(not LINUX, reason="elsewhere accepted sockets inherit less")
def test_every_accepted_connection_has_the_kernels_timers() -> None:
    async def scenario() -> None:
        async with accepting(Config(port=0)) as (port, taken):
            with socket.create_connection(("127.0.0.1", port)):
                _, writer = await taken.get()
                mine = writer.get_extra_info("socket")
                assert mine.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                for name, value in (
                    ("TCP_KEEPIDLE", 30),
                    ("TCP_KEEPINTVL", 10),
                    ("TCP_KEEPCNT", 3),
                    ("TCP_USER_TIMEOUT", listener.UNREAD_MS),
                    ("TCP_NODELAY", 1),
                ):
                    assert mine.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value
                writer.transport.abort()

    run(scenario)


def test_the_kernel_watches_a_connection_of_the_web_process(server: harness.Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        mine = client.getsockname()[1]

        def timers() -> list[int]:
            return [row.timer for row in sockets.accepted(server.port) if row.peer == mine]

        assert harness.eventually(timers) == [KEEPALIVE]


@pytest.fixture
def cable() -> Iterator[None]:
    """A network of its own at the other end of a cable, which a test may cut."""
    if not LINUX or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs Linux, root and iproute2")
    try:
        ip("netns", "add", SPACE)
        ip("link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", SPACE)
        ip("addr", "add", f"{HERE}/30", "dev", NEAR)
        ip("link", "set", NEAR, "up")
        ip("-n", SPACE, "addr", "add", f"{THERE}/30", "dev", FAR)
        ip("-n", SPACE, "link", "set", FAR, "up")
        yield
    except subprocess.CalledProcessError as error:
        pytest.skip(f"may not make a network: {error.stderr.decode().strip()}")
    finally:
        for what in (("link", "del", NEAR), ("netns", "del", SPACE)):
            with suppress(subprocess.CalledProcessError):
                ip(*what)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.mark.usefixtures("cable")
@pytest.mark.parametrize("writes", [False, True], ids=["idle", "written to"])
def test_a_connection_whose_other_end_is_gone_without_a_word_is_dropped(
    writes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not half a minute, for the test's sake.
    monkeypatch.setattr(listener, "UNREAD_MS", 1500)
    monkeypatch.setattr(
        listener, "PROBES", {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 1}
    )

    async def scenario() -> None:
        async with accepting(Config(host=HERE, port=0)) as (port, taken):
            client = await asyncio.create_subprocess_exec(
                *("ip", "netns", "exec", SPACE, sys.executable, "-c", CONNECT % port),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(10):
                    reader, writer = await taken.get()
                    assert client.stdout
                    await client.stdout.readline()
                ip("-n", SPACE, "link", "set", FAR, "down")
                if writes:
                    writer.write(b"hello?")
                with pytest.raises(OSError, match=r"timed out|No route to host"):
                    async with asyncio.timeout(10):
                        await reader.read(1)
            finally:
                client.kill()
                await client.wait()

    run(scenario)
