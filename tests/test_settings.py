"""Direct rooms, settings, archived and removed rooms."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import harness
import httpx
import pytest
from clients import Client
from harness import Server

ROOMS = "/api/chat/rooms"

Room = dict[str, Any]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def path(room: Room, rest: str = "") -> str:
    return f"{ROOMS}/{room['id']}{rest}"


def direct(who: Client, other: Client) -> httpx.Response:
    return who.post("/api/chat/direct", {"user_id": other.me["id"]})


def post(who: Client, room: Room, body: str = "hi") -> httpx.Response:
    return who.post(path(room, "/messages"), {"body": body})


def joined(who: Client) -> list[int]:
    return [room["id"] for room in who.get(ROOMS, joined="true").json()["rooms"]]


# -- direct rooms


def test_two_have_one_direct_room_for_ever(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    answer = direct(ann, bob)
    assert answer.status_code == 201
    room = answer.json()
    assert answer.headers["location"] == path(room)
    assert room["peer"] == bob.me
    assert (room["name"], room["visibility"], room["role"]) == ("", "direct", "member")
    assert (room["joined"], room["member_count"]) == (True, 2)
    again = direct(bob, ann)
    assert (again.status_code, again.json()["id"]) == (200, room["id"])
    assert again.json()["peer"] == ann.me
    assert direct(ann, bob).status_code == 200
    assert [row["peer"] for row in ann.get(ROOMS, joined="true").json()["rooms"]] == [bob.me]
    assert ann.get(path(room)).json()["peer"] == bob.me


def test_the_other_one_hears_of_a_direct_room_at_once_on_another_process(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    with server.another() as second:
        elsewhere = second.client(headers={"Cookie": bob.cookies})
        with elsewhere.stream("/api/chat/events") as events:
            events.next("ready")
            room = direct(ann, bob).json()
            assert events.next("room.added") == {"room_id": room["id"]}
            said = ann.say(room, "psst")
            assert events.next("message") == said
            assert elsewhere.get(path(room)).json()["unread"] == 1


def test_two_who_ask_at_once_get_one_room(server: Server) -> None:
    with server.another() as second:
        for _ in range(4):
            ann, bob = server.user("ann"), server.user("bob")
            elsewhere = second.client(headers={"Cookie": bob.cookies})
            with ThreadPoolExecutor(8) as pool:
                asked = [pool.submit(direct, ann, bob) for _ in range(4)]
                elsewhere.me = bob.me
                asked += [pool.submit(direct, elsewhere, ann) for _ in range(4)]
                answers = [each.result() for each in asked]
            assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
            (room_id,) = {answer.json()["id"] for answer in answers}
            assert joined(ann) == joined(bob) == [room_id]


def test_nobody_joins_leaves_or_changes_a_direct_room(server: Server) -> None:
    ann, bob, cyd = server.user("ann"), server.user("bob"), server.user("cyd")
    room = direct(ann, bob).json()
    for rest in ("", "/messages", "/members", "/events"):
        assert refusal(cyd.get(path(room, rest))) == (404, "not_found")
    for rest in ("/join", "/leave"):
        assert refusal(cyd.post(path(room, rest))) == (404, "not_found")
    assert refusal(ann.post(path(room, "/leave"))) == (403, "forbidden")
    assert ann.post(path(room, "/join")).status_code == 200  # she is in it
    for answer in (
        ann.patch(path(room), {"name": "ours"}),
        ann.patch(path(room), {"archived": True}),
        ann.delete(path(room)),
        ann.put(path(room, "/link")),
        ann.post(path(room, "/invitations"), {"user_id": cyd.me["id"]}),
    ):
        assert refusal(answer) == (403, "forbidden")


def test_nobody_is_direct_with_themselves_or_with_nobody(server: Server) -> None:
    ann = server.user("ann")
    assert refusal(direct(ann, ann)) == (422, "validation_failed")
    answer = ann.post("/api/chat/direct", {"user_id": 10**14})
    assert refusal(answer) == (404, "not_found")
    for user_id in (-1, "1", None):
        answer = ann.post("/api/chat/direct", {"user_id": user_id})
        assert refusal(answer) == (422, "validation_failed")


# -- settings


def test_a_rooms_settings_change_and_the_room_hears_of_it(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    name = f"Den {secrets.token_hex(4)}"
    with bob.stream(path(room, "/events")) as events:
        events.next("ready")
        answer = ann.patch(path(room), {"name": f" {name} ", "topic": "new"})
        assert answer.status_code == 200
        assert (answer.json()["name"], answer.json()["topic"]) == (name, "new")
        told = events.next_event("room.update")
        assert told.id == "2"
        assert told.json() == {
            "id": 2,
            "room_id": room["id"],
            "room": {"name": name, "topic": "new", "visibility": "public", "archived": False},
        }
        assert ann.patch(path(room), {"topic": "new"}).status_code == 200  # nothing new: no event
        assert ann.patch(path(room), {}).status_code == 200
        assert ann.say(room, "next")["id"] == 3
    assert bob.get(path(room)).json()["name"] == name
    with bob.stream(path(room, "/events"), last_event_id=1) as events:
        assert events.next("room.update") == told.json()


def test_moderators_change_name_and_topic_and_owners_all(server: Server) -> None:
    ann, mo, bob = server.user("ann"), server.user("mo"), server.user("bob")
    room = ann.room()
    mo.join(room)
    bob.join(room)
    ann.put(path(room, f"/members/{mo.me['id']}"), {"role": "moderator"})
    assert mo.patch(path(room), {"topic": "mo was here"}).status_code == 200
    for who, body in (
        (mo, {"visibility": "private"}), (mo, {"archived": True}),
        (mo, {"topic": "x", "archived": False}), (bob, {"topic": "x"}), (bob, {}),
    ):  # fmt: skip
        assert refusal(who.patch(path(room), body)) == (403, "forbidden"), body
    assert refusal(server.user("cyd").patch(path(room), {"topic": "x"})) == (403, "not_a_member")
    for who in (mo, bob):
        assert refusal(who.delete(path(room))) == (403, "forbidden")
    assert ann.get(path(room)).json()["topic"] == "mo was here"


def test_a_public_rooms_new_name_is_taken_whatever_the_case(server: Server) -> None:
    ann = server.user("ann")
    one, two = ann.room(), ann.room(visibility="private")
    answer = ann.patch(path(two), {"name": one["name"].upper()})
    assert answer.status_code == 200  # private names are not unique
    answer = ann.patch(path(two), {"visibility": "public"})
    assert refusal(answer) == (409, "room_name_taken")
    three = ann.room()
    assert refusal(ann.patch(path(three), {"name": one["name"]})) == (409, "room_name_taken")
    assert ann.get(path(three)).json()["name"] == three["name"]
    assert ann.patch(path(one), {"name": one["name"].upper()}).status_code == 200  # its own


def test_a_room_that_turns_private_is_seen_by_its_members_alone(server: Server) -> None:
    ann, bob, cyd = server.user("ann"), server.user("bob"), server.user("cyd")
    room = ann.room()
    bob.join(room)
    assert refusal(cyd.get(path(room, "/messages"))) == (403, "not_a_member")
    assert ann.patch(path(room), {"visibility": "private"}).status_code == 200
    assert refusal(cyd.get(path(room))) == (404, "not_found")
    assert refusal(cyd.post(path(room, "/join"))) == (404, "not_found")
    assert post(bob, room).status_code == 201


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "\u200b"), ("name", "x" * 65), ("name", None), ("topic", "x" * 256),
        ("topic", None), ("visibility", "direct"), ("archived", 1), ("owner", 1),
    ],
)  # fmt: skip
def test_bad_settings(server: Server, field: str, value: Any) -> None:
    ann = server.user("ann")
    answer = ann.patch(path(ann.room()), {field: value})
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


# -- the archive


def test_an_archived_room_is_read_and_not_written_on_every_process(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    mine = ann.say(room, "before")
    with server.another() as second:
        elsewhere = second.client(headers={"Cookie": bob.cookies})
        assert post(elsewhere, room).status_code == 201  # and now that process has cached it
        answer = ann.patch(path(room), {"archived": True})
        assert (answer.status_code, answer.json()["archived"]) == (200, True)
        assert refusal(post(ann, room)) == (403, "room_archived")
        said = path(room, f"/messages/{mine['id']}")
        for changed in (
            ann.patch(said, {"body": "other"}), ann.put(f"{said}/reactions/👍"),
            ann.delete(f"{said}/reactions/👍"),
        ):  # fmt: skip
            assert refusal(changed) == (403, "room_archived")
        harness.eventually(lambda: post(elsewhere, room).status_code == 403, within_s=1)
        assert refusal(post(elsewhere, room)) == (403, "room_archived")
        assert len(bob.get(path(room, "/messages")).json()["messages"]) >= 1
        with bob.stream(path(room, "/events"), last_event_id=0) as events:
            assert events.next("room.update")["room"]["archived"] is True
        assert ann.patch(path(room), {"archived": False}).json()["archived"] is False
        harness.eventually(lambda: post(elsewhere, room).status_code == 201, within_s=1)


# -- removal


def test_a_removed_room_ends_everybodys_streams_on_every_process_within_a_second(
    server: Server,
) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room, other = ann.room(), bob.room()
    bob.join(room)
    with server.another() as second:
        elsewhere = second.client(headers={"Cookie": bob.cookies})
        assert post(elsewhere, room).status_code == 201
        with (
            ann.stream(path(room, "/events")) as mine,
            elsewhere.stream(path(room, "/events")) as theirs,
            elsewhere.stream("/api/chat/events") as staying,
        ):
            for stream in (mine, theirs, staying):
                stream.next("ready")
            started = time.monotonic()
            answer = ann.delete(path(room))
            assert (answer.status_code, answer.content) == (204, b"")
            for stream in (mine, theirs):
                assert stream.next("room.removed") == {"room_id": room["id"]}
                assert stream.ended()
            assert staying.next("room.removed") == {"room_id": room["id"]}
            assert harness.alone_s(started) < 1
            bob.say(other, "still here")
            assert staying.next("message")["body"] == "still here"
            for who in (ann, bob, elsewhere):
                for rest in ("", "/messages", "/members", "/events"):
                    assert refusal(who.get(path(room, rest))) == (404, "not_found")
                assert refusal(post(who, room)) == (404, "not_found")
                assert refusal(who.post(path(room, "/join"))) == (404, "not_found")
            assert refusal(ann.delete(path(room))) == (404, "not_found")
    assert joined(ann) == []
    assert ann.post(ROOMS, {"name": room["name"]}).status_code == 201  # its name is free


def test_nothing_is_left_of_a_removed_room(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    ann.post(path(room, "/invitations"), {"user_id": server.user("cyd").me["id"]})
    ann.put(path(room, f"/bans/{server.user('dan').me['id']}"))
    for number in range(30):
        said = ann.say(room, str(number))
    assert ann.patch(path(room, f"/messages/{said['id']}"), {"body": "other"}).status_code == 200
    assert ann.delete(path(room)).status_code == 204
    with harness.sql(server.database_url) as sql, harness.inside(server.redis_url) as redis:

        def rows() -> int:
            tables = ("event", "latest", "edit", "member", "ban", "invitation")
            counts = (
                sql.execute(f"SELECT count(*) FROM {table} WHERE room_id = {room['id']}")  # noqa: S608
                for table in tables
            )
            return sum(int(found[0][0]) for found in counts)

        harness.eventually(lambda: rows() == 0, within_s=8)
        keys = [harness.room_key(server, kind, room["id"]) for kind in ("room", "meta", "state")]
        harness.eventually(lambda: not any(redis.exists(key) for key in keys), within_s=8)


def test_a_removed_room_does_not_come_back_by_those_who_post_meanwhile(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with server.another() as second, ThreadPoolExecutor(4) as pool:
        copies = [where.client(headers={"Cookie": bob.cookies}) for where in (server, second) * 2]

        def go_on(copy: Client) -> tuple[int, str]:
            while (answer := post(copy, room)).status_code == 201:
                pass
            return refusal(answer)

        posting = [pool.submit(go_on, copy) for copy in copies]
        time.sleep(0.3)
        assert ann.delete(path(room)).status_code == 204
        assert {each.result() for each in posting} == {(404, "not_found")}
    with harness.inside(server.redis_url) as redis:
        key = harness.room_key(server, "room", room["id"])
        harness.eventually(lambda: not redis.exists(key), within_s=8)
