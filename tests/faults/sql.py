"""The SQL side of a run, and how it goes away for a while."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

import harness

LOCK_S = 30.0  # how long we wait for SQLite's lock among the writers
START_S = "30"  # what PostgreSQL gets to start or to stop


class Database(Protocol):
    """One database of the run's own."""

    url: str

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
    """A cluster in the run's directory; gone means that the server was shut down at once."""

    def __init__(self, directory: Path) -> None:
        self._data = directory / "postgres"
        self._log = directory / "postgres.log"
        self._port = harness.free_port()
        self._user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        self.url = f"postgresql://chat@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        self._data.mkdir()
        self._log.touch()
        if self._user is not None:
            for path in (self._data, self._log):
                shutil.chown(path, self._user)
            for parent in (self._data.parent, *self._data.parent.parents[:-1]):
                parent.chmod(parent.stat().st_mode | 0o011)  # to be passed through
        self._run("initdb", "-A", "trust", "-U", "chat", "-N", "-E", "UTF8", "--locale=C")
        self._up()

    def close(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self._down()

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self._down)
        try:
            yield
        finally:
            await asyncio.to_thread(self._up)

    def _up(self) -> None:
        # fsync stays on: what is committed here is trimmed from Redis.
        options = f"-p {self._port} -k {self._data} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-w", "-t", START_S, "-l", str(self._log), "-o", options, "start")

    def _down(self) -> None:
        self._run("pg_ctl", "-w", "-t", START_S, "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        found = [*Path("/usr/lib/postgresql").glob(f"*/bin/{program}")]
        subprocess.run(
            [str(max(found)) if found else program, "-D", str(self._data), *arguments],
            check=True,
            user=self._user,
            cwd=self._data,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


DATABASES: dict[str, Callable[[Path], Database]] = {"sqlite": Sqlite, "postgres": Postgres}
