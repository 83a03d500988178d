"""A disk that is full, under SQL or under Redis: 503, and all is there once it has room again."""

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import harness
import pytest
from clients import Client
from crowd import uuid7
from engines import nodes, postgres

StartServer = Callable[..., harness.Server]
LONG = "x" * 3000
IDS = [uuid7() for _ in range(5000)]


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    directory.mkdir(parents=True)
    options = ("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory))
    with suppress(OSError):
        if subprocess.run(["mount", *options], check=False, capture_output=True).returncode == 0:
            try:
                yield directory
            finally:
                subprocess.run(["umount", "--lazy", str(directory)], check=True)
            return
    pytest.skip("only root may mount a small disk")


@contextmanager
def filled(directory: Path) -> Iterator[None]:
    """Leave no byte of a disk free."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    try:
        yield
    finally:
        filler.unlink()


def send(client: Client, path: str, number: int) -> int:
    body = {"body": f"{number} {LONG}", "client_id": IDS[number]}
    answer = client.post(f"{path}/messages", body)
    assert answer.status_code != 503 or int(answer.headers["retry-after"]) > 0
    return answer.status_code


def stored(server: harness.Server) -> list[int]:
    with harness.sql(server.database_url) as sql:
        return [n for (n,) in sql.execute("SELECT n FROM event ORDER BY n")]


def limit(process: harness.Process, size: int) -> None:
    """Let a process write no file beyond a size, as if the disk ended there."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_under_sqlite_is_503_and_what_was_sent_is_archived_afterwards(
    start_server: StartServer,
) -> None:
    server = start_server()
    if not server.database_url.startswith("sqlite"):
        pytest.skip("the file of SQLite")
    ann = server.user("ann")
    path = f"/api/chat/rooms/{ann.room()['id']}"
    assert send(ann, path, 1) == 201
    harness.eventually(lambda: stored(server) == [1])
    for process in (server.web, server.worker):
        limit(process, 32 << 10)
    assert [send(ann, path, number) for number in range(2, 42)] == [201] * 40
    harness.eventually(lambda: "archive_unavailable" in server.worker.output())
    refused = ann.post("/api/chat/rooms", {"name": "no room for it"})
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    found = ann.get(f"{path}/messages", limit=200).json()["messages"]
    assert [message["id"] for message in found] == list(range(1, 42))
    for process in (server.web, server.worker):
        limit(process, resource.RLIM_INFINITY)
    harness.eventually(lambda: stored(server) == list(range(1, 42)))
    harness.eventually(lambda: ann.post("/api/chat/rooms", {"name": "now"}).status_code == 201)


def test_a_full_disk_under_postgres_is_503_and_what_was_sent_is_archived_afterwards(
    start_server: StartServer,
) -> None:
    with postgres.Postgres() as sql, small_disk(sql.directory / "small", 24) as disk:
        url = sql.url_on(disk)
        server = start_server(DATABASE_URL=url)
        ann = server.user("ann")
        path = f"/api/chat/rooms/{ann.room()['id']}"
        names = count()

        def make_room() -> int:
            answer = ann.post("/api/chat/rooms", {"name": f"{next(names)} {LONG[:50]}"})
            return answer.status_code

        assert send(ann, path, 0) == 201
        harness.eventually(lambda: stored(server) == [1])
        with filled(disk):
            number = 0
            while "archive_unavailable" not in server.worker.output():
                number += 1
                assert number < 5000, "24 MB are not full yet"
                assert send(ann, path, number) == 201  # no SQL on its way
            codes = {201}
            while codes == {201}:
                codes = {make_room()}
            assert codes == {503}
        last = [send(ann, path, again) for again in range(number + 1)]
        assert set(last) <= {200, 201}
        harness.eventually(lambda: stored(server) == list(range(1, number + 2)))
        assert make_room() == 201


def test_a_full_disk_under_redis_is_503_and_nothing_that_was_answered_is_lost(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "small", 16) as disk:
        lines = ("save ''", "appendonly yes", "appendfsync everysec")
        with (
            nodes.Node(disk / "valkey", *lines) as node,
            harness.Server(f"redis://{node.address}", tmp_path / "server") as server,
        ):
            ann = server.user("ann")
            path = f"/api/chat/rooms/{ann.room()['id']}"
            assert send(ann, path, 0) == 201
            number = 0
            with filled(disk):
                code = 201
                while code == 201:
                    number += 1
                    code = send(ann, path, number)
                assert code == 503
                assert ann.get(f"{path}/messages").status_code == 200
            harness.eventually(lambda: send(ann, path, number) in (200, 201))
            assert [send(ann, path, again) for again in range(number + 1)] == [200] * (number + 1)
            node.kill()  # what was acknowledged is on the disk by now
            node.start()
            harness.eventually(lambda: send(ann, path, number) == 200)
            harness.eventually(lambda: stored(server) == list(range(1, number + 2)))
