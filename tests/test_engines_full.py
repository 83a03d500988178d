"""A Redis that is full, in memory or on disk: refused at the start, or 503, and nothing lost."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import harness
import pytest
from clients import Client
from engines import nodes
from harness import Server


@pytest.fixture
def node(tmp_path: Path) -> Iterator[nodes.Node]:
    with nodes.Node(tmp_path / "valkey", "save ''") as node:
        yield node


@pytest.fixture
def server(node: nodes.Node, tmp_path: Path) -> Iterator[Server]:
    with Server(f"redis://{node.address}", tmp_path / "server") as server:
        yield server


@pytest.mark.parametrize("command", ["web", "worker"])
def test_a_redis_that_forgets_keys_is_refused_with_one_line(
    node: nodes.Node, tmp_path: Path, command: str
) -> None:
    node.do("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    env = {
        "REDIS_URL": f"redis://{node.address}",
        "SECRET_KEY": "k",
        "PORT": "0",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'chat.db'}",
    }
    process = harness.Process(command, env=env, log=tmp_path / "log").start()
    assert process.wait() == 2
    assert re.fullmatch(r"quartchat: REDIS_URL .* is allkeys-lru\): .*\n", process.output())


def send(client: Client, path: str, number: int) -> int:
    body = {"body": f"{number} {'x' * 3000}", "client_id": f"send {number}"}
    answer = client.post(f"{path}/messages", body)
    assert answer.status_code != 503 or answer.headers["Retry-After"]
    return answer.status_code


def test_without_memory_a_send_is_503_and_nothing_is_lost(node: nodes.Node, server: Server) -> None:
    ann = server.user("ann")
    path = f"/api/chat/rooms/{ann.room()['id']}"
    node.do("CONFIG", "SET", "maxmemory", node.do("INFO", "memory")["used_memory"] + 300_000)
    codes: list[int] = []
    while not codes or codes[-1] == 201:
        codes.append(send(ann, path, len(codes)))
    assert codes[-1] == 503
    assert len(ann.get(f"{path}/messages", limit=200).json()["messages"]) == len(codes) - 1
    node.do("CONFIG", "SET", "maxmemory", 0)
    again = [send(ann, path, number) for number in range(len(codes))]
    assert again == [200] * (len(codes) - 1) + [201]
    found = ann.get(f"{path}/messages", limit=200).json()["messages"]
    assert [message["id"] for message in found] == list(range(1, len(codes) + 1))


def test_a_redis_that_cannot_write_to_its_disk_is_503(node: nodes.Node, server: Server) -> None:
    ann = server.user("ann")
    path = f"/api/chat/rooms/{ann.room()['id']}"
    assert send(ann, path, 1) == 201
    node.do("CONFIG", "SET", "save", "3600 100000")
    shutil.rmtree(node.directory)
    node.do("BGSAVE")
    harness.eventually(lambda: node.do("INFO", "persistence")["rdb_last_bgsave_status"] != "ok")
    assert send(ann, path, 2) == 503
    assert ann.get(f"{path}/messages").status_code == 200
    node.do("CONFIG", "SET", "save", "")  # its disk is of no matter to it any more
    harness.eventually(lambda: send(ann, path, 2) in (200, 201))
    assert [m["id"] for m in ann.get(f"{path}/messages").json()["messages"]] == [1, 2]


def test_what_is_acknowledged_is_in_sql_where_that_was_asked_for(
    node: nodes.Node, tmp_path: Path
) -> None:
    with Server(
        f"redis://{node.address}", tmp_path / "archived", QUARTCHAT_ACK="archived"
    ) as server:
        server.worker.terminate()
        ann = server.user("ann")
        path = f"/api/chat/rooms/{ann.room()['id']}"
        for number in range(5):
            assert send(ann, path, number) == 201
            with harness.sql(server.database_url) as sql:
                assert sql.execute("SELECT count(*) FROM event") == [(number + 1,)]
        assert send(ann, path, 0) == 200
        with harness.sql(server.database_url) as sql:
            sql.lock()
            assert send(ann, path, 5) == 503
            sql.unlock()
        server.worker.start()  # it gets by the feed what the web process could not commit
        harness.eventually(lambda: send(ann, path, 5) == 200)
        with harness.sql(server.database_url) as sql:
            assert sql.execute("SELECT n FROM event ORDER BY n") == [(n,) for n in range(1, 7)]


def test_a_master_without_a_replica_acknowledges_nothing_where_that_was_asked_for(
    node: nodes.Node, tmp_path: Path
) -> None:
    with Server(
        f"redis://{node.address}", tmp_path / "replicated", QUARTCHAT_ACK="replicated"
    ) as server:
        ann = server.user("ann")
        path = f"/api/chat/rooms/{ann.room()['id']}"
        assert send(ann, path, 1) == 503
        lines = ("save ''", f"replicaof 127.0.0.1 {node.port}")
        with nodes.Node(tmp_path / "replica", *lines):
            harness.eventually(lambda: send(ann, path, 1) == 200)
