"""The web process: Hypercorn and its end; or the parent of several such processes.

Hypercorn's own command line is not used: it would end the lifespan only after every
stream has ended by itself, which streams do not (pgjones/hypercorn#308).
"""

import asyncio
import gc
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from quartchat import listener as listening
from quartchat import process
from quartchat.config import Config
from quartchat.supervisor import Program, Supervisor, first

if TYPE_CHECKING:
    import hypercorn

DRAIN_S = 1.5  # for the app to end its streams
GRACEFUL_S = 2.0  # for what is under way after that
DEADLINE_S = 4.0  # from the signal to the end, also with readers that never read
KEEP_ALIVE_S = 95.0  # Heroku's router reuses a connection for up to 90 s
# Of Python's default (700, 10, 10) the full collections over thousands of streams make the
# slowest one in a hundred deliveries.
GC_THRESHOLD = (5_000, 10, 20)
CONNECTION_REQUESTS = 1 << 30  # a connection may carry any number

log = structlog.get_logger()


def run(config: Config, fd: int | None = None) -> int:
    """Serve until a signal; `fd` is a listening socket that the parent opened."""
    process.raise_file_limit()
    if fd is not None:
        return _serve_alone(socket.socket(fileno=fd), config)
    with listening.listen(config) as listener:
        if config.web_concurrency > 1:
            return asyncio.run(_serve_by_children(listener, config))
        return _serve_alone(listener, config)


def _serve_alone(listener: socket.socket, config: Config) -> int:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(listener, config))
    return 0


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it is installed, else None: asyncio's own."""
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415  (not on every platform)

        return uvloop.new_event_loop
    return None


async def _serve(listener: socket.socket, config: Config) -> None:
    stop = process.stop_event(DEADLINE_S)
    gc.disable()  # what the imports and the app make stays: looking through it is wasted time
    import hypercorn.asyncio  # noqa: PLC0415  (slow, and the signal handlers are in place now)

    from quartchat import app as application  # noqa: PLC0415
    from quartchat import engines, http1  # noqa: PLC0415

    await engines.check(config.redis_url)
    app = application.create_app(config)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    gc.enable()

    connections = http1.install()

    async def stopped() -> None:
        await stop.wait()
        log.info("draining")
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await asyncio.gather(application.drain(app), connections.end())
        # Hypercorn closes the socket now, and from Python 3.12 on that waits for them all.
        asyncio.get_running_loop().call_later(GRACEFUL_S, connections.cut)

    log.info("listening", url=listening.url(*listener.getsockname()[:2]))
    await hypercorn.asyncio.serve(app, _settings(listener.detach()), shutdown_trigger=stopped)
    log.info("stopped")


def _settings(fd: int) -> "hypercorn.Config":
    from hypercorn import Config as Settings  # noqa: PLC0415

    settings = Settings()
    settings.bind = [f"fd://{fd}"]
    settings.backlog = listening.BACKLOG
    settings.graceful_timeout = DEADLINE_S  # ours comes before it
    settings.keep_alive_timeout = KEEP_ALIVE_S
    settings.keep_alive_max_requests = CONNECTION_REQUESTS
    settings.include_server_header = False
    settings.errorlog = logging.getLogger("hypercorn.error")
    return settings


async def _serve_by_children(listener: socket.socket, config: Config) -> int:
    stop = process.stop_event(2 * DEADLINE_S)
    log.info("listening", url=listening.url(*listener.getsockname()[:2]))
    with metrics_dir(config) as metrics:
        async with Supervisor() as supervisor:
            supervisor.start(*children(listener, config, os.environ, metrics))
            await first(stop.wait(), supervisor.failure())
            listener.close()
    return 0


@contextmanager
def metrics_dir(config: Config) -> Iterator[str | None]:
    """Make the directory in which several processes add up their metrics; None for one."""
    if config.web_concurrency == 1:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="quartchat-metrics-", ignore_cleanup_errors=True) as it:
        yield it


def children(
    listener: socket.socket, config: Config, environ: Mapping[str, str], metrics: str | None
) -> list[Program]:
    """Return the web processes that share one listening socket."""
    environ = dict(environ)
    if metrics is not None:
        environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
    fd = listener.fileno()
    arguments = ("quartchat", "web", "--fd", str(fd), "--lifeline")

    def forget(pid: int) -> None:
        """Drop a dead process's gauges; what it counted still counts."""
        if metrics is not None:
            for file in Path(metrics).glob(f"gauge_live*_{pid}.db"):
                file.unlink(missing_ok=True)

    return [
        Program(f"web.{number}", arguments, environ, (fd,), on_exit=forget)
        for number in range(1, config.web_concurrency + 1)
    ]
