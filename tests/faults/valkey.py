"""The Redis side of a run: one Valkey, how it is reached, and what a run does inside any."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import redis.asyncio as redis
from engines import nodes, tls
from proxy import Proxy, Trap
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

# What was acknowledged is on the disk: a kill -9 loses nothing.
DURABLE = ("save ''", "appendonly yes", "appendfsync always")
ANSWER_S = 1.0  # what a node gets to say what it is
SETTLE_S = 30.0  # what they get until all are there, and replicas follow their masters
LOOK_S = 0.1
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


class Way:
    """How one process reaches Valkey: an address for it, and the proxies behind that."""

    def __init__(self) -> None:
        self.url = ""
        self.traps: list[Trap] = []  # of all of its proxies
        self.proxies: list[Proxy] = []

    async def stop(self) -> None:
        for proxy in self.proxies:
            await proxy.stop()


class Valkey:
    """One Valkey alone, and what a run does to any."""

    ack: ClassVar[str] = "redis"  # whose word a send is acknowledged on: QUARTCHAT_ACK
    masters: ClassVar[int] = 1

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes = [nodes.Node(directory / "valkey", *DURABLE)]
        self._clients: dict[int, redis.Redis] = {}

    # -- its life

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def close(self) -> None:
        for node in self.nodes:
            node.kill()

    async def let_go(self) -> None:
        """Close the run's own connections."""
        for client in self._clients.values():
            await client.aclose()

    async def settled(self) -> None:
        """Wait until everything is as it was when it began. Raises TimeoutError."""
        await until(self._is_settled, SETTLE_S)

    async def _is_settled(self) -> bool:
        return len(await self.reigning()) == self.masters

    # -- ways to it

    async def way(self, number: int) -> Way:
        """Make the way of one process; its number is part of its address."""
        del number
        way = Way()
        port = await self._proxied(way, self.nodes[0])
        way.url = f"redis://127.0.0.1:{port}"
        return way

    async def _proxied(
        self, way: Way, node: nodes.Node, host: str = "127.0.0.1", port: int = 0, **options: Any
    ) -> int:
        proxy = Proxy(lambda: asyncio.open_connection("127.0.0.1", node.port), way.traps, **options)
        way.proxies.append(proxy)
        await proxy.start(host, port)
        return proxy.port

    # -- its nodes

    async def reigning(self) -> list[nodes.Node]:
        """Return the nodes that say that they are masters."""
        say = await asyncio.gather(*map(self.reigns, self._data()))
        return [node for node, reigns in zip(self._data(), say, strict=True) if reigns]

    async def reigns(self, node: nodes.Node) -> bool:
        """Whether a node says that it is a master."""
        with suppress(TimeoutError, RedisError, OSError):
            async with asyncio.timeout(ANSWER_S):
                return bool((await self._client(node).role())[0] == b"master")
        return False

    def _data(self) -> list[nodes.Node]:
        return self.nodes

    def any_node(self, pick: int) -> nodes.Node:
        """Return a node that has data, master or replica."""
        return self._data()[pick % len(self._data())]

    def _client(self, node: nodes.Node) -> Any:
        if node.port not in self._clients:
            self._clients[node.port] = redis.Redis(
                port=node.port, socket_timeout=10, retry=Retry(NoBackoff(), 1)
            )
        return self._clients[node.port]

    async def _masters(self) -> list[Any]:
        return [self._client(node) for node in await self.reigning()]

    # -- what is in it

    async def kill_clients(self) -> int:
        """Cut all connections of clients, as an operator would; return how many there were."""
        return sum([await m.client_kill_filter(_type="normal") for m in await self._masters()])

    async def flush(self) -> None:
        """Empty it."""
        for master in await self._masters():
            await master.flushall()

    async def trim_rooms(self, rooms: list[int]) -> int:
        """Empty rooms' streams of all that is archived; return how many events that were."""
        count = 0
        for room in rooms:
            async for master, meta in self._keys(f"meta:*:{room}"):
                stream = meta.replace(b"meta:", b"room:")
                count += int(await master.eval(TRIM, 2, meta, stream))
        return count

    async def cut_feeds(self, keep_s: float) -> int:
        """Cut feeds as a worker does, but to what came in the last seconds; return by how much."""
        since = int(1000 * (time.time() - keep_s))
        feeds = self._keys(FEEDS)
        return sum([int(await master.eval(CUT, 1, key, since)) async for master, key in feeds])

    async def archived(self) -> bool:
        """Whether SQL holds everything that Valkey has."""
        if not await self._is_settled():
            return False
        async for master, key in self._keys(FEEDS):
            last = (await master.xinfo_stream(key))["last-generated-id"]
            for group in await master.xinfo_groups(key) or [{}]:
                if group.get("last-delivered-id") != last or group["pending"]:
                    return False
        return True

    async def _keys(self, pattern: str) -> AsyncIterator[tuple[Any, bytes]]:
        for master in await self._masters():
            async for key in master.scan_iter(pattern):
                yield master, key


class Tls(Valkey):
    """The same, but it takes TLS alone; its certificate's authority has to be named."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._certificate = tls.Certificate(directory)

    async def way(self, number: int) -> Way:
        del number
        way = Way()
        port = await self._proxied(way, self.nodes[0], certificate=self._certificate.context)
        way.url = f"rediss://{tls.HOST}:{port}?ssl_ca_certs={self._certificate.authority}"
        return way


async def until(check: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """Wait until it is so. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not await check():  # noqa: ASYNC110  (other processes)
            await asyncio.sleep(LOOK_S)
