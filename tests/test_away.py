"""What a client meets when SQL or the archive is away: a 503 that says when to come back."""

import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

import harness
import msgspec
import pytest
from crowd import uuid7
from engines import postgres

from quartchat.events import Control, UserId
from quartchat.group import WINDOW
from quartchat.stream import BACKLOG

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


@pytest.fixture
def sql() -> Iterator[postgres.Postgres]:
    with postgres.Postgres() as server:
        yield server


def test_a_postgres_that_crashed_is_503_until_it_has_started(
    start_server: StartServer, sql: postgres.Postgres
) -> None:
    server = start_server(DATABASE_URL=sql.url())
    ann = server.user("ann")
    path = f"/api/chat/rooms/{ann.room()['id']}/messages"
    numbers = count()

    def make_room() -> int:
        answer = ann.post("/api/chat/rooms", {"name": f"room {next(numbers)}"})
        assert answer.status_code == 201 or int(answer.headers["retry-after"]) > 0
        return answer.status_code

    assert make_room() == 201
    assert ann.post(path, {"body": "before", "client_id": uuid7()}).status_code == 201
    sql.stop(signal.SIGQUIT)
    assert [make_room() for _ in range(5)] == [503] * 5
    assert ann.post(path, {"body": "asks SQL", "client_id": "plain"}).status_code == 503
    assert ann.post(path, {"body": "meanwhile", "client_id": uuid7()}).status_code == 201
    starting = threading.Thread(target=sql.start)
    starting.start()
    codes = {make_room() for _ in iter(starting.is_alive, False)}
    starting.join()
    assert codes <= {201, 503}
    harness.eventually(lambda: make_room() == 201)
    with harness.sql(server.database_url) as inside:
        query = "SELECT count(*) FROM event WHERE data LIKE '%meanwhile%'"
        harness.eventually(lambda: inside.execute(query) == [(1,)])


def test_streams_open_again_while_sql_is_away_and_nothing_is_missed(
    start_server: StartServer, sql: postgres.Postgres
) -> None:
    server = start_server(DATABASE_URL=sql.url())
    ann = server.user("ann")
    room, attic = ann.room(), ann.room()
    paths = "/api/chat/events", f"/api/chat/rooms/{room['id']}/events"
    cursors = []
    for path in paths:
        with ann.stream(path) as stream:
            stream.next("ready")
            ann.say(room, "before")
            cursors.append(stream.next_event("message").id)
    sql.stop(signal.SIGQUIT)
    for path, cursor in zip(paths, cursors, strict=True):
        sent = ann.say(room, "meanwhile")
        with ann.stream(path, last_event_id=cursor) as stream:
            known = stream.next("ready")
            if "rooms" in known:
                assert {each["id"] for each in known["rooms"]} == {room["id"], attic["id"]}
            while stream.next("message")["id"] != sent["id"]:
                pass
            assert ann.say(room, "at once")["id"] == stream.next("message")["id"]
    sql.start()


def test_a_postgres_that_takes_no_writes_is_503_and_is_read(
    start_server: StartServer, sql: postgres.Postgres
) -> None:
    server = start_server(DATABASE_URL=sql.url())
    ann = server.user("ann")
    path = f"/api/chat/rooms/{ann.room()['id']}/messages"
    with harness.sql(server.database_url) as inside:

        def say(text: str) -> None:
            inside.execute(f"ALTER SYSTEM SET default_transaction_read_only = {text}")
            inside.execute("SELECT pg_reload_conf()")

        say("on")  # as a standby is, before it has taken over
        harness.eventually(
            lambda: ann.post("/api/chat/rooms", {"name": uuid7()}).status_code == 503
        )
        sent = ann.post(path, {"body": "meanwhile", "client_id": uuid7()})
        assert sent.status_code == 201
        assert ann.get(path).json()["messages"] == [sent.json()]
        say("off")
        query = "SELECT count(*) FROM event WHERE data LIKE '%meanwhile%'"
        harness.eventually(lambda: inside.execute(query) == [(1,)])
    assert ann.post("/api/chat/rooms", {"name": uuid7()}).status_code == 201


