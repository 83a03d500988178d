"""The system under test: two web processes, two workers, Valkey and SQL of its own.

Whatever a process says to Valkey, and a client to a web process, goes through a proxy of ours.
"""

import asyncio
import itertools
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import harness
from proxy import Proxy
from redis.exceptions import RedisError

from faults.sql import DATABASES
from faults.valkey import Way
from faults.valkeys import ENGINES
from faults.wire import CLOSED, Connection

ROOM_WINDOW = 200  # events: some seconds of a run, so that readers fall out of it
SETTINGS = {
    "HOST": "127.0.0.1",
    "QUARTCHAT_ROOM_WINDOW": str(ROOM_WINDOW),
    "QUARTCHAT_HEARTBEAT_S": "1",
    "QUARTCHAT_STREAM_LIFETIME_S": "20",
}
START_S = 30.0  # what a process gets to start, on a machine that does other things too


class Process(harness.Process):
    """One `python -m quartchat …` of the tree under test."""

    tree = harness.ROOT

    def start(self) -> "Process":
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "quartchat", *self.arguments],
                env=self.env | {"PYTHONPATH": str(self.tree)},
                cwd=self.tree,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    @property
    def returncode(self) -> int | None:
        """What it ended with; None while it runs."""
        return None if self._popen is None else self._popen.poll()


class Node:
    """A process with its proxies."""

    def __init__(self, name: str, process: Process, redis: Way, front: Proxy | None) -> None:
        self.name, self.process, self.redis, self.front = name, process, redis, front
        self.down = False  # we ended it and will start it again

    def kill(self) -> None:
        """End it by SIGKILL and start it anew; it is not waited for."""
        self.process.kill()
        self.process.start()


class System:
    """All of it; `async with System(…) as system` runs it."""

    def __init__(
        self,
        directory: Path,
        *,
        tree: Path = harness.ROOT,
        engine: str = "standalone",
        database: str = "sqlite",
        partitions: int = 1,
    ) -> None:
        self.directory, self.partitions = directory, partitions
        self.database = DATABASES[database](directory)
        self.valkeys = ENGINES[engine](directory / "v")
        self.tree = tree
        self._env = harness.DEFAULTS | SETTINGS
        self._env |= {
            "SECRET_KEY": secrets.token_hex(16),
            "QUARTCHAT_DATA_DIR": str(directory),
            "QUARTCHAT_PARTITIONS": str(partitions),
            "QUARTCHAT_ACK": self.valkeys.ack,
        }
        self._numbers = itertools.count(1)
        self.webs: list[Node] = []
        self.workers: list[Node] = []

    @property
    def nodes(self) -> list[Node]:
        return self.webs + self.workers

    @property
    def ports(self) -> list[int]:
        """Where the clients reach the web processes."""
        return [node.front.port for node in self.webs if node.front is not None]

    @property
    def own_ports(self) -> list[int]:
        """Past the proxies, which read what a slow reader does not."""
        return [int(node.process.env["PORT"]) for node in self.webs]

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.valkeys.start)
            await asyncio.to_thread(self.database.start)
            self._env["DATABASE_URL"] = self.database.url
            migrate = self._process("migrate", {}).start()
            assert await asyncio.to_thread(migrate.wait, START_S) == 0, migrate.output()
            self.webs = [await self._node("web", number) for number in (1, 2)]
            self.workers = [await self._node("worker", number) for number in (1, 2)]
            await self.wait_until_ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes:
            with suppress(ProcessLookupError):
                node.process.kill(signal.SIGCONT)
            node.process.close()
        for node in self.nodes:
            await node.redis.stop()
            if node.front is not None:
                await node.front.stop()
        await self.valkeys.let_go()
        self.valkeys.close()
        self.database.close()

    async def wait_until_ready(self) -> None:
        """Wait until every web process answers that it is ready."""
        async with asyncio.timeout(START_S):
            for port in self.ports:
                while not await _ready(port):  # noqa: ASYNC110  (another process)
                    await asyncio.sleep(0.05)

    async def wait_until_archived(self, within_s: float) -> bool:
        """Wait for it; False if it takes too long. An unreachable Valkey takes its time too."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with suppress(RedisError, OSError):
                if await self.valkeys.archived():
                    return True
            await asyncio.sleep(0.1)
        return False

    def outputs(self) -> dict[str, str]:
        """What the processes said."""
        return {node.name: node.process.output() for node in self.nodes}

    async def _node(self, command: str, number: int) -> Node:
        way = await self.valkeys.way(next(self._numbers))
        port, front = harness.free_port(), None
        if command == "web":
            front = Proxy(lambda: asyncio.open_connection("127.0.0.1", port))
            await front.start()
        settings = {"REDIS_URL": way.url, "PORT": str(port)}
        process = self._process(command, settings, number)
        process.start()
        return Node(f"{command}{number}", process, way, front)

    def _process(self, command: str, settings: dict[str, str], number: int = 0) -> Process:
        log = self.directory / f"{command}{number or ''}.log"
        process = Process(command, env=self._env | settings, log=log)
        process.tree = self.tree
        return process


async def _ready(port: int) -> bool:
    connection = Connection(port)
    try:
        async with asyncio.timeout(5):
            status, _ = await connection.request("GET", "/healthz/ready")
    except CLOSED:
        return False
    else:
        return status == 200
    finally:
        connection.close()
