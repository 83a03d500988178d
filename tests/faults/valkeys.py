"""Several Valkeys: masters that die, and replicas that take over, by Sentinels or as a Cluster.

Nodes name each other's addresses, so each process under test has an address of its own in
127.0.0.0/8, at which each node's port is a proxy: Sentinels' answers are edited to name it, and
a Cluster names ports alone.
"""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines import nodes
from redis.crc import key_slot

from faults.valkey import DURABLE, SETTLE_S, Tls, Valkey, Way, until

HOME = b"127.0.0.1"


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

    async def took_over(self, node: nodes.Node) -> bool:
        """Whether a node is the master by now, and remains it if the old one comes back."""
        return await self.reigns(node)

    async def fail_over(self, master: nodes.Node, *, behind_s: float = 0.0) -> None:
        """Let a master die until its replica took over, then start it again.

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
            await until(lambda: self.took_over(replica), SETTLE_S)
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

    async def took_over(self, node: nodes.Node) -> bool:
        """Sentinels give a failover up if the old master is back before all have heard of it."""
        return await self.reigns(node) and await asyncio.to_thread(self._all.name, node)

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
