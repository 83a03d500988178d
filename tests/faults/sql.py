"""The SQL side of a run, and how it goes away for a while."""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

from engines import postgres

LOCK_S = 30.0  # how long we wait for SQLite's lock among the writers


class Database(Protocol):
    """One database of the run's own."""

    url: str  # known once it was started

    def start(self) -> None:
        """Make it reachable; its tables are the migration's matter."""

    def close(self) -> None:
        """End what was started."""

    def gone(self) -> AbstractAsyncContextManager[None]:
        """Take it away for as long as the context lasts."""


class Sqlite:
    """A file; gone means that somebody else holds its lock, so that nobody can write.

    In WAL mode those who read go on: a file cannot be taken away from a process that has it.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "quartchat.db"
        self.url = f"sqlite:///{self._file}"

    def start(self) -> None:
        """Do nothing: a file is made by who opens it."""

    def close(self) -> None:
        """Do nothing: a file needs no end."""

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        lock = sqlite3.connect(
            self._file, timeout=LOCK_S, isolation_level=None, check_same_thread=False
        )
        with closing(lock):
            await asyncio.to_thread(lock.execute, "BEGIN EXCLUSIVE")
            try:
                yield
            finally:
                lock.execute("ROLLBACK")


class Postgres:
    """A server of the run's own; gone means that it crashed, and starts again afterwards."""

    def __init__(self, _: Path) -> None:
        self.url = ""
        # fsync stays on: what is committed here is trimmed from Redis.
        self._server = postgres.Postgres(durable=True)
        self._end = ExitStack()

    def start(self) -> None:
        self._end.enter_context(self._server)
        self.url = self._server.url()

    def close(self) -> None:
        self._end.close()

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self._server.stop, signal.SIGQUIT)
        try:
            yield
        finally:
            await asyncio.to_thread(self._server.start)


DATABASES: dict[str, Callable[[Path], Database]] = {"sqlite": Sqlite, "postgres": Postgres}