def test_an_emptied_redis_uses_no_number_twice_and_its_readers_go_on_from_sql(
    own_valkey: harness.Valkey, start_server: StartServer
) -> None:
    server = start_server(REDIS_URL=own_valkey.url())
    ann = server.user("ann")
    path = f"/api/chat/rooms/{ann.room()['id']}"
    sends = [{"body": f"{n}", "client_id": uuid7()} for n in range(1, 6)]
    first = [ann.post(f"{path}/messages", send).content for send in sends]
    with harness.sql(server.database_url) as inside:
        stored = "SELECT n FROM event ORDER BY n"
        harness.eventually(lambda: len(inside.execute(stored)) == 5)
        with closing(harness.inside(server.redis_url)) as client:
            client.flushall()
        with ann.stream(f"{path}/events", last_event_id="2") as resumed:
            assert [resumed.next("message")["id"] for _ in range(3)] == [3, 4, 5]
            assert ann.post(f"{path}/messages", {"body": "6"}).json()["id"] == 6
            assert resumed.next("message")["id"] == 6
        again = [ann.post(f"{path}/messages", send) for send in sends]
        assert [answer.status_code for answer in again] == [200] * 5
        assert [answer.content for answer in again] == first
        found = ann.get(f"{path}/messages").json()["messages"]
        assert [message["body"] for message in found] == list("123456")
        harness.eventually(lambda: inside.execute(stored) == [(n,) for n in range(1, 7)])


@pytest.mark.parametrize("from_first", [False, True], ids=["its place", "the beginning"])
def test_who_begins_on_an_emptied_redis_knows_that_sql_has_what_was_before(
    own_valkey: harness.Valkey, start_server: StartServer, *, from_first: bool
) -> None:
    """A feed that has nothing yet says so by no number: what lies before it is not in memory."""
    server = start_server(REDIS_URL=own_valkey.url())
    ann = server.user("ann")
    room = ann.room()
    with ann.stream("/api/chat/events") as stream:
        cursor = stream.next("ready")["cursor"]
    for n in range(1, 6):
        ann.say(room, f"{n}")
    with harness.sql(server.database_url) as inside:
        harness.eventually(lambda: len(inside.execute("SELECT n FROM event")) == 5)
    server.web.terminate()
    with closing(harness.inside(server.redis_url)) as client:
        client.flushall()
    server.web.start()
    server.wait_until_ready()
    with ann.stream("/api/chat/events", last_event_id="0" if from_first else cursor) as resumed:
        assert [resumed.next("message")["id"] for _ in range(5)] == [1, 2, 3, 4, 5]
        ann.say(room, "6")
        assert resumed.next("message")["id"] == 6


def test_an_archive_too_far_behind_stops_posting_until_it_has_caught_up(
    own_valkey: harness.Valkey, start_server: StartServer
) -> None:
    server = start_server(REDIS_URL=own_valkey.url())
    ann = server.user("ann")
    room = ann.room()
    path = f"/api/chat/rooms/{room['id']}/messages"
    feed = harness.room_key(server, "feed", room["id"]).rpartition(":")[0]
    sent = ann.post(path, {"body": "archived"}).json()
    server.worker.terminate()
    control = msgspec.json.encode(Control("session", UserId(0), session="nobody's"))
    with closing(harness.inside(server.redis_url)) as client:
        pipe = client.pipeline(transaction=False)
        for _ in range(2 * WINDOW + BACKLOG):
            pipe.xadd(feed, {"c": control})
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
    # A batch of 500 each quarter of a second at best: 23 s for what is left.
    harness.eventually(lambda: backlog(server) < WINDOW, within_s=90)


def backlog(server: harness.Server) -> float:
    """What `/metrics` says of the entries that wait for the worker."""
    lines = server.client().get("/metrics").text.splitlines()
    [line] = [line for line in lines if line.startswith("quartchat_archive_backlog")]
    return float(line.split()[-1])
