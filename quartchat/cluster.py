"""A client of Redis Cluster that sends each command to the master of its slot.

redis-py has one, but it sends ASKING on another connection than the command that it is for,
lets go of the healthy nodes' connections when one node is down, and refuses instead of
waiting where all connections are taken. Here all keys of a command have one hash tag, so
that a dozen lines of routing do. Each node has the same client and the same shared
round trips as a Redis of its own.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any, cast

from redis import exceptions
from redis.commands import AsyncCoreCommands
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.event import EventDispatcher

from quartchat import redis_client, redis_url
from quartchat.redis_client import Client, Pipelined, Pool, refusal

PATIENCE_S = 5.0  # how long a command is tried again, as while a replica takes over
PAUSE_S = (0.05, 0.15)  # before it is, at random
ASK_S = 1.0  # what a node gets to say who has which slot
KEY_AT = {"EVALSHA": 3, "EVAL": 3, "XINFO STREAM": 1, "XINFO GROUPS": 1}  # else: see `_key`
EVERYWHERE = {"PING", "SCRIPT LOAD", "SCRIPT FLUSH", "FLUSHALL", "FLUSHDB"}

# A node is gone or about to change its part: the owner of the slot is looked up again.
_LOST = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.ReadOnlyError,
)

Node = tuple[str, int]


class Cluster(AsyncCoreCommands):
    """Takes the commands that redis-py's plain client takes, and every one may be repeated."""

    def __init__(self, url: str, connections: int) -> None:
        address = redis_url.parse(url)
        # This class tries again, on the node that has the slot by then.
        self._options = redis_client.options(address, connections, retries=0)
        self._seeds = address.nodes
        self._event_dispatcher = EventDispatcher()  # redis-py's commands want one
        self._clients: dict[Node, Client] = {}
        self._slots: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._version = 0  # counts the maps of slots that were learnt
        self._learning = asyncio.Lock()

    def get_encoder(self) -> Any:
        """Return what turns arguments into bytes; redis-py's scripts ask for it."""
        pool: Any = self.client(self._seeds[0]).connection_pool
        return pool.get_encoder()

    async def aclose(self) -> None:
        """Let go of all connections."""
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))

    def client(self, node: Node) -> Client:
        """Return the client of one node."""
        if node not in self._clients:
            host, port = node
            pool = Pool(**self._options | {"host": host, "port": port})
            self._clients[node] = cast("Client", Client.from_pool(pool))
        return self._clients[node]

    def knows(self, node: Node) -> bool:
        """Whether a node is, or may be, of the cluster."""
        return node in self._clients

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command where its key is; one without a key, on every master."""
        key = _key(args)
        if key is None:
            return await self._everywhere(args, options)
        return await self.routed(
            key, lambda node: self.client(node).execute_command(*args, **options), args, options
        )

    async def routed(
        self,
        key: str,
        call: Callable[[Node], Awaitable[Any]],
        command: tuple[Any, ...] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Any:
        """Call with the node that has a key, until it answers.

        `command` is what `call` runs, for a key that is on its way to another node; without
        it that is waited for. Raises one of `AWAY` after `PATIENCE_S`.
        """
        slot = key_slot(key.encode())
        deadline = monotonic() + PATIENCE_S
        while True:
            version = self._version
            try:
                return await call(await self._owner(slot))
            except exceptions.MovedError as error:
                await self._learn(version)
                self._slots[slot] = self._target(error, slot)
            except exceptions.AskError as error:  # the slot is on its way: only this once
                with suppress(*_LOST):
                    if command is not None:
                        return await self._asking(self._target(error, slot), command, options)
                await asyncio.sleep(random.uniform(*PAUSE_S))  # noqa: S311 - spreads the callers
            except _LOST:
                if monotonic() > deadline:
                    raise
                await asyncio.sleep(random.uniform(*PAUSE_S))  # noqa: S311 - spreads the callers
                await self._learn(version)
            if monotonic() > deadline:
                raise exceptions.TryAgainError("the slot is moving")

    async def _asking(
        self, node: Node, command: tuple[Any, ...], options: dict[str, Any] | None
    ) -> Any:
        async with self.client(node).pipeline(transaction=False) as pipe:
            pipe.execute_command("ASKING")
            pipe.execute_command(*command, **(options or {}))
            try:
                return (await pipe.execute())[1]
            except exceptions.ResponseError as error:
                raise refusal(error) from error

    async def _everywhere(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if args[0] not in EVERYWHERE:
            raise ValueError(f"{args[0]} has no key, and is not for every node")
        masters = map(self.client, await self.masters())
        replies = await asyncio.gather(*(m.execute_command(*args, **options) for m in masters))
        return replies[0]

    async def masters(self) -> set[Node]:
        """Return the nodes that have slots."""
        await self._owner(0)
        return self._masters()

    def _masters(self) -> set[Node]:
        return {node for node in self._slots if node is not None}

    async def _owner(self, slot: int) -> Node:
        if self._slots[slot] is None:
            await self._learn(self._version)
        owner = self._slots[slot]
        if owner is None:
            raise exceptions.ClusterDownError("no node has the slot")
        return owner

    def _target(self, error: exceptions.AskError, slot: int) -> Node:
        here = self._slots[slot] or self._seeds[0]
        return (error.host or here[0], error.port)  # without a host: another port of this one

    async def _learn(self, version: int) -> None:
        """Ask who has which slot, unless that was learnt since `version`."""
        async with self._learning:
            if version != self._version:
                return
            known = list({*self._masters(), *self._seeds})
            random.shuffle(known)  # one may be wrong, as a master that was cut off
            for node in known:
                with suppress(TimeoutError, *redis_client.AWAY, exceptions.ResponseError):
                    async with asyncio.timeout(ASK_S):
                        ranges = await self.client(node).execute_command("CLUSTER SLOTS")
                    await self._take(node, ranges)
                    return
            raise exceptions.ConnectionError("no node of the cluster answers")

    async def _take(self, asked: Node, ranges: list[Any]) -> None:
        slots: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, (host, port, *_), *_replicas in ranges:
            owner = (host.decode() if host else asked[0], port)
            slots[first : last + 1] = [owner] * (last + 1 - first)
        self._slots = slots
        self._version += 1
        for node in set(self._clients) - self._masters():
            # Also one that is a replica now: a connection must not live on into its next reign.
            with suppress(*redis_client.AWAY):
                await self._clients.pop(node).aclose()


class Routed:
    """Calls of one script, shared by round trip on each node; see `Pipelined`."""

    def __init__(self, cluster: Cluster, script: str, kind: type[Pipelined]) -> None:
        self._cluster = cluster
        self._kind = kind
        self._text = script
        self._nodes: dict[Node, tuple[Client, Pipelined]] = {}

    async def call(self, keys: list[str], args: list[Any]) -> Any:
        """Run the script where its keys are, and return its reply."""
        # What is asked of another node, alone, is confirmed by nobody.
        whole = ("EVAL", self._text, len(keys), *keys, *args) if self._kind is Pipelined else None
        return await self._cluster.routed(
            keys[0], lambda node: self._of(node).call(keys, args), whole
        )

    def _of(self, node: Node) -> Pipelined:
        client = self._cluster.client(node)
        if node not in self._nodes or self._nodes[node][0] is not client:
            self._nodes = {n: kept for n, kept in self._nodes.items() if self._cluster.knows(n)}
            self._nodes[node] = (client, self._kind(client, self._text))
        return self._nodes[node][1]


def _key(args: tuple[Any, ...]) -> str | None:
    """Return a command's first key; None if it has none."""
    name = args[0]
    if name in EVERYWHERE:
        return None
    if name in ("XREAD", "XREADGROUP"):
        at = next(i for i, arg in enumerate(args) if arg in (b"STREAMS", "STREAMS")) + 1
    else:
        at = KEY_AT.get(name, 1)
    return str(args[at]) if len(args) > at else None
