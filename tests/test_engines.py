"""The larger engines: PostgreSQL, a master with Sentinels, a Cluster; and the death of each.

The checker is always the same: what was acknowledged is stored once, under its number, and
every reader had it once and in order, or was told by `reset` that it had not.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import harness
import pytest
from clients import Client
from crowd import uuid7
from engines import nodes, postgres, tls
from harness import Server
from redis.crc import key_slot
from redis.exceptions import ConnectionError  # noqa: A004

from quartchat import engines as redis_engines

ENOUGH = 20  # sends that must have been acknowledged after the trouble
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def sql() -> Iterator[postgres.Postgres]:
    with postgres.Postgres() as server:
        yield server


@pytest.fixture
def serve(sql: postgres.Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start a server on some Redis and on PostgreSQL."""
    monkeypatch.setattr(harness, "postgres", sql)
    started: list[Server] = []

    def start(url: str, **env: Any) -> Server:
        server = Server(url, tmp_path / "server", **env)
        started.append(server)
        return server.__enter__()

    yield start
    for server in started:
        server.close()


class Sender(threading.Thread):
    """Sends to some rooms, each send again under its client_id until it is acknowledged."""

    def __init__(self, server: Server, client: Client, rooms: list[dict[str, Any]]) -> None:
        super().__init__(daemon=True)
        self.client, self.rooms = client, rooms
        self.acknowledged: list[dict[str, Any]] = []
        self.refused = 0
        self.odd: list[str] = []
        self._stop_asked = threading.Event()
        self._server = server

    def run(self) -> None:
        number = 0
        while not self._stop_asked.is_set():
            number += 1
            self.send(self.rooms[number % len(self.rooms)], number)
            time.sleep(0.005)

    def send(self, room: dict[str, Any], number: int) -> None:
        body = {"body": f"{number}", "client_id": uuid7()}
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            answer = self.client.post(f"/api/chat/rooms/{room['id']}/messages", body)
            if answer.status_code in (200, 201):
                self.acknowledged.append(answer.json())
                return
            if answer.status_code != 503 or "Retry-After" not in answer.headers:
                self.odd.append(f"{answer.status_code} {answer.text}")
                return
            self.refused += 1
            time.sleep(0.1)
        self.odd.append("never acknowledged")

    def wait_for_more(self, count: int = ENOUGH) -> None:
        before = len(self.acknowledged)
        harness.eventually(lambda: len(self.acknowledged) >= before + count, PATIENCE_S)

    def finish(self) -> None:
        self._stop_asked.set()
        self.join(PATIENCE_S + 5)
        assert not self.odd, self.odd


@contextmanager
def sending(server: Server, rooms: int = 6) -> Iterator[Sender]:
    ann = server.user("ann")
    sender = Sender(server, ann, [ann.room() for _ in range(rooms)])
    sender.start()
    try:
        sender.wait_for_more()
        yield sender
    finally:
        sender.finish()


def check(server: Server, sender: Sender, *, lost: int = 0) -> None:
    """Everything acknowledged is in SQL and in the history, once, in order of its numbers."""
    for room in sender.rooms:
        mine = [m for m in sender.acknowledged if m["room_id"] == room["id"]]
        ids = [message["id"] for message in mine]
        if not lost:
            assert len(set(ids)) == len(ids)
            harness.eventually(lambda room=room, n=ids[-1]: stored(server, room)[-1:] == [n])
            assert stored(server, room) == list(range(1, ids[-1] + 1))
        page: list[dict[str, Any]] = []
        while not page or page[-1]["id"] < ids[-1]:
            after = page[-1]["id"] if page else 0
            found = sender.client.get(
                f"/api/chat/rooms/{room['id']}/messages", after=after, limit=200
            ).json()["messages"]
            assert found
            page += found
        assert [m["id"] for m in page] == sorted({m["id"] for m in page})
        if not lost:
            assert {m["id"]: m for m in page} == {m["id"]: m for m in mine}


def stored(server: Server, room: dict[str, Any]) -> list[int]:
    with harness.sql(server.database_url) as sql:
        query = f"SELECT n FROM event WHERE room_id = {room['id']} ORDER BY n"  # noqa: S608
        return [n for (n,) in sql.execute(query)]


def test_a_certificate_is_checked_by_the_authority_that_is_named(
    serve: Any, tmp_path: Path
) -> None:
    with tls.Valkey(tmp_path / "v") as valkey:
        address = valkey.url().partition("?")[0]
        server = serve(f"{address}?ssl_ca_certs={valkey.authority}")
        with sending(server) as sender:
            room = sender.rooms[0]
            with sender.client.stream(f"/api/chat/rooms/{room['id']}/events") as stream:
                assert stream.next("message")["room_id"] == room["id"]
        check(server, sender)
        with pytest.raises(ConnectionError, match="certificate verify failed"):
            asyncio.run(ping(address))


async def ping(url: str) -> None:
    client = redis_engines.connect(url)
    try:
        await client.ping()
    finally:
        await client.aclose()


def test_a_cluster_and_postgres_serve_everything(serve: Any, tmp_path: Path) -> None:
    with nodes.Cluster(tmp_path / "c") as cluster:
        server = serve(cluster.url(), QUARTCHAT_RATE_LIMITS="on")
        with sending(server) as sender:
            room = sender.rooms[0]
            with sender.client.stream(f"/api/chat/rooms/{room['id']}/events") as stream:
                assert stream.next("message")["room_id"] == room["id"]
            with sender.client.stream("/api/chat/events") as stream:
                seen = {stream.next("message")["room_id"] for _ in range(20)}
                assert seen == {room["id"] for room in sender.rooms}
        check(server, sender)
        per_node = [master.do("DBSIZE") for master in cluster.masters]
        assert all(per_node), per_node  # the partitions lie on all of them


