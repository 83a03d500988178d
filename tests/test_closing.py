"""Deleting one's account: who is gone, what stays, and under which name."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import harness
import httpx
import pytest
from clients import Client
from harness import PASSWORD, Server

ROOMS = "/api/chat/rooms"

Room = dict[str, Any]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def path(room: Room, rest: str = "") -> str:
    return f"{ROOMS}/{room['id']}{rest}"


def close(who: Client, password: str = PASSWORD) -> httpx.Response:
    return who.delete("/api/me", {"password": password})


def anonymous(who: Client) -> dict[str, Any]:
    name = f"deleted-{who.me['id']}"
    return who.me | {"username": name, "display_name": "Deleted account"}


def authors(who: Client, room: Room) -> list[dict[str, Any]]:
    messages = who.get(path(room, "/messages")).json()["messages"]
    return [message["author"] for message in messages]


def test_a_closed_account_is_gone_on_every_process_within_a_second(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    token = bob.post("/api/tokens", {"name": "bot"}).json()["token"]
    with server.another() as second:
        copies = [
            second.client(headers={"Cookie": bob.cookies}),
            second.client(headers={"Authorization": f"Bearer {token}"}),
        ]
        with (
            copies[0].stream("/api/chat/events") as one,
            copies[1].stream(path(room, "/events")) as two,
            ann.stream(path(room, "/events")) as told,
        ):
            for stream in (one, two, told):
                stream.next("ready")
            started = time.monotonic()
            answer = close(bob)
            assert (answer.status_code, answer.content) == (204, b"")
            assert one.next_event("session.revoked")
            # Of another partition the leaving may be heard first, and it ends this stream too.
            assert two.next_event().event in {"session.revoked", "room.removed"}
            assert one.ended()
            assert two.ended()
            assert harness.alone_s(started) < 1
            assert told.next("member.leave")["user"] == anonymous(bob)
        for who in (bob, *copies):
            assert refusal(who.get("/api/me")) == (401, "unauthenticated")
    answer = server.client().post("/api/login", {"username": bob.name, "password": PASSWORD})
    assert refusal(answer) == (401, "invalid_credentials")
    assert [row["user"] for row in ann.get(path(room, "/members")).json()["members"]] == [ann.me]
    assert ann.get("/api/users", q=bob.name).json() == {"users": []}
    assert ann.get(f"/api/users/{bob.me['id']}").json() == {"user": anonymous(bob)}


def test_the_messages_stay_without_the_name(server: Server) -> None:
    ann = server.user("ann")
    bob = server.user("bob", display_name='Bob "the" Ö')
    room, left = ann.room(), ann.room()
    for each in (room, left):
        bob.join(each)
        bob.say(each, "from bob", client_id="one")
        ann.say(each, "from ann, to @bob")
    bob.patch("/api/me", {"display_name": "Robert"})
    changed = bob.say(room, "again")
    place = path(room, f"/messages/{changed['id']}")
    assert bob.patch(place, {"body": "and again"}).status_code == 200
    assert ann.put(f"{place}/reactions/👍").status_code == 200
    bob.post(path(left, "/leave"))
    before = [ann.get(path(each, "/messages")).json()["messages"] for each in (room, left)]
    assert close(bob).status_code == 204
    for each, messages in zip((room, left), before, strict=True):
        expected = [
            message | {"author": anonymous(bob)} if message["author"]["id"] == bob.me["id"]
            else message
            for message in messages
        ]  # fmt: skip
        harness.eventually(
            lambda each=each, expected=expected: (
                ann.get(path(each, "/messages")).json()["messages"] == expected
            )
        )
        one = ann.get(path(each, f"/messages/{messages[0]['id']}")).json()
        assert one == expected[0]
    with harness.sql(server.database_url) as sql:

        def named() -> bool:
            rows = sql.execute(
                f"SELECT data FROM event WHERE room_id IN ({room['id']}, {left['id']})"  # noqa: S608
            )
            return any(bob.name in data or "Robert" in data for (data,) in rows)

        harness.eventually(lambda: not named())
    assert ann.say(room, "on we go")["id"] == ann.get(path(room)).json()["last_id"]
    with ann.stream(path(room, "/events"), last_event_id=0) as events:
        numbers = [events.next()["id"] if n else events.next("ready")["room_id"] for n in range(4)]
    assert numbers == [room["id"], 1, 2, 3]


def test_who_shared_a_room_or_reads_what_was_written_there_is_told_without_the_name(
    server: Server,
) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room, left = ann.room(), ann.room()
    for each in (room, left):
        bob.join(each)
        bob.say(each, "from bob")
    bob.post(path(left, "/leave"))
    direct = ann.post("/api/chat/direct", {"user_id": bob.me["id"]}).json()
    with (
        ann.stream(path(direct, "/events")) as peer,
        ann.stream(path(left, "/events")) as reader,
        ann.stream("/api/chat/events") as everything,
    ):
        for stream in (peer, reader, everything):
            stream.next("ready")
        assert close(bob).status_code == 204
        for stream in (peer, reader, everything):
            assert stream.next("user.update") == anonymous(bob)
        # For that room the worker tells it, and by then no message has the name.
        assert authors(ann, left) == [anonymous(bob)]


def test_the_name_may_be_taken_again_and_the_new_one_is_nobody(server: Server) -> None:
    bob = server.user("bob")
    assert close(bob).status_code == 204
    new = server.client()
    answer = new.post("/api/register", {"username": bob.name, "password": PASSWORD})
    assert answer.status_code == 201
    assert answer.json()["user"]["id"] != bob.me["id"]
    reserved = {"username": f"Deleted-{bob.me['id'] + 1}", "password": PASSWORD}
    answer = server.client().post("/api/register", reserved)
    assert refusal(answer) == (409, "username_taken")


@pytest.mark.parametrize("wrong", ["wrong horse", "x" * 73, "é" * 40])
def test_a_wrong_password_closes_nothing(server: Server, wrong: str) -> None:
    ann = server.user("ann")
    answer = close(ann, wrong)
    assert refusal(answer) == (401, "invalid_credentials")
    assert answer.json()["errors"][0]["field"] == "password"
    assert refusal(ann.delete("/api/me")) == (415, "unsupported_media_type")
    assert refusal(ann.delete("/api/me", {})) == (422, "validation_failed")
    assert ann.get("/api/me").status_code == 200


def test_the_rooms_of_a_closed_account_go_to_the_oldest_moderator_or_member(
    server: Server,
) -> None:
    ann, bob, cyd = server.user("ann"), server.user("bob"), server.user("cyd")
    one, two, alone = ann.room(), ann.room(), ann.room()
    for room in (one, two):
        for who in (bob, cyd):
            who.join(room)
    ann.put(path(one, f"/members/{cyd.me['id']}"), {"role": "moderator"})
    assert close(ann).status_code == 204
    assert cyd.get(path(one)).json()["role"] == "owner"
    assert bob.get(path(two)).json()["role"] == "owner"
    assert bob.get(path(alone)).json()["member_count"] == 0


def test_a_direct_room_stays_with_the_other_one_to_be_read(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.post("/api/chat/direct", {"user_id": bob.me["id"]}).json()
    bob.say(room, "bye")
    assert close(bob).status_code == 204
    now = ann.get(path(room)).json()
    assert (now["peer"], now["archived"], now["member_count"]) == (anonymous(bob), True, 2)
    harness.eventually(lambda: authors(ann, room) == [anonymous(bob)])
    assert refusal(ann.post(path(room, "/messages"), {"body": "?"})) == (403, "room_archived")
    again = ann.post("/api/chat/direct", {"user_id": bob.me["id"]})
    assert (again.status_code, again.json()["id"]) == (200, room["id"])
    stranger = server.user("cyd").post("/api/chat/direct", {"user_id": bob.me["id"]})
    assert refusal(stranger) == (404, "not_found")


def test_nothing_is_left_of_invitations_of_a_closed_account(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    ann.post(path(room, "/invitations"), {"user_id": bob.me["id"]})
    assert close(bob).status_code == 204
    assert ann.get(path(room, "/invitations")).json() == {"invitations": []}
    answer = ann.post(path(room, "/invitations"), {"user_id": bob.me["id"]})
    assert refusal(answer) == (422, "validation_failed")


def test_who_joins_while_the_account_is_closed_is_in_no_room(server: Server) -> None:
    ann = server.user("ann")
    rooms = [ann.room() for _ in range(6)]
    bob = server.user("bob")
    with server.another() as second, ThreadPoolExecutor(7) as pool:
        copies = [w.client(headers={"Cookie": bob.cookies}) for w in (server, second) * 3]
        joining = [
            pool.submit(copy.post, path(room, "/join"))
            for copy, room in zip(copies, rooms, strict=True)
        ]
        assert pool.submit(close, bob).result().status_code == 204
        assert {each.result().status_code for each in joining} <= {200, 401}
    for room in rooms:
        harness.eventually(lambda room=room: ann.get(path(room)).json()["member_count"] == 1)
