"""A client of one Redis: how long it waits, what counts as away, calls that share a round trip."""

import asyncio
import hashlib
import math
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import redis.asyncio as redis
from redis import exceptions
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from quartchat import redis_url

TIMEOUT_S = 3.0  # one command's bound; redis-py 8's own is 5 s, for blocking reads too
PATIENCE_S = 9.0  # a round trip's, with all tries; redis-py tries each new connection as often
BATCH = 64  # calls of one pipeline; Redis does nothing else meanwhile
WAITING = 4096  # calls that wait for a pipeline; past it they fail at once
GATHER_S = 0.004  # between pipelines, where calls come in company; or until there are as many
LATELY = 64  # as the largest of so many pipelines had


class RefusedError(exceptions.ResponseError):
    """Redis answers, and takes no writes: its disk is full, or its replicas are gone."""


# Redis is away, starting, read-only, or full: the caller is told to come back.
AWAY = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    RefusedError,
)
FULL = (exceptions.OutOfMemoryError, RefusedError)  # of these: it answers, and takes no writes
# What redis-py has no class for. UNBLOCKED: a master became a replica under a waiting read.
_REFUSALS = ("MISCONF", "NOREPLICAS", "UNBLOCKED")
_SILENCE = (exceptions.ConnectionError, exceptions.TimeoutError)
# How Redis 6.2 wraps an error of a command inside a script.
_IN_SCRIPT = ("-OOM ", "-MISCONF ", "-NOREPLICAS ", "-READONLY ")


class Pool(redis.BlockingConnectionPool):
    """redis-py's; a connection that is closed while it is being made fails as others do."""

    async def ensure_connection(self, connection: Any) -> None:
        """Connect. Raises ConnectionError."""
        try:
            await super().ensure_connection(connection)
        except AttributeError as error:  # it writes to a socket that is None by then
            raise exceptions.ConnectionError("closed while it was being made") from error


class Client(redis.Redis):
    """redis-py's, with a class for every way in which Redis refuses."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command; raise `RefusedError` where redis-py has no better name."""
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except exceptions.ResponseError as error:
            raise refusal(error) from error


def refusal(error: Exception) -> Exception:
    """Return what an error of Redis means: `RefusedError`, or itself."""
    if type(error) is exceptions.ResponseError:
        text = str(error)
        if text.startswith(_REFUSALS) or any(mark in text for mark in _IN_SCRIPT):
            return RefusedError(text)
    return error


def options(address: redis_url.Address, connections: int, retries: int) -> dict[str, Any]:
    """Return redis-py's arguments of a pool: bounded waits, few retries."""
    given: dict[str, Any] = {
        "max_connections": connections,
        "timeout": TIMEOUT_S,  # for a free connection
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), retries),
        "legacy_responses": False,
        **parse_url(address.url),
    }
    if given.get("ssl_cert_reqs") == "none":
        given["ssl_check_hostname"] = False  # Python's ssl wants to be told both
    return given


Command = tuple[str | bytes | int, ...]
Call = tuple[list[str], list[Any], asyncio.Future[Any]]  # keys, arguments, reply


class Pipelined:
    """Calls of one script: those that come while one batch is out go together as the next.

    Sixteen writers share a round trip and redis-py's work around it, which is most of an
    append's cost; a lone writer waits for nobody. The script must be safe to repeat.
    """

    def __init__(self, client: Any, script: str) -> None:
        self._redis = client
        self._text = script
        self._sha = hashlib.sha1(script.encode()).hexdigest()  # noqa: S324 - as EVALSHA wants it
        self._waiting: list[Call] = []
        self._task: asyncio.Task[None] | None = None
        self._sizes: deque[int] = deque([1], maxlen=LATELY)  # of the last pipelines
        self._gathered: asyncio.Future[None] | None = None

    async def call(self, keys: list[str], args: list[Any]) -> Any:
        """Run the script and return its reply. Raises as a call of its own would."""
        if len(self._waiting) >= WAITING:
            raise RefusedError("too many calls wait for Redis")
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, args, future))
        if self._task is None:
            self._task = asyncio.create_task(self._send())
        elif self._gathered is not None and len(self._waiting) >= max(self._sizes):
            self._end_gathering()
        return await future

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:BATCH]
                del self._waiting[:BATCH]
                replies = await self._execute(batch)
                if isinstance(replies[0], _SILENCE) and replies[0] is replies[-1]:
                    # Who came meanwhile would only wait for as long again.
                    replies += replies[:1] * len(self._waiting)
                    batch += self._waiting
                    self._waiting.clear()
                self._sizes.append(len(batch))
                for (_, _, future), reply in zip(batch, replies, strict=True):
                    if future.done():  # its caller went away
                        continue
                    if isinstance(reply, Exception):
                        future.set_exception(refusal(reply))
                    else:
                        future.set_result(reply)
                if len(batch) > 1:  # there is company: let more of it come
                    await self._gather()
        finally:
            self._task = None

    async def _gather(self) -> None:
        """Wait for those who came together of late, but not for long."""
        loop = asyncio.get_running_loop()
        self._gathered = loop.create_future()
        timer = loop.call_later(GATHER_S, self._end_gathering)
        try:
            await self._gathered
        finally:
            timer.cancel()
            self._gathered = None

    def _end_gathering(self) -> None:
        if self._gathered is not None and not self._gathered.done():
            self._gathered.set_result(None)

    async def _execute(self, batch: list[Call]) -> list[Any]:
        try:
            replies = await self._pipeline(batch)
            if any(isinstance(reply, exceptions.NoScriptError) for reply in replies):
                await self._redis.script_load(self._text)
                replies = await self._pipeline(batch)
        except Exception as error:  # noqa: BLE001 - each caller gets it
            return [error] * len(batch)
        return replies

    async def _pipeline(self, batch: list[Call]) -> list[Any]:
        return await round_trip(self._redis, self._commands(batch))

    def _commands(self, batch: list[Call]) -> list[Command]:
        return [("EVALSHA", self._sha, len(keys), *keys, *args) for keys, args, _ in batch]


async def round_trip(client: Any, commands: Sequence[Command]) -> list[Any]:
    """Send commands with one write; return their replies, errors of Redis among them.

    What redis-py's pipeline does, at a third of its cost. Raises what `AWAY` names; the
    commands must be safe to repeat.
    """
    data = b"".join(map(_packed, commands))
    pool = client.connection_pool
    connection = await pool.get_connection()

    async def attempt() -> list[Any]:
        await connection.send_packed_command(data)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return [await _reply(connection) for _ in commands]
        except TimeoutError:  # the connection is closed: what it still brings belongs to nobody
            raise exceptions.TimeoutError("Redis does not answer") from None

    async def again(_error: Exception) -> None:
        await connection.disconnect()

    try:
        async with asyncio.timeout(PATIENCE_S):
            return cast("list[Any]", await connection.retry.call_with_retry(attempt, again))
    except TimeoutError:
        await connection.disconnect(nowait=True)
        raise exceptions.TimeoutError("Redis does not answer") from None
    finally:
        await pool.release(connection)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response(timeout=math.inf)  # `attempt` has one for all
    except exceptions.ResponseError as error:
        return error


def _packed(command: Command) -> bytes:
    parts = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in command]
    return b"*%d\r\n%b" % (
        len(parts),
        b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]),
    )
