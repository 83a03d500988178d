"""The streams' own promises: how they begin, where they resume, when they end."""

import asyncio
import re
import socket
import time
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import crowd
import harness
import pytest
import sockets

from quartchat.routes.events import EventStream

StartServer = Callable[..., harness.Server]
NUMBERED = ("message", "member.join", "member.leave")


@pytest.fixture(scope="module")
def brisk(
    valkey: harness.Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[harness.Server]:
    """A server whose clocks run fast."""
    with harness.Server(
        valkey.url(keep=True),
        tmp_path_factory.mktemp("brisk"),
        QUARTCHAT_HEARTBEAT_S="0.5",
        QUARTCHAT_STREAM_LIFETIME_S="4",
    ) as server:
        yield server


def events_of(room: dict[str, Any]) -> str:
    return f"/api/chat/rooms/{room['id']}/events"


def raw(client: harness.Client, path: str, until: bytes) -> bytes:
    """What comes over the wire, up to some bytes."""
    port = int(client.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {client.cookies}\r\n\r\n"
        connection.sendall(request.encode())
        got = b""
        while until not in got:
            got += connection.recv(65536)
        return got


def test_a_stream_begins_with_retry_a_comment_and_ready(server: harness.Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    ann.say(room, "one")
    got = raw(ann, events_of(room), b"}\n\n").decode()
    head, _, body = got.partition("\r\n\r\n")
    assert "text/event-stream; charset=utf-8" in head
    assert "cache-control: no-cache, no-store, no-transform" in head.lower()
    assert "x-accel-buffering: no" in head.lower()
    body = body.partition("\r\n")[2]  # without the chunk's size
    begin = re.match(r"retry: (\d+)\n: quartchat\n\nevent: ready\ndata: (.*)\n\n", body)
    assert begin, body
    assert 1000 <= int(begin[1]) <= 5000
    assert begin[2] == f'{{"room_id":{room["id"]},"last_id":1}}'


def test_retry_differs_from_stream_to_stream(server: harness.Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    times = {raw(ann, events_of(room), b"ready").split(b"retry: ")[1][:4] for _ in range(5)}
    assert len(times) > 1


def test_without_a_cursor_a_stream_begins_now(server: harness.Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    ann.say(room, "before")
    with ann.stream(events_of(room)) as stream:
        assert stream.next("ready")["last_id"] == 1
        ann.say(room, "after")
        assert stream.next()["body"] == "after"


@pytest.mark.parametrize("by", ["header", "query"])
def test_a_cursor_gives_everything_after_it(server: harness.Server, by: str) -> None:
    ann = server.user("ann")
    room = ann.room()
    for number in range(1, 6):
        ann.say(room, str(number))
    path = events_of(room) + ("?last_event_id=2" if by == "query" else "")
    with ann.stream(path, 2 if by == "header" else None) as stream:
        stream.next("ready")
        got = [stream.next_event() for _ in range(3)]
        assert [event.id for event in got] == ["3", "4", "5"]
        assert [event.json()["body"] for event in got] == ["3", "4", "5"]
        assert stream.silent()


def test_the_header_wins_over_the_query(server: harness.Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    for number in range(1, 4):
        ann.say(room, str(number))
    with ann.stream(f"{events_of(room)}?last_event_id=0", 2) as stream:
        stream.next("ready")
        assert stream.next()["id"] == 3


def test_zero_means_from_the_rooms_first_event(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    ann.say(room, "one")
    bob.join(room)
    bob.say(room, "three")
    with ann.stream(events_of(room), 0) as stream:
        stream.next("ready")
        got = [stream.next_event() for _ in range(3)]
        assert [event.event for event in got] == ["message", "member.join", "message"]
        assert [event.id for event in got] == ["1", "2", "3"]


@pytest.mark.parametrize("cursor", ["99", "-1", "abc", "1.5", "٣", "9" * 40, "1-0"])
def test_a_cursor_that_cannot_be_served_gets_reset_then_live_events(
    server: harness.Server, cursor: str
) -> None:
    ann = server.user("ann")
    room = ann.room()
    ann.say(room, "one")
    with ann.stream(f"{events_of(room)}?last_event_id={cursor}") as stream:
        stream.next("ready")
        reset = stream.next()
        assert (reset["room_id"], reset["last_id"]) == (room["id"], 1)
        assert reset["reason"] in {"ahead", "malformed"}
        ann.say(room, "two")
        assert stream.next()["body"] == "two"


@pytest.mark.parametrize("cursor", ["f" * 16, "-1", "xyz", "1.2", "7fffffffffffffff"])
def test_the_stream_of_all_rooms_resets_likewise(server: harness.Server, cursor: str) -> None:
    ann = server.user("ann")
    room = ann.room()
    with ann.stream(f"/api/chat/events?last_event_id={cursor}") as stream:
        ready = stream.next("ready")
        assert ready["rooms"] == [{"id": room["id"], "last_id": 0}]
        assert stream.next()["reason"] in {"ahead", "malformed"}
        ann.say(room, "one")
        assert stream.next()["body"] == "one"


def test_the_list_of_rooms_says_where_to_listen_from(server: harness.Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    ann.say(room, "listed")
    page = ann.get("/api/chat/rooms", joined="true").json()
    assert page["rooms"][0]["last_id"] == 1
    ann.say(room, "meanwhile")
    with ann.stream("/api/chat/events", page["cursor"]) as stream:
        stream.next("ready")
        assert stream.next()["body"] == "meanwhile"
        assert stream.silent()


def test_the_stream_of_all_rooms_resumes_by_its_own_cursor(server: harness.Server) -> None:
    ann = server.user("ann")
    one, two = ann.room(), ann.room()
    with ann.stream("/api/chat/events") as stream:
        stream.next("ready")
        ann.say(one, "1")
        ann.say(two, "2")
        stream.next()
        cursor = stream.next_event().id
    ann.say(two, "3")
    ann.say(one, "4")
    with ann.stream("/api/chat/events", cursor) as stream:
        stream.next("ready")
        # In the order of the feed; with several partitions each room has an order of its own.
        found = [m["body"] for m in stream.messages(2)]
        several = int(server.env.get("QUARTCHAT_PARTITIONS", "1")) > 1
        assert (sorted(found) if several else found) == ["3", "4"]
        assert stream.silent()


def test_a_room_joined_meanwhile_starts_at_its_join(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    cursor = bob.get("/api/chat/rooms", joined="true").json()["cursor"]
    ann.say(room, "before bob")
    bob.join(room)
    ann.say(room, "to bob")
    with bob.stream("/api/chat/events", cursor) as stream:
        stream.next("ready")
        got = [stream.next_event() for _ in range(2)]
        assert [event.event for event in got] == ["member.join", "message"]
        assert got[1].json()["body"] == "to bob"


@pytest.mark.parametrize("since", ["0", "a cursor"])
def test_a_room_left_and_joined_again_meanwhile_begins_anew_and_says_so(
    start_server: StartServer, since: str
) -> None:
    server = start_server()
    ann, bob = server.user("ann"), server.user("bob")
    room, other = ann.room(), ann.room()
    for each in (room, other):
        bob.join(each)
    cursor = bob.get("/api/chat/rooms", joined="true").json()["cursor"] if since != "0" else "0"
    ann.say(room, "to bob")
    assert bob.post(f"/api/chat/rooms/{room['id']}/leave").status_code == 204
    ann.say(room, "behind his back")
    bob.join(room)
    ann.say(room, "to bob again")
    reset = {"room_id": room["id"], "last_id": 4, "reason": "rejoined"}
    for step in ("memory", "restart"):
        if step == "restart":
            server.web.restart()
            server.wait_until_ready()
        with bob.stream("/api/chat/events", cursor) as stream:
            stream.next("ready")
            count = 3 if since != "0" else 4  # with bob's joining the other room
            got = [stream.next_event() for _ in range(count)]
            found = [(e.event, e.json()) for e in got if e.json()["room_id"] == room["id"]]
            assert [kind for kind, _ in found] == ["reset", "member.join", "message"], step
            assert found[0][1] == reset
            assert [data["id"] for _, data in found[1:]] == [5, 6]
            assert stream.silent()


def test_a_room_joined_or_made_while_listening_is_heard_at_once(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    with bob.stream("/api/chat/events") as stream:
        stream.next("ready")
        bob.join(room)
        assert stream.next("member.join")["user"]["id"] == bob.me["id"]
        ann.say(room, "hello bob")
        assert stream.next()["body"] == "hello bob"
        own = bob.room()
        assert stream.next("room.added") == {"room_id": own["id"]}
        bob.say(own, "hello me")
        assert stream.next()["body"] == "hello me"


def test_a_rooms_stream_does_not_tell_of_other_rooms(server: harness.Server) -> None:
    ann = server.user("ann")
    with ann.stream(events_of(ann.room())) as stream:
        stream.next("ready")
        ann.room()
        assert stream.silent()


def test_what_has_no_history_has_no_id(brisk: harness.Server) -> None:
    ann = brisk.user("ann")
    room = ann.room()
    with ann.stream(events_of(room), 7) as stream:
        for kind in ("ready", "reset", "heartbeat"):
            assert stream.next_event(kind).id == ""


def test_heartbeats_come_at_their_interval(brisk: harness.Server) -> None:
    ann = brisk.user("ann")
    with ann.stream("/api/chat/events") as stream:
        assert stream.next_event("ready")
        started = last = time.monotonic()
        for number in range(4):
            assert stream.next("heartbeat") == {}
            came = time.monotonic()
            assert harness.alone_s(last) < 0.9  # 0.5 s ± 20 %, and a tick
            assert came - started > 0.3 * number
            last = came


def test_a_stream_ends_by_itself_and_goes_on_by_its_cursor(brisk: harness.Server) -> None:
    ann = brisk.user("ann")
    room = ann.room()
    started = time.monotonic()
    with ann.stream(events_of(room)) as stream:
        stream.next("ready")
        ann.say(room, "one")
        cursor = stream.next_event("message").id
        assert stream.ended()
        assert time.monotonic() - started > 3  # 80 to 100 % of 4 s
        assert harness.alone_s(started) < 5.5
    ann.say(room, "two")
    with ann.stream(events_of(room), cursor) as stream:
        stream.next("ready")
        assert stream.next()["body"] == "two"


def test_streams_are_for_members_only(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    public, private = ann.room(), ann.room(visibility="private")
    assert bob.get(events_of(public)).json()["code"] == "not_a_member"
    assert bob.get(events_of(private)).status_code == 404
    assert server.client().get(events_of(public)).status_code == 401
    assert server.client().get("/api/chat/events").status_code == 401


@pytest.mark.parametrize("path", ["room", "all"])
@pytest.mark.parametrize("how", ["logout", "token"])
def test_the_end_of_a_session_ends_its_streams_on_every_process(
    server: harness.Server, path: str, how: str
) -> None:
    ann = server.user("ann")
    room = ann.room()
    token = ann.post("/api/tokens", {"name": "bot"}).json()
    bot = server.client(headers={"Authorization": f"Bearer {token['token']}"})
    victim, other = (ann, bot) if how == "logout" else (bot, ann)
    where = events_of(room) if path == "room" else "/api/chat/events"
    with server.another() as second:
        victim.http.base_url = second.url
        victim.url = second.url
        with victim.stream(where) as ending, other.stream(where) as staying:
            ending.next("ready")
            staying.next("ready")
            ann.http.base_url = server.url
            started = time.monotonic()
            if how == "logout":
                assert ann.post("/api/logout").status_code == 204
            else:
                assert ann.delete(f"/api/tokens/{token['id']}").status_code == 204
            assert ending.next_event().event == "session.revoked"
            assert ending.ended()
            assert harness.alone_s(started) < 1
            assert staying.silent()


def test_leaving_ends_the_rooms_stream_and_not_the_others(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room, other = ann.room(), ann.room()
    bob.join(room)
    bob.join(other)
    with bob.stream(events_of(room)) as stream, bob.stream("/api/chat/events") as everything:
        stream.next("ready")
        everything.next("ready")
        assert bob.post(f"/api/chat/rooms/{room['id']}/leave").status_code == 204
        assert stream.next("room.removed") == {"room_id": room["id"]}
        assert stream.ended(1)
        assert everything.next("room.removed") == {"room_id": room["id"]}
        ann.say(room, "without bob")
        ann.say(other, "with bob")
        assert everything.next("message")["body"] == "with bob"


def test_a_user_has_so_many_streams_and_no_more(start_server: StartServer) -> None:
    server = start_server(QUARTCHAT_STREAMS_PER_USER="2")
    ann, bob = server.user("ann"), server.user("bob")
    with ann.stream("/api/chat/events"), ann.stream("/api/chat/events"):
        refused = ann.get("/api/chat/events")
        assert refused.status_code == 429
        assert refused.json()["code"] == "rate_limited"
        assert int(refused.headers["Retry-After"]) > 0
        with bob.stream("/api/chat/events") as stream:
            stream.next("ready")
    harness.eventually(lambda: ann.http.head("/api/chat/events").status_code == 200)


def test_a_reader_that_does_not_read_is_dropped_and_nobody_waits_for_it(
    server: harness.Server,
) -> None:
    ann = server.user("ann")
    room = ann.room()
    port = int(server.url.rsplit(":", 1)[1])
    with socket.socket() as lazy, ann.stream(events_of(room)) as quick:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", port))
        request = f"GET {events_of(room)} HTTP/1.1\r\nHost: x\r\nCookie: {ann.cookies}\r\n\r\n"
        lazy.sendall(request.encode())
        time.sleep(0.3)
        quick.next("ready")
        body = "x" * 4000
        for _ in range(600):  # 10 MB with the HTML: more than the kernel buffers
            ann.say(room, body)
        assert [m["id"] for m in quick.messages(600)] == list(range(1, 601))

        anybody = server.client()

        def dropped() -> bool:
            metrics = anybody.get("/metrics").text
            return "quartchat_slow_readers_dropped_total 0.0" not in metrics

        harness.eventually(dropped, within_s=25)
        mine = lazy.getsockname()[1]
        harness.eventually(lambda: mine not in {row.peer for row in sockets.accepted(port)}, 2)
        lazy.settimeout(20)
        got = b""
        while chunk := lazy.recv(1 << 20):
            got += chunk
        assert got.count(b"event: message") < 600


def test_a_stream_has_the_same_bytes_as_the_answer_and_the_history(server: harness.Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    path = f"/api/chat/rooms/{room['id']}/messages"
    with ann.stream(events_of(room)) as stream:
        stream.next("ready")
        answer = ann.post(path, {"body": "„Grüße“ 👍\r\nsecond line"})
        assert stream.next_event("message").data == answer.text
    assert answer.text in ann.get(path).text
    assert answer.text == ann.get(f"{path}/1").text


def commands(client: Any) -> int:
    """How many commands Redis ran, but for those of tails and watchers."""
    quiet = {"info", "xread", "xreadgroup", "xautoclaim", "ping", "publish", "replconf", "cluster"}
    stats = client.info("commandstats")
    nodes = stats.values() if "cmdstat_info" not in stats else [stats]
    return sum(
        int(each["calls"])
        for node in nodes
        for name, each in node.items()
        if name.removeprefix("cmdstat_").partition("|")[0] not in quiet
    )


def test_a_storm_of_readers_asks_redis_for_a_handful_of_things(server: harness.Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    for number in range(20):
        ann.say(room, str(number))

    async def storm() -> int:
        with harness.inside(server.redis_url) as client:
            before = commands(client)
            readers = [crowd.Reader(ann, events_of(room), cursor="0") for _ in range(200)]
            await crowd.finish(*(r.follow(lambda r: len(r.ids) == 20) for r in readers))
            assert all(reader.ids == list(range(1, 21)) for reader in readers)
            return commands(client) - before

    assert asyncio.run(storm()) < 50


def test_a_stream_has_no_time_limit_but_its_own() -> None:
    # Quart's RESPONSE_TIMEOUT would cut it after a minute, and that is long for a test.
    async def build() -> object:
        return EventStream(typing.cast("Any", None)).timeout

    assert asyncio.run(build()) is None


def test_a_connection_that_its_client_closes_gives_its_descriptor_back(
    start_server: StartServer,
) -> None:
    server = start_server()
    descriptors = Path(f"/proc/{server.web.pid}/fd")
    if not descriptors.exists():
        pytest.skip("no /proc here")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        with server.client() as client:
            assert client.get("/healthz/live").status_code == 200
    harness.eventually(lambda: len(list(descriptors.iterdir())) < before + 5, within_s=5)


def test_whoever_hangs_up_at_any_moment_leaves_no_stream_behind(start_server: StartServer) -> None:
    server = start_server(QUARTCHAT_STREAMS_PER_USER="0")
    ann = server.user("ann")
    room = ann.room()
    for n in range(5):
        ann.say(room, f"{n}" * 3000)
    request = (
        f"GET {events_of(room)}?last_event_id=0 HTTP/1.1\r\nHost: quartchat\r\n"
        f"Cookie: {ann.cookies}\r\n\r\n"
    ).encode()

    async def hang_up(after_s: float) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request)
        await asyncio.sleep(after_s)
        writer.transport.abort()

    async def come_and_go() -> None:
        for _ in range(15):
            await asyncio.gather(*(hang_up(n * 0.002) for n in range(30)))

    anybody = server.client()

    def streams() -> float:
        lines = anybody.get("/metrics").text.splitlines()
        [line] = [line for line in lines if line.startswith("quartchat_streams ")]
        return float(line.split()[1])

    asyncio.run(come_and_go())
    harness.eventually(lambda: streams() == 0, within_s=5)
    assert "Traceback" not in server.web.output()
