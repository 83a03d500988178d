"""Which Redis it is: one alone, a master that Sentinels name, or a Cluster.

All three take the same commands and raise the same errors.
"""

import asyncio
from typing import Any

from redis import exceptions
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from quartchat import redis_client, redis_url
from quartchat.cluster import Cluster, Routed
from quartchat.process import StartError
from quartchat.redis_client import Client, Pipelined, Pool
from quartchat.replicas import Replicated

RETRIES = 2  # with TIMEOUT_S, a request waits at most about 9 s for a Redis that hangs
CONNECTIONS = 32  # per process and node; more callers wait for one
CHECK_S = 3.0  # what Redis gets to say how it is configured
SENTINEL_S = 0.5  # one Sentinel's bound: the next is asked after it


def connect(url: str, *, connections: int = CONNECTIONS) -> Any:
    """Make a client. Every write of ours may be repeated, and is.

    It is Any, because redis-py types each reply as the union of its two protocols' shapes.
    """
    address = redis_url.parse(url)
    if address.kind == "cluster":
        return Cluster(url, connections)
    arguments = redis_client.options(address, connections, RETRIES)
    if address.kind == "sentinel":
        return _guided(address, arguments)
    return Client.from_pool(Pool(**arguments))


def pipelined(client: Any, script: str, *, replicated: bool) -> Pipelined | Routed:
    """Return what runs a script, many calls in one round trip, on one of our clients."""
    kind = Replicated if replicated else Pipelined
    return Routed(client, script, kind) if isinstance(client, Cluster) else kind(client, script)


async def check(url: str) -> None:
    """Refuse a Redis that throws keys away when it is full: messages would be among them.

    Raises StartError. One that is away may be as it likes, until it refuses a write.
    """
    client = connect(url, connections=1)
    try:
        async with asyncio.timeout(CHECK_S):
            if isinstance(client, Cluster):
                masters = map(client.client, await client.masters())
                found = await asyncio.gather(*(master.info("memory") for master in masters))
            else:
                found = [await client.info("memory")]
    except (TimeoutError, *redis_client.AWAY, exceptions.NoPermissionError):
        return
    finally:
        await client.aclose()
    for memory in found:
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        if policy != "noeviction" and memory.get("maxmemory", 0):
            raise StartError(
                f"REDIS_URL names a Redis that throws keys away when it is full"
                f" (maxmemory-policy is {policy}): set it to noeviction",
                2,
            )


def lanes(client: Any, partitions: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Group partitions by what one blocking command can read: of a cluster, each alone."""
    return tuple((p,) for p in partitions) if isinstance(client, Cluster) else (partitions,)


class _MasterPool(SentinelConnectionPool, Pool):
    """Connections to the master that the Sentinels name; more callers wait for one."""


class _Guided(Client):
    """A client that also closes its connections to the Sentinels."""

    sentinels: Sentinel

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Let go of all connections."""
        await super().aclose(close_connection_pool)
        await self.sentinels.aclose()


def _guided(address: redis_url.Address, arguments: dict[str, Any]) -> Any:
    for name in ("host", "port"):
        arguments.pop(name, None)
    tls = arguments.pop("connection_class", None) is not None
    theirs: dict[str, Any] = dict(address.sentinel)
    theirs |= {"socket_timeout": SENTINEL_S, "socket_connect_timeout": SENTINEL_S}
    theirs["retry"] = Retry(NoBackoff(), 0)  # the next is asked instead; redis-py's own is 10
    if tls:
        theirs |= {k: v for k, v in arguments.items() if k.startswith("ssl_")} | {"ssl": True}
    guide: Any = Sentinel
    sentinels = guide(address.nodes, sentinel_kwargs=theirs)
    pool: Any = _MasterPool
    client: Any = _Guided.from_pool(pool(address.service, sentinels, ssl=tls, **arguments))
    client.sentinels = sentinels
    return client