@pytest.mark.parametrize("way", ["key by key", "at once"])
def test_slots_that_move_under_load_lose_and_double_nothing(
    serve: Any, tmp_path: Path, way: str
) -> None:
    with nodes.Cluster(tmp_path / "c") as cluster:
        server = serve(cluster.url())
        with sending(server) as sender:
            for partition in range(int(harness.PARTITIONS)):
                cluster.move(key_slot(b"{%d}" % partition), at_once=way == "at once")
                sender.wait_for_more(2)
            sender.wait_for_more()
        check(server, sender)


def test_a_replica_takes_over_from_a_dead_master_of_a_cluster(serve: Any, tmp_path: Path) -> None:
    with nodes.Cluster(tmp_path / "c", replicas=1) as cluster:
        server = serve(cluster.url(), QUARTCHAT_ACK="replicated")
        with sending(server) as sender:
            dead = cluster.masters[0]
            slots = [part for part in dead.do("CLUSTER", "SLOTS") if part[2][1] == dead.port]
            dead.kill()
            harness.eventually(lambda: cluster.owner(slots[0][0]) is not dead, PATIENCE_S)
            dead.start()  # and follows: without a replica nothing is acknowledged here
            sender.wait_for_more()
        check(server, sender)


def test_sentinels_fail_over_and_the_chat_goes_on(serve: Any, tmp_path: Path) -> None:
    with nodes.Sentinels(tmp_path / "s") as sentinels:
        server = serve(sentinels.url(), QUARTCHAT_ACK="replicated")
        with sending(server) as sender:
            sentinels.sentinels[0].do("SENTINEL", "FAILOVER", nodes.SERVICE)  # as for an upgrade
            harness.eventually(lambda: sentinels.current() is sentinels.replica, PATIENCE_S)
            sender.wait_for_more()
        check(server, sender)


def test_a_failover_takes_nothing_with_it_that_somebody_has_seen(
    serve: Any, tmp_path: Path
) -> None:
    with nodes.Sentinels(tmp_path / "s") as sentinels:
        server = serve(sentinels.url(), QUARTCHAT_ACK="replicated")
        ann = server.user("ann")
        room = ann.room()
        path = f"/api/chat/rooms/{room['id']}"
        sender = Sender(server, ann, [room])
        sender.send(room, 1)
        harness.eventually(lambda: stored(server, room) == [1])
        with ann.stream(f"{path}/events") as live, ann.stream("/api/chat/events") as all_rooms:
            live.next("ready")
            all_rooms.next("ready")
            sentinels.cut_off()
            ghost = ann.post(f"{path}/messages", {"body": "ghost", "client_id": uuid7()})
            assert ghost.status_code == 503
            assert live.silent(1)
            sentinels.kill_master()
            sentinels.master.start()
            sentinels.reunite()
            sender.send(room, 2)
            for stream in (live, all_rooms):  # neither the ghost, nor that it is gone
                assert stream.next("message", "reset")["body"] == "2"
        check(server, sender)
        told = server.web.output() + server.worker.output()
        assert "lost" not in told
        assert "clash" not in told


def test_a_failover_that_loses_what_sql_holds_gets_it_back(serve: Any, tmp_path: Path) -> None:
    with nodes.Sentinels(tmp_path / "s") as sentinels:
        server = serve(sentinels.url())
        with sending(server) as sender:
            sentinels.cut_off()
            sender.wait_for_more()
        for room in sender.rooms:  # what is in no room's archive is lost by definition
            last = [m["id"] for m in sender.acknowledged if m["room_id"] == room["id"]][-1]
            harness.eventually(lambda: stored(server, room)[-1:] == [last])  # noqa: B023 - at once
        sentinels.kill_master()
        harness.eventually(server.is_ready, PATIENCE_S)
        number = 1000
        for each in sender.rooms * 3:
            number += 1
            sender.send(each, number)
        check(server, sender)
        assert "redis_lost_events" in server.web.output() + server.worker.output()


def test_a_failover_that_loses_what_nobody_holds_is_told_to_every_reader(
    serve: Any, tmp_path: Path
) -> None:
    with nodes.Sentinels(tmp_path / "s") as sentinels:
        server = serve(sentinels.url())
        server.worker.terminate()  # nothing is archived meanwhile
        ann = server.user("ann")
        room = ann.room()
        path = f"/api/chat/rooms/{room['id']}"
        sender = Sender(server, ann, [room])
        for number in range(5):
            sender.send(room, number)
        harness.eventually(sentinels.in_step, PATIENCE_S)
        sentinels.cut_off()
        with ann.stream(f"{path}/events") as live, ann.stream("/api/chat/events") as all_rooms:
            live.next("ready")
            all_rooms.next("ready")
            for number in range(5, 10):
                sender.send(room, number)
                assert live.next("message")["id"] == number + 1
                assert all_rooms.next("message")["id"] == number + 1
            sentinels.kill_master()
            sender.send(room, 10)
            assert sender.acknowledged[-1]["id"] == 6  # a number that readers know for another
            assert live.next("reset", timeout_s=10)["reason"] == "lost"
            assert all_rooms.next("reset", timeout_s=10)["reason"] == "lost"
        with ann.stream(f"{path}/events", last_event_id="10") as late:
            assert late.next("reset")["reason"] == "ahead"
        server.worker.start()
        harness.eventually(lambda: stored(server, room) == list(range(1, 7)))
