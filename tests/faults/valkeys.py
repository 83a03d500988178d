"""The Redis side of a run: Valkey alone, behind TLS, with Sentinels, as a Cluster.

Each process under test has a way to it through proxies of its own. Where nodes name each
other's addresses, a process has an address of its own in 127.0.0.0/8, at which each node's
port is a proxy: Sentinels' answers are edited to name it, and a Cluster names ports alone.
"""

import asyncio
import signal
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
from redis.crc import key_slot
from redis.exceptions import RedisError

DURABLE = ("save ''", "appendonly yes", "appendfsync always")
# What was acknowledged is on the disk: a kill -9 loses nothing.
HOME = b"127.0.0.1"
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


class Replicated(Valkey):
    """Masters that die, and replicas that take over: only what both have is acknowledged."""

    ack = "replicated"

    async def master(self, pick: int) -> nodes.Node:
        """Return one that reigns now."""
        found = await self.reigning()
        return found[pick % len(found)]

    async def replica(self, master: nodes.Node) -> nodes.Node:
        """Return the replica of a master."""
        raise NotImplementedError

    async def hand_over(self, master: nodes.Node) -> None:
        """Let a master and its replica change places, as for an upgrade."""
        raise NotImplementedError

    async def fail_over(self, master: nodes.Node, *, behind_s: float = 0.0) -> None:
        """Let a master die until its replica reigns, then start it again.

        `behind_s`: before it dies, the replica hears of nothing for so long.
        """
        replica = await self.replica(master)
        if behind_s:
            replica.send_signal(signal.SIGSTOP)
            await asyncio.to_thread(master.do, "CLIENT", "KILL", "TYPE", "replica")
            await asyncio.sleep(behind_s)
        await asyncio.to_thread(master.kill)
        replica.send_signal(signal.SIGCONT)
        try:
            await until(lambda: self.reigns(replica), SETTLE_S)
        finally:
            await asyncio.to_thread(master.start)

    async def _is_settled(self) -> bool:
        return await super()._is_settled() and await asyncio.to_thread(self._in_step)

    def _in_step(self) -> bool:
        """Whether every master has a replica that follows it."""
        raise NotImplementedError

    async def _at_its_own_address(
        self, way: Way, number: int, found: list[nodes.Node], **options: Any
    ) -> str:
        """Give a process an address, and each node's port there; return the address."""
        host = f"127.0.0.{number + 1}"
        for node in found:
            await self._proxied(way, node, host, node.port, **options)
        return host


class Sentinels(Replicated):
    """A master, a replica, and three Sentinels."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._all = nodes.Sentinels(directory, *DURABLE)
        self.nodes = self._all.nodes

    def start(self) -> None:
        self._all.start()

    def _data(self) -> list[nodes.Node]:
        return [self._all.master, self._all.replica]

    async def way(self, number: int) -> Way:
        way = Way()
        mine = HOME[:-1] + str(number + 1).encode()  # as long as the other

        def edit(reply: bytes) -> bytes:
            return reply.replace(HOME + b"\r\n", mine + b"\r\n")

        host = await self._at_its_own_address(way, number, self._data())
        await self._at_its_own_address(way, number, self._all.sentinels, edit=edit)
        hosts = ",".join(f"{host}:{node.port}" for node in self._all.sentinels)
        way.url = f"redis+sentinel://{hosts}/{nodes.SERVICE}"
        return way

    async def replica(self, master: nodes.Node) -> nodes.Node:
        return next(node for node in self._data() if node is not master)

    async def hand_over(self, master: nodes.Node) -> None:
        del master
        sentinel = self._all.sentinels[0]
        await asyncio.to_thread(sentinel.do, "SENTINEL", "FAILOVER", nodes.SERVICE)

    async def _is_settled(self) -> bool:
        """As an operator's scripts do, have an old master follow the new one.

        The Sentinels wait for ten seconds with that.
        """
        if len(await self.reigning()) > 1:
            await asyncio.to_thread(self._all.reunite)
        return await super()._is_settled()

    def _in_step(self) -> bool:
        return self._all.settled()


class Cluster(Replicated):
    """Three masters with a replica each."""

    masters = 3

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        # A node names no address of its own but the port: that of the one who asks is meant.
        here = "cluster-preferred-endpoint-type unknown-endpoint"
        self._all = nodes.Cluster(directory, 1, *DURABLE, here)
        self.nodes = self._all.nodes

    def start(self) -> None:
        self._all.start()

    async def way(self, number: int) -> Way:
        way = Way()
        host = await self._at_its_own_address(way, number, self.nodes)
        hosts = ",".join(f"{host}:{node.port}" for node in self.nodes)
        way.url = f"redis+cluster://{hosts}"
        return way

    async def replica(self, master: nodes.Node) -> nodes.Node:
        id_ = await asyncio.to_thread(master.do, "CLUSTER", "MYID")
        lines = await asyncio.to_thread(master.do, "CLUSTER", "REPLICAS", id_)
        return next(node for node in self.nodes if b":%d@" % node.port in lines[0])

    async def hand_over(self, master: nodes.Node) -> None:
        await asyncio.to_thread((await self.replica(master)).do, "CLUSTER", "FAILOVER")

    async def move(self, partition: int, *, at_once: bool) -> None:
        """Give a partition to the next master."""
        slot = key_slot(b"{%d}" % partition)
        await asyncio.to_thread(self._all.move, slot, at_once=at_once)

    def _in_step(self) -> bool:
        return self._all.settled()


async def until(check: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """Wait until it is so. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not await check():  # noqa: ASYNC110  (other processes)
            await asyncio.sleep(LOOK_S)


ENGINES: dict[str, Callable[[Path], Valkey]] = {
    "standalone": Valkey,
    "tls": Tls,
    "sentinel": Sentinels,
    "cluster": Cluster,
}
CLUSTER_PARTITIONS = 16


def partitions(engine: str) -> int:
    """Return how many a run has where none were asked for: of a cluster several per master."""
    return CLUSTER_PARTITIONS if engine == "cluster" else 1
