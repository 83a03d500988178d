"""Clients of Redis: how long they wait, what counts as away, and calls that share a round trip."""

import asyncio
import hashlib
import ssl
from typing import Any

import redis.asyncio as redis
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

TIMEOUT_S = 3.0  # one command's bound; redis-py 8's own is 5 s, for blocking reads too
RETRIES = 2  # with TIMEOUT_S, a request waits at most about 9 s for a Redis that hangs
CONNECTIONS = 32  # per process; more wait for one
BATCH = 64  # calls of one pipeline; Redis does nothing else meanwhile
GATHER_S = 0.001  # between pipelines, where several calls come at once

# Redis is away, starting, read-only, or full: the caller is told to come back.
AWAY = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
)


def connect(url: str, *, connections: int = CONNECTIONS) -> Any:
    """Make a client: bounded waits, few retries; every write of ours may be repeated.

    It is Any, because redis-py types each reply as the union of its two protocols' shapes.
    """
    options: dict[str, Any] = {}
    if url.startswith("rediss://"):
        options["ssl_cert_reqs"] = ssl.CERT_NONE  # Heroku's Redis has a self-signed certificate
        options["ssl_check_hostname"] = False
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=TIMEOUT_S,  # for a free connection
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), RETRIES),
        legacy_responses=False,
        **options,
    )
    return redis.Redis.from_pool(pool)


class Pipelined:
    """Calls of one script: those that come while one batch is out go together as the next.

    Sixteen writers share a round trip and redis-py's work around it, which is most of an
    append's cost; a lone writer waits for nobody. The script must be safe to repeat.
    """

    def __init__(self, client: Any, script: str) -> None:
        self._redis = client
        self._text = script
        self._sha = hashlib.sha1(script.encode()).hexdigest()  # noqa: S324 - as EVALSHA wants it
        self._waiting: list[tuple[list[str], list[Any], asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def call(self, keys: list[str], args: list[Any]) -> Any:
        """Run the script and return its reply. Raises as a call of its own would."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, args, future))
        if self._task is None:
            self._task = asyncio.create_task(self._send())
        return await future

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:BATCH]
                del self._waiting[:BATCH]
                replies = await self._execute(batch)
                gather = len(batch) > 1  # there is company: let more of it come
                for (_, _, future), reply in zip(batch, replies, strict=True):
                    if future.done():  # its caller went away
                        continue
                    if isinstance(reply, Exception):
                        future.set_exception(reply)
                    else:
                        future.set_result(reply)
                if gather:
                    await asyncio.sleep(GATHER_S)
        finally:
            self._task = None

    async def _execute(self, batch: list[tuple[list[str], list[Any], Any]]) -> list[Any]:
        try:
            replies = await self._pipeline(batch)
            if any(isinstance(reply, exceptions.NoScriptError) for reply in replies):
                await self._redis.script_load(self._text)
                replies = await self._pipeline(batch)
        except Exception as error:  # noqa: BLE001 - each caller gets it
            return [error] * len(batch)
        return replies

    async def _pipeline(self, batch: list[tuple[list[str], list[Any], Any]]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for keys, args, _ in batch:
                pipe.evalsha(self._sha, len(keys), *keys, *args)
            replies: list[Any] = await pipe.execute(raise_on_error=False)
            return replies
