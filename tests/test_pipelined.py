"""Calls of one script that share a round trip: who waits for whom, and for how long."""

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import harness
import pytest
from redis.asyncio.connection import AbstractConnection

from quartchat import engines, redis_client
from quartchat.cluster import Cluster, Routed
from quartchat.redis_client import Pipelined

ECHO = "return ARGV[1]"


class Watched:
    """Notes how many calls each pipeline has; on a cluster, of the node that has the key."""

    def __init__(self, client: Any) -> None:
        self.sizes: list[int] = []
        sizes = self.sizes

        class Noting(Pipelined):
            async def _pipeline(self, batch: list[Any]) -> list[Any]:
                sizes.append(len(batch))
                return await super()._pipeline(batch)

        on_cluster = isinstance(client, Cluster)
        calls = Routed(client, ECHO, Noting) if on_cluster else Noting(client, ECHO)
        self.call = calls.call


@pytest.fixture
def run(valkey: harness.Valkey) -> Callable[[Callable[[Watched], Awaitable[None]]], None]:
    def run(scenario: Callable[[Watched], Awaitable[None]]) -> None:
        async def inside() -> None:
            client: Any = engines.connect(valkey.url())
            try:
                calls = Watched(client)
                await calls.call(["{0}"], ["the script is known now"])
                calls.sizes.clear()
                await scenario(calls)
            finally:
                await client.aclose()

        asyncio.run(inside())

    return run


async def talk(calls: Watched, name: str, count: int) -> None:
    """Call again and again, as soon as the answer is there."""
    for number in range(count):
        said = f"{name} {number}"
        assert await calls.call(["{0}"], [said]) == said.encode()


def test_who_waits_when_redis_stops_in_mid_work_waits_for_so_long_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(redis_client, "PATIENCE_S", 0.9)

    async def scenario(valkey: harness.Valkey) -> float:
        client = engines.connect(valkey.url())
        calls = Pipelined(client, ECHO)
        try:
            assert await calls.call(["{0}"], ["before"]) == b"before"
            valkey.signal(signal.SIGSTOP)
            began = time.monotonic()
            with pytest.raises(redis_client.AWAY):
                await calls.call(["{0}"], ["meanwhile"])
            took = harness.alone_s(began)
            valkey.signal(signal.SIGCONT)
            assert await calls.call(["{0}"], ["afterwards"]) == b"afterwards"
            return took
        finally:
            valkey.signal(signal.SIGCONT)
            await client.aclose()

    with harness.Valkey(tmp_path / "valkey") as valkey:
        assert asyncio.run(scenario(valkey)) < 1.6  # each new connection tried thrice: 2.1


def test_a_lone_caller_waits_for_nobody(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "GATHER_S", 5.0)

    async def scenario(calls: Watched) -> None:
        async with asyncio.timeout(5):
            await talk(calls, "ann", 50)
        assert calls.sizes == [1] * 50

    run(scenario)


def test_those_who_call_at_once_go_together_and_on_as_soon_as_all_are_back(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "GATHER_S", 5.0)

    async def scenario(calls: Watched) -> None:
        async with asyncio.timeout(5):
            await asyncio.gather(*(talk(calls, name, 50) for name in ("ann", "bob", "cyd")))
        assert calls.sizes == [3] * 50

    run(scenario)


def test_who_stays_away_is_waited_for_but_shortly(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "GATHER_S", 0.2)

    async def scenario(calls: Watched) -> None:
        ends: list[float] = []

        async def ann() -> None:
            for _ in range(3):
                await talk(calls, "ann", 1)
                ends.append(time.monotonic())

        await asyncio.gather(ann(), talk(calls, "bob", 1))
        assert calls.sizes == [2, 1, 1]
        assert [after - before > 0.15 for before, after in pairwise(ends)] == [True, False]

    run(scenario)


def test_a_connection_that_is_closed_while_it_is_made_counts_as_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask(port: int) -> None:
        client: Any = engines.connect(f"redis://127.0.0.1:{port}")
        try:
            await client.ping()
        finally:
            await client.aclose()

    async def closed(connection: Any, **_: Any) -> None:
        await connection.disconnect()
        connection._writer.writelines([])  # as redis-py does then

    monkeypatch.setattr(AbstractConnection, "on_connect_check_health", closed)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(redis_client.AWAY):
        asyncio.run(ask(server.getsockname()[1]))
