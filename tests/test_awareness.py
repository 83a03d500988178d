"""Typing, presence and read markers: events without a number, on every process."""

import signal
import time
from collections.abc import Callable
from typing import Any

import harness
import pytest

StartServer = Callable[..., harness.Server]


def events_of(room: dict[str, Any]) -> str:
    return f"/api/chat/rooms/{room['id']}/events"


def online(client: harness.Client, room: dict[str, Any]) -> set[int]:
    answer = client.get(f"/api/chat/rooms/{room['id']}/presence")
    assert answer.status_code == 200, answer.text
    return set(answer.json()["user_ids"])


def types(client: harness.Client, room: dict[str, Any], url: str | None = None) -> None:
    answer = client.post(f"{url or ''}/api/chat/rooms/{room['id']}/typing")
    assert answer.status_code == 204, answer.text


# -- typing


@pytest.mark.parametrize("path", ["room", "all rooms"])
def test_typing_is_heard_on_every_process_and_has_no_id(server: harness.Server, path: str) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    where = events_of(room) if path == "room" else "/api/chat/events"
    with server.another() as second:
        far = second.client(cookies=ann.http.cookies)
        with ann.stream(where) as near, far.stream(where) as there:
            near.next("ready")
            there.next("ready")
            types(bob, room)
            for stream in (near, there):
                event = stream.next_event()
                assert (event.event, event.id) == ("typing", "")
                assert event.json() == {
                    "room_id": room["id"],
                    "user_id": bob.me["id"],
                    "expires_s": 6,
                }


