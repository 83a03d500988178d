"""`up`: everything in one command, with nothing else installed.

Valkey, where REDIS_URL names none, and the migrations start side by side, then the
worker and the web processes; this process only watches. The listening socket is its
own, so that clients of a web process that is being restarted wait instead of failing.
"""

import asyncio
import dataclasses
import os
import secrets
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import structlog

from quartchat import embedded, process, server
from quartchat import listener as listening
from quartchat.config import Config
from quartchat.process import StartError
from quartchat.supervisor import Program, Supervisor, first

DEADLINE_S = 28.0  # from the signal to the end, where a platform kills after 30
REPORT_S = 5.0  # how often to say what is not ready
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (where to ask for readiness)
READY_REQUEST = b"GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

log = structlog.get_logger()


def run(config: Config) -> int:
    """Serve until a signal."""
    process.raise_file_limit()
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        valkey = None
        if not config.redis_url:
            stack.enter_context(embedded.only_one(config.data_dir))
            valkey = embedded.socket_path(config.data_dir)
            config = dataclasses.replace(config, redis_url=embedded.url(valkey))
        if not config.secret_key:
            config = dataclasses.replace(config, secret_key=_secret(config.data_dir / "secret"))
        listener = stack.enter_context(listening.listen(config))
        metrics = stack.enter_context(server.metrics_dir(config))
        asyncio.run(_supervise(config, listener, metrics, valkey))
    return 0


def _secret(path: Path) -> str:
    """Read the key that signs cookies; make it at the first start."""
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    draft = path.with_name(f"secret.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(48))
    with suppress(FileExistsError):  # another process was faster: its key counts
        path.hardlink_to(draft)
    draft.unlink()
    return path.read_text().strip()


async def _supervise(
    config: Config, listener: socket.socket, metrics: str | None, valkey: Path | None
) -> None:
    stop = process.stop_event(DEADLINE_S)
    environ = os.environ | {
        "REDIS_URL": config.redis_url,
        "DATABASE_URL": config.database_url,
        "SECRET_KEY": config.secret_key,
    }

    async def serve() -> None:
        await _prepare(config, supervisor, valkey)
        worker = ("quartchat", "worker", "--lifeline")
        supervisor.start(Program("worker", worker, environ))
        supervisor.start(*server.children(listener, config, environ, metrics))
        await _wait_until_ready(listener)
        url = listening.url(config.host, listener.getsockname()[1])
        print(f"quartchat is ready at {url}", flush=True)  # noqa: T201  (the promise of `up`)
        await stop.wait()

    async with Supervisor() as supervisor:
        try:
            await first(stop.wait(), supervisor.failure(), serve())
        finally:
            listener.close()


async def _prepare(config: Config, supervisor: Supervisor, valkey: Path | None) -> None:
    """Start the embedded Valkey and bring the database up to date, side by side."""
    waiting = []
    if valkey is not None:
        directory = str(config.data_dir / "valkey")
        guardian = ("quartchat.embedded", directory, str(valkey))
        supervisor.start(Program("valkey", guardian, os.environ, patience_s=embedded.PATIENCE_S))
        waiting.append(embedded.wait_until_ready(valkey))
    await asyncio.gather(migrate(config), *waiting)


async def migrate(config: Config) -> None:
    """Bring the database to the current schema; raise `StartError` where it is away."""
    from quartchat import store  # noqa: PLC0415  (slow, and Valkey starts meanwhile)

    try:
        applied = await store.migrate(config.database_url)
    except store.AWAY as error:
        raise StartError(f"the database that DATABASE_URL names is not usable: {error}") from error
    if applied:
        log.info("migrated", applied=",".join(applied))


async def _wait_until_ready(listener: socket.socket) -> None:
    """Ask until the answer is 200; the first question waits in the backlog for a web process."""
    loop = asyncio.get_running_loop()
    reported = loop.time()
    while (answer := await _ready(listener)).partition(b" ")[2][:3] != b"200":
        await asyncio.sleep(0.02)
        if loop.time() > reported + REPORT_S:
            reported = loop.time()
            detail = answer.rpartition(b"\r\n")[2].decode(errors="replace")
            log.warning("not ready yet", answer=detail)


async def _ready(listener: socket.socket) -> bytes:
    """Return the answer of GET /healthz/ready, or what went wrong on the way to it."""
    host, port = listener.getsockname()[:2]
    try:
        async with asyncio.timeout(REPORT_S):
            reader, writer = await asyncio.open_connection(WILDCARDS.get(host, host), port)
            try:
                writer.write(READY_REQUEST)
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return f" \r\n{error!r}".encode()
