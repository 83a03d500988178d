"""What a client meets when SQL or the archive is away: a 503 that says when to come back."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import harness
import msgspec
import pytest
import redis

from quartchat.events import Control, UserId
from quartchat.stream import BACKLOG, FEED_WINDOW

StartServer = Callable[..., harness.Server]


def test_without_sql_it_is_503_and_what_redis_serves_goes_on(start_server: StartServer) -> None:
    server = start_server()
    if not server.database_url.startswith("sqlite:"):
        pytest.skip("a lock of the whole database is SQLite's")
    ann = server.user("ann")
    room = ann.room()
    path = f"/api/chat/rooms/{room['id']}/messages"
    first = ann.post(path, {"body": "before"})
    with closing(sqlite3.connect(server.database_url.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")  # nobody else can write, for longer than they wait
        refused = ann.post("/api/chat/rooms", {"name": "while it is away"})
        assert refused.status_code == 503
        assert refused.json()["code"] == "unavailable"
        assert int(refused.headers["retry-after"]) > 0
        sent = ann.post(path, {"body": "meanwhile"})  # no SQL on the way of a message
        assert sent.status_code == 201
        other.rollback()
    assert ann.post("/api/chat/rooms", {"name": "while it is away"}).status_code == 201
    found = ann.get(path).json()["messages"]
    assert [each["id"] for each in found] == [first.json()["id"], sent.json()["id"]]


def test_an_archive_too_far_behind_stops_posting_until_it_has_caught_up(
    own_valkey: harness.Valkey, start_server: StartServer
) -> None:
    server = start_server(REDIS_URL=own_valkey.url())
    ann = server.user("ann")
    path = f"/api/chat/rooms/{ann.room()['id']}/messages"
    sent = ann.post(path, {"body": "archived"}).json()
    server.worker.terminate()
    control = msgspec.json.encode(Control("session", UserId(0), session="nobody's"))
    with closing(redis.Redis.from_url(server.redis_url)) as client:
        pipe = client.pipeline(transaction=False)
        for _ in range(2 * FEED_WINDOW + BACKLOG):
            pipe.xadd("feed:{0}", {"c": control})
        pipe.execute()
    refused = ann.post(path, {"body": "too much", "client_id": "mine"})
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert backlog(server) >= BACKLOG
    server.worker.start()
    harness.eventually(
        lambda: ann.post(path, {"body": "too much", "client_id": "mine"}).status_code == 201,
        within_s=60,
    )
    found = ann.get(path).json()["messages"]
    assert [each["body"] for each in found] == ["archived", "too much"]
    assert found[0] == sent
    harness.eventually(lambda: backlog(server) < FEED_WINDOW, within_s=30)


def backlog(server: harness.Server) -> float:
    """What `/metrics` says of the entries that wait for the worker."""
    lines = server.client().get("/metrics").text.splitlines()
    [line] = [line for line in lines if line.startswith("quartchat_archive_backlog")]
    return float(line.split()[-1])