def test_typing_never_moves_a_cursor(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with ann.stream(events_of(room)) as stream, ann.stream("/api/chat/events") as everything:
        stream.next("ready")
        cursor = everything.next("ready")["cursor"]
        types(bob, room)
        stream.next("typing")
        everything.next("typing")
        bob.say(room, "typed")
        assert stream.next_event("message").id == "2"
        assert everything.next_event("message").id > cursor
    with ann.stream("/api/chat/events", cursor) as resumed:
        resumed.next("ready")
        assert resumed.next()["body"] == "typed"
        assert resumed.silent()  # what has no number has no history


def test_who_types_hears_nothing_of_it(server: harness.Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    with ann.stream("/api/chat/events") as stream:
        stream.next("ready")
        types(ann, room)
        assert stream.silent()


def test_at_most_one_typing_a_second_is_passed_on_whatever_the_process(
    server: harness.Server,
) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with server.another() as second, ann.stream(events_of(room)) as stream:
        stream.next("ready")
        far = second.client(cookies=bob.http.cookies)
        started = time.monotonic()
        while time.monotonic() - started < 0.8:
            types(bob, room)
            types(far, room)
        took = time.monotonic() - started
        stream.next("typing")
        more = sum(1 for _ in iter(lambda: stream.silent(0.5), True))
        assert more <= int(took)


def test_typing_is_for_members(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    public, private = ann.room(), ann.room(visibility="private")
    answer = bob.post(f"/api/chat/rooms/{public['id']}/typing")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_a_member")
    assert bob.post(f"/api/chat/rooms/{private['id']}/typing").status_code == 404
    assert bob.get(f"/api/chat/rooms/{public['id']}/presence").status_code == 403
    assert bob.get(f"/api/chat/rooms/{private['id']}/presence").status_code == 404


def test_who_types_faster_than_a_machine_is_told_to_slow_down(start_server: StartServer) -> None:
    server = start_server(QUARTCHAT_RATE_LIMITS="on")
    ann = server.user("ann")
    room = ann.room()
    answers = [ann.post(f"/api/chat/rooms/{room['id']}/typing") for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].json()["code"] == "rate_limited"
    assert refused[0].headers["Retry-After"] == "1"
    assert {answer.status_code for answer in answers} == {204, 429}


# -- read markers


def test_all_streams_of_a_user_hear_how_far_the_user_has_read(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room, other = ann.room(), ann.room()
    bob.join(room)
    for number in range(3):
        ann.say(room, str(number))
    with (
        server.another() as second,
        bob.stream("/api/chat/events") as near,
        second.client(cookies=bob.http.cookies).stream(events_of(room)) as far,
        ann.stream(events_of(room)) as another_user,
        ann.stream(events_of(other)) as another_room,
    ):
        for stream in (near, far, another_user, another_room):
            stream.next("ready")
        path = f"/api/chat/rooms/{room['id']}"
        assert bob.post(f"{path}/read", {"id": 3}).status_code == 204
        for stream in (near, far):
            event = stream.next_event()
            assert (event.event, event.id) == ("read", "")
            assert event.json() == {
                "room_id": room["id"],
                "user_id": bob.me["id"],
                "id": 3,
                "unread": 1,
                "mentions": 0,
            }
        assert bob.get(path).json()["unread"] == 1
        assert bob.post(f"{path}/read", {"id": 2}).status_code == 204  # never back
        assert bob.post(f"{path}/read", {"id": 3}).status_code == 204
        assert near.silent()
        assert another_user.silent(0.05)
        assert another_room.silent(0.05)


# -- presence


def test_members_hear_of_each_other_coming_and_of_themselves_nothing(
    server: harness.Server,
) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room, other = ann.room(), bob.room()
    bob.join(room)
    assert online(ann, room) == set()
    with server.another() as second, ann.stream("/api/chat/events") as stream:
        stream.next("ready")
        harness.eventually(lambda: online(ann, room) == {ann.me["id"]})
        far = second.client(cookies=bob.http.cookies)
        with far.stream(events_of(other)) as bobs:  # any stream makes one present
            bobs.next("ready")
            event = stream.next_event("presence")
            assert event.id == ""
            assert event.json() == {
                "room_id": room["id"],
                "user_id": bob.me["id"],
                "online": True,
            }
            both = {ann.me["id"], bob.me["id"]}
            assert online(bob, room) == online(ann, room) == both
            with ann.stream(events_of(room)), bob.stream("/api/chat/events"):
                pass  # more streams of the same people are no news
            assert stream.silent(1.5)
        assert [event.event for event in stream.seen if event.event == "presence"] == ["presence"]


def test_whoever_goes_is_missed_after_a_while_and_not_for_a_reload(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with ann.stream(events_of(room)) as stream:
        stream.next("ready")
        with bob.stream(events_of(room)) as bobs:
            bobs.next("ready")
            assert stream.next("presence")["online"] is True
        with bob.stream(events_of(room)) as bobs:
            bobs.next("ready")
            left = time.monotonic()
        gone = stream.next("presence")
        assert gone == {"room_id": room["id"], "user_id": bob.me["id"], "online": False}
        assert time.monotonic() - left > 9
        assert harness.alone_s(left) < 14
        assert online(ann, room) == {ann.me["id"]}


def test_whoever_joins_a_room_is_seen_to_be_online_there(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    with ann.stream(events_of(room)) as stream, bob.stream("/api/chat/events") as bobs:
        stream.next("ready")
        bobs.next("ready")
        harness.eventually(lambda: online(ann, room) == {ann.me["id"]})
        bob.join(room)
        assert stream.next("presence") == {
            "room_id": room["id"],
            "user_id": bob.me["id"],
            "online": True,
        }
        harness.eventually(lambda: online(ann, room) == {ann.me["id"], bob.me["id"]})


def test_the_users_of_a_killed_process_go_and_those_of_a_stopped_one_may_come_back(
    start_server: StartServer,
) -> None:
    server = start_server()
    ann, bob, eve = server.user("ann"), server.user("bob"), server.user("eve")
    room = ann.room()
    bob.join(room)
    eve.join(room)
    with server.another() as killed, ann.stream("/api/chat/events") as stream:
        stream.next("ready")
        far = killed.client(cookies=bob.http.cookies)
        with far.stream(events_of(room)), eve.stream(events_of(room)):
            assert {stream.next("presence")["user_id"] for _ in range(2)} == {
                bob.me["id"],
                eve.me["id"],
            }
            killed.web.kill()
            with harness.inside(server.redis_url) as redis:
                [process] = [
                    name
                    for name, until in redis.zrange("alive:{0}", 0, -1, withscores=True)
                    if str(bob.me["id"]).encode() in redis.smembers(b"online:{0}:" + name)
                ]
                until = redis.zscore("alive:{0}", process)
                assert 15 < until / 1000 - time.time() < 31
                redis.zadd("alive:{0}", {process: 1})  # as if that time had passed
            gone = stream.next("presence")
            assert (gone["user_id"], gone["online"]) == (bob.me["id"], False)
            assert online(ann, room) == {ann.me["id"], eve.me["id"]}
    with server.another() as stopped, ann.stream("/api/chat/events") as stream:
        stream.next("ready")
        with stopped.client(cookies=bob.http.cookies).stream(events_of(room)):
            assert stream.next("presence")["user_id"] == bob.me["id"]
            stopped.web.terminate()
        with bob.stream(events_of(room)):  # elsewhere, within the ten seconds
            deadline = time.monotonic() + 16
            while time.monotonic() < deadline:
                assert stream.silent(1)
            heard = [event.json() for event in stream.seen if event.event == "presence"]
            assert not [
                one for one in heard if one["user_id"] == bob.me["id"] and not one["online"]
            ]
            assert bob.me["id"] in online(ann, room)


def test_an_emptied_redis_learns_anew_who_is_online(
    start_server: StartServer, own_valkey: Any
) -> None:
    server = start_server(REDIS_URL=own_valkey.url())
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with ann.stream("/api/chat/events") as stream, bob.stream("/api/chat/events") as bobs:
        stream.next("ready")
        bobs.next("ready")
        both = {ann.me["id"], bob.me["id"]}
        harness.eventually(lambda: online(ann, room) == both)
        with harness.inside(server.redis_url) as redis:
            redis.flushall()
        harness.eventually(lambda: online(ann, room) == both)
        types(bob, room)
        stream.next("typing")


def test_signals_go_on_once_redis_is_back(start_server: StartServer, own_valkey: Any) -> None:
    server = start_server(REDIS_URL=own_valkey.url())
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with ann.stream("/api/chat/events") as stream, bob.stream(events_of(room)) as bobs:
        stream.next("ready")
        bobs.next("ready")
        both = {ann.me["id"], bob.me["id"]}
        harness.eventually(lambda: online(ann, room) == both)
        own_valkey.server.stop()
        assert bob.post(f"/api/chat/rooms/{room['id']}/typing").status_code == 503
        time.sleep(2)
        own_valkey.server.start()
        server.wait_until_ready()
        harness.eventually(lambda: online(ann, room) == both)
        time.sleep(1)
        types(bob, room)
        stream.next("typing")
        assert online(ann, room) == both


def test_a_process_that_slept_through_signals_tells_its_streams_to_ask(
    start_server: StartServer,
) -> None:
    server = start_server()
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with ann.stream("/api/chat/events") as stream, ann.stream(events_of(room)) as another:
        stream.next("ready")
        another.next("ready")
        types(bob, room)
        stream.next("typing")
        server.web.kill(signal.SIGSTOP)
        with harness.inside(server.redis_url) as redis:
            time.sleep(2.5)
            for partition in range(int(server.env.get("QUARTCHAT_PARTITIONS", "1"))):
                redis.delete(f"live:{{{partition}}}")  # and all that was in it
                redis.xadd(f"live:{{{partition}}}", {"t": "of a later version", "d": "{}"})
        server.web.kill(signal.SIGCONT)
        for each in (stream, another):
            assert each.next("missed") == {"room_id": None}
        types(bob, room)
        stream.next("typing")
