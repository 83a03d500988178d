"""QUARTCHAT_ACK=replicated: what no replica has is neither acknowledged nor shown, nor archived."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
from clients import Client
from crowd import uuid7
from engines import nodes
from harness import Server
from redis.crc import key_slot
from redis.exceptions import TryAgainError

from quartchat import cluster, engines, replicas
from quartchat.replicas import UnconfirmedError

LINES = ("save ''", "appendonly yes", "repl-diskless-sync-delay 0")
QUIET_S = 1.5  # longer than the feed waits for news


@pytest.fixture
def master(tmp_path: Path) -> Iterator[nodes.Node]:
    with nodes.Node(tmp_path / "master", *LINES) as master:
        yield master


@pytest.fixture
def replica(master: nodes.Node, tmp_path: Path) -> Iterator[nodes.Node]:
    with nodes.Node(tmp_path / "replica", *LINES, f"replicaof 127.0.0.1 {master.port}") as replica:
        harness.eventually(lambda: replica.do("ROLE")[3] == b"connected")
        yield replica


@pytest.fixture
def server(master: nodes.Node, replica: nodes.Node, tmp_path: Path) -> Iterator[Server]:
    del replica
    url = f"redis://{master.address}"
    with Server(url, tmp_path / "server", QUARTCHAT_ACK="replicated") as server:
        yield server


def send(ann: Client, room: dict[str, Any], body: str) -> int:
    """The same body is the same send."""
    message = {"body": body, "client_id": SENDS.setdefault((room["id"], body), uuid7())}
    answer = ann.post(f"/api/chat/rooms/{room['id']}/messages", message)
    assert answer.status_code != 503 or "Retry-After" in answer.headers
    return answer.status_code


SENDS: dict[tuple[int, str], str] = {}


def stored(server: Server) -> list[int]:
    with harness.sql(server.database_url) as sql:
        return [n for (n,) in sql.execute("SELECT n FROM event ORDER BY n")]


def test_what_no_replica_has_is_shown_and_archived_once_one_has_it(
    server: Server, replica: nodes.Node
) -> None:
    ann = server.user("ann")
    room = ann.room()
    assert send(ann, room, "one") == 201
    harness.eventually(lambda: stored(server) == [1])
    path = f"/api/chat/rooms/{room['id']}/events"
    with ann.stream(path) as live, ann.stream("/api/chat/events") as all_rooms:
        live.next("ready")
        all_rooms.next("ready")
        replica.kill()
        assert send(ann, room, "two") == 503
        assert live.silent(QUIET_S)
        assert all_rooms.silent()
        assert stored(server) == [1]
        assert ann.get("/api/chat/events").status_code == 503  # where would it begin?
        replica.start()
        for stream in (live, all_rooms):
            assert stream.next("message", timeout_s=20)["body"] == "two"
    assert send(ann, room, "two") == 200
    harness.eventually(lambda: stored(server) == [1, 2])


def test_without_a_replica_a_process_starts_and_what_was_said_is_read(
    server: Server, replica: nodes.Node
) -> None:
    ann = server.user("ann")
    room = ann.room()
    for body in ("one", "two"):
        assert send(ann, room, body) == 201
    harness.eventually(lambda: stored(server) == [1, 2])
    replica.kill()
    server.web.restart()
    server.wait_until_ready()
    assert send(ann, room, "three") == 503
    path = f"/api/chat/rooms/{room['id']}"
    assert [m["body"] for m in ann.get(f"{path}/messages").json()["messages"]][:2] == ["one", "two"]
    assert ann.get(f"{path}/events").status_code == 503
    replica.start()
    harness.eventually(lambda: send(ann, room, "three") == 200)
    with ann.stream(f"{path}/events", last_event_id=0) as events:
        assert [m["body"] for m in events.messages(3)] == ["one", "two", "three"]


def test_what_is_there_already_is_acknowledged_only_if_a_replica_has_it(
    server: Server, replica: nodes.Node
) -> None:
    ann = server.user("ann")
    room = ann.room()
    message = ann.say(room, "one")
    path = f"/api/chat/rooms/{room['id']}/messages/{message['id']}"
    replica.kill()
    for _ in range(2):  # the second finds it done
        assert ann.put(f"{path}/reactions/%F0%9F%91%8D").status_code == 503
        assert ann.patch(path, {"body": "two"}).status_code == 503
        assert ann.delete(path).status_code == 503
    replica.start()
    harness.eventually(lambda: ann.delete(path).status_code == 204, 10)


@pytest.mark.usefixtures("replica")
def test_a_read_of_another_master_is_not_there(master: nodes.Node) -> None:
    async def ask(ends: dict[str, str]) -> set[str]:
        client = engines.connect(f"redis://{master.address}")
        try:
            return await replicas.have(client, ends)
        finally:
            await client.aclose()

    ids = [master.do("XADD", f"{{0}}{n}", f"{n}-0", "f", "v").decode() for n in (1, 2)]
    assert asyncio.run(ask({"{0}1": ids[0], "{0}2": ids[1]})) == {"{0}1", "{0}2"}
    assert asyncio.run(ask({"{0}1": "1-1", "{0}2": ids[1], "{0}3": "1-0"})) == {"{0}2"}


def test_who_gets_no_confirmation_asks_anew_who_reigns(master: nodes.Node) -> None:
    async def connections() -> list[int]:
        client = engines.connect(f"redis://{master.address}")
        try:
            before = await client.client_id()
            with pytest.raises(UnconfirmedError):
                await replicas.have(client, {"{0}": "1-0"})
            return [before, await client.client_id()]
        finally:
            await client.aclose()

    before, after = asyncio.run(connections())
    assert before != after  # of Sentinels, each connection asks for the master


def test_a_key_on_its_way_to_another_node_is_not_confirmed_by_that_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.5)

    async def say(url: str, *, replicated: bool) -> Any:
        client = engines.connect(url)
        try:
            echo = engines.pipelined(client, "return ARGV[1]", replicated=replicated)
            return await echo.call(["{0}"], ["hello"])
        finally:
            await client.aclose()

    with nodes.Cluster(tmp_path / "c") as three:
        slot = key_slot(b"{0}")
        source = three.owner(slot)
        target = next(node for node in three.masters if node is not source)
        theirs, mine = (node.do("CLUSTER", "MYID").decode() for node in (target, source))
        target.do("CLUSTER", "SETSLOT", slot, "IMPORTING", mine)
        source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", theirs)
        assert asyncio.run(say(three.url(), replicated=False)) == b"hello"
        with pytest.raises(TryAgainError):
            asyncio.run(say(three.url(), replicated=True))
