"""Rooms, who is in them, and what each has read."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import harness
import httpx
import pytest
from clients import Client
from harness import Server

ROOMS = "/api/chat/rooms"


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def path(room: dict[str, Any], rest: str = "") -> str:
    return f"{ROOMS}/{room['id']}{rest}"


def seen(who: Client, room: dict[str, Any]) -> dict[str, Any]:
    """The room as this person sees it now."""
    answer = who.get(path(room))
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def members(who: Client, room: dict[str, Any]) -> dict[str, str]:
    answer = who.get(path(room, "/members"))
    assert answer.status_code == 200, answer.text
    return {row["user"]["username"]: row["role"] for row in answer.json()["members"]}


def unread(who: Client, room: dict[str, Any]) -> tuple[int, int, int]:
    now = seen(who, room)
    return now["last_id"], now["read_id"], now["unread"]


# -- making and seeing rooms


def test_a_new_room_has_its_maker_in_it_as_owner(server: Server) -> None:
    ann = server.user("ann")
    name = f"Lobby {secrets.token_hex(4)}"
    answer = ann.post(ROOMS, {"name": name, "topic": "all"})
    room = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{ROOMS}/{room['id']}"
    assert room.pop("created_at").endswith("Z")
    assert room == {
        "id": room["id"],
        "name": name,
        "topic": "all",
        "visibility": "public",
        "member_count": 1,
        "joined": True,
        "role": "owner",
        "last_id": 0,
        "read_id": 0,
        "unread": 0,
        "archived": False,
        "peer": None,
        "mentions": 0,
    }
    assert ann.get(answer.headers["location"]).json()["name"] == name
    assert members(ann, room) == {ann.name: "owner"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", " \t"),
        ("name", "x" * 65),
        ("name", "a\0b"),
        ("name", "a\nb"),
        ("name", None),
        ("name", 7),
        ("topic", "a\0b"),
        ("topic", None),
        ("topic", "x" * 256),
        ("visibility", "secret"),
        ("visibility", "direct"),
        ("owner", "bob"),
    ],
)
def test_bad_rooms(server: Server, field: str, value: Any) -> None:
    answer = server.user("ann").post(ROOMS, {"name": "n"} | {field: value})
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_name_has_up_to_64_characters_of_any_script(server: Server) -> None:
    ann = server.user("ann")
    for name in ("😀" * 60 + secrets.token_hex(2), "ß" * 60 + secrets.token_hex(2)):
        answer = ann.post(ROOMS, {"name": name})
        assert (answer.status_code, answer.json()["name"]) == (201, name)


def test_public_names_are_unique_whatever_the_case(server: Server) -> None:
    ann = server.user("ann")
    name = f"Straße {secrets.token_hex(4)}"
    assert ann.post(ROOMS, {"name": name}).status_code == 201
    for taken in (name, name.upper(), name.lower(), f"  {name} "):
        answer = server.user("bob").post(ROOMS, {"name": taken})
        assert refusal(answer) == (409, "room_name_taken"), taken
        assert answer.json()["errors"][0]["field"] == "name"


def test_private_names_are_not_unique(server: Server) -> None:
    ann, name = server.user("ann"), f"club {secrets.token_hex(4)}"
    for visibility in ("public", "private", "private"):
        body = {"name": name, "visibility": visibility}
        assert ann.post(ROOMS, body).status_code == 201


def test_of_many_who_make_one_public_room_at_once_one_does(server: Server) -> None:
    name = f"rush {secrets.token_hex(4)}"
    clients = [server.user() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda client: client.post(ROOMS, {"name": name}), clients))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


# -- listing


def names(who: Client, **query: Any) -> list[str]:
    """All names over all pages."""
    found: list[str] = []
    while True:
        answer = who.get(ROOMS, **query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["cursor"]
        assert len(page["rooms"]) <= query.get("limit", 50)
        found += [room["name"] for room in page["rooms"]]
        if page["next"] is None:
            return found
        query["after"] = page["next"]


def test_pages_of_rooms_have_each_room_once_by_name(server: Server) -> None:
    ann = server.user("ann")
    tag = secrets.token_hex(4)
    made = [f"{letter} {tag}" for letter in ("b", "A", "ä", "c", "B b", "😀", "a a")]
    for name in made:
        ann.post(ROOMS, {"name": name})
    for limit in (1, 2, 3, 7, 8):
        found = names(ann, q=tag.upper(), limit=limit)
        assert found == sorted(made, key=str.casefold), limit


def test_pages_go_on_past_private_rooms_of_one_name(server: Server) -> None:
    ann, name = server.user("ann"), f"twin {secrets.token_hex(4)}"
    for _ in range(5):
        ann.post(ROOMS, {"name": name, "visibility": "private"})
    assert names(ann, q=name, limit=2) == [name] * 5


def test_joined_lists_the_callers_rooms_alone(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    one, two = ann.room("one"), ann.room("two")
    bob.join(two)
    assert names(bob, joined="true") == [two["name"]]
    assert names(ann, joined="true") == [one["name"], two["name"]]
    assert one["name"] in names(bob, joined="false", q=one["name"])


def test_a_room_that_is_opened_comes_with_its_newest_messages(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room, empty, other = ann.room(), ann.room(), bob.room()
    for number in range(51):
        ann.say(room, f"number {number}")
    opened = ann.get(ROOMS, joined="true", open=room["id"]).json()["opened"]
    assert opened == ann.get(path(room, "/messages")).json()
    assert (len(opened["messages"]), opened["has_more_before"]) == (50, True)
    assert ann.get(ROOMS, open=empty["id"]).json()["opened"]["messages"] == []
    hidden = bob.post(ROOMS, {"name": "hidden", "visibility": "private"}).json()
    for not_hers in (other["id"], hidden["id"], 10**15 - 1, 0):
        assert ann.get(ROOMS, open=not_hers).json()["opened"] is None
    assert ann.get(ROOMS).json()["opened"] is None


@pytest.mark.parametrize("literal", ["100%", "a_b", "back\\slash", "it's", '"x"', "*", "%_"])
def test_a_search_is_for_the_text_itself(server: Server, literal: str) -> None:
    ann = server.user("ann")
    tag = secrets.token_hex(4)
    for name in (f"{literal} {tag}", f"1000 axb {tag}"):
        ann.post(ROOMS, {"name": name})
    assert names(ann, q=f"{literal} {tag}") == [f"{literal} {tag}"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "x"},
        {"limit": "٣"},
        {"limit": ""},
        {"limit": "-1"},
        {"limit": "9" * 400},
        {"joined": "maybe"},
        {"joined": "null"},
        {"open": "1.0"},
        {"q": "a\0b"},
        {"q": "x" * 65},
        {"after": "x"},
        {"after": "W10"},
        {"after": "bnVsbA"},
        {"after": "ÿ" * 5},
        {"bogus": "1"},
    ],
)
def test_bad_queries(server: Server, query: dict[str, str]) -> None:
    answer = server.user("ann").get(ROOMS, **query)
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == list(query)


# -- private rooms


def test_a_private_room_is_not_there_for_who_is_not_in_it(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room("secret", visibility="private")
    ann.say(room, "psst")
    for rest in ("", "/members", "/messages", "/messages/1", "/events"):
        assert refusal(bob.get(path(room, rest))) == (404, "not_found"), rest
    for rest, body in (
        ("/join", None),
        ("/leave", None),
        ("/messages", {"body": "hi"}),
        ("/read", {"id": 1}),
    ):
        assert refusal(bob.post(path(room, rest), body)) == (404, "not_found"), rest
    for query in ({}, {"q": room["name"]}, {"joined": "true"}):
        assert room["name"] not in names(bob, **query)
    absent = bob.get(f"{ROOMS}/999999999")
    assert absent.json() == bob.get(path(room)).json()
    assert seen(ann, room)["member_count"] == 1


def test_who_left_a_private_room_cannot_come_back(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room("secret", visibility="private")
    assert ann.post(path(room, "/leave")).status_code == 204
    for answer in (ann.get(path(room)), ann.post(path(room, "/join"))):
        assert refusal(answer) == (404, "not_found")


# -- joining and leaving


def test_who_is_not_in_a_public_room_sees_it_but_not_into_it(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    ann.say(room, "hi")
    for rest in ("/members", "/messages", "/messages/1", "/events"):
        assert refusal(bob.get(path(room, rest))) == (403, "not_a_member"), rest
    for rest, body in (("/messages", {"body": "hi"}), ("/read", {"id": 1})):
        assert refusal(bob.post(path(room, rest), body)) == (403, "not_a_member"), rest
    found = seen(bob, room)
    assert (found["joined"], found["role"], found["unread"]) == (False, None, 0)


def test_joining_and_leaving_may_be_repeated(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    for _ in range(3):
        answer = bob.post(path(room, "/join"))
        assert answer.status_code == 200
        joined = answer.json()
        assert (joined["joined"], joined["role"], joined["member_count"]) == (True, "member", 2)
        assert joined["last_id"] == 1  # one member.join
    for _ in range(3):
        answer = bob.post(path(room, "/leave"))
        assert (answer.status_code, answer.content) == (204, b"")
        left = seen(bob, room)
        assert (left["joined"], left["role"], left["member_count"]) == (False, None, 1)
        assert left["last_id"] == 2  # one member.leave
    assert members(ann, room) == {ann.name: "owner"}


def test_who_left_is_out_at_once(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    bob.say(room, "hi")
    bob.post(path(room, "/leave"))
    assert refusal(bob.post(path(room, "/messages"), {"body": "hi"})) == (403, "not_a_member")
    assert refusal(bob.get(path(room, "/messages"))) == (403, "not_a_member")
    bob.join(room)
    assert bob.say(room, "back")["author"] == bob.me


def test_thirty_joins_at_once_count_once(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    clients = [server.client(headers={"Cookie": bob.cookies}) for _ in range(30)]
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda client: client.post(path(room, "/join")), clients))
    assert {answer.status_code for answer in answers} == {200}
    now = seen(ann, room)
    assert (now["member_count"], now["last_id"]) == (2, 1)
    assert members(ann, room) == {ann.name: "owner", bob.name: "member"}


def test_joins_and_leaves_at_once_end_in_one_state_that_the_log_tells(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    clients = [server.client(headers={"Cookie": bob.cookies}) for _ in range(12)]

    def go(number: int) -> int:
        rest = "/leave" if number % 2 else "/join"
        return clients[number].post(path(room, rest)).status_code

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(go, range(12))) <= {200, 204}
    now = seen(bob, room)
    assert now["member_count"] == 1 + now["joined"]
    assert (bob.name in members(ann, room)) == now["joined"]
    with ann.stream(path(room, "/events"), last_event_id=0) as events:
        told = [events.next_event("member.join", "member.leave") for _ in range(now["last_id"])]
    assert [event.event == "member.join" for event in told] == [
        number % 2 == 0 for number in range(now["last_id"])
    ]
    assert now["last_id"] % 2 == now["joined"]


def test_the_owner_may_leave_and_comes_back_as_a_member(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    assert ann.post(path(room, "/leave")).status_code == 204
    left = seen(ann, room)
    assert (left["joined"], left["role"], left["member_count"]) == (False, None, 1)
    assert bob.say(room, "still here")
    assert ann.post(path(room, "/join")).json()["role"] == "member"


def test_pages_of_members_have_each_member_once(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    people = [ann] + [server.user("bob") for _ in range(6)]
    for bob in people[1:]:
        bob.join(room)
    for limit in (1, 3, 7, 8):
        found: list[str] = []
        query: dict[str, Any] = {"limit": limit}
        while query.get("after", 0) is not None:
            page = ann.get(path(room, "/members"), **query).json()
            assert len(page["members"]) <= limit
            found += [row["user"]["username"] for row in page["members"]]
            query["after"] = page["next"]
        assert sorted(found) == sorted(person.name for person in people), limit


def test_bad_member_queries(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    for query in ({"limit": "0"}, {"limit": "201"}, {"after": "-1"}, {"after": "x"}, {"who": "x"}):
        answer = ann.get(path(room, "/members"), **query)
        assert refusal(answer) == (422, "validation_failed"), query


# -- reading


def test_unread_counts_others_messages_and_own_sends_are_read(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    ann.say(room, "1")
    bob.join(room)  # event 2: nothing before it is unread
    assert unread(ann, room) == (2, 1, 0)  # a join is no message
    assert unread(bob, room) == (2, 2, 0)
    ann.say(room, "3")
    ann.say(room, "4")
    assert unread(ann, room) == (4, 4, 0)
    assert unread(bob, room) == (4, 2, 2)
    bob.say(room, "5")  # who writes has read
    assert unread(bob, room) == (5, 5, 0)
    assert unread(ann, room) == (5, 4, 1)
    listed = ann.get(ROOMS, joined="true").json()["rooms"][0]
    assert (listed["last_id"], listed["read_id"], listed["unread"]) == (5, 4, 1)


def test_a_read_marker_moves_forward_and_never_back_or_past_the_end(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)  # 1
    for number in range(4):
        ann.say(room, str(number))  # 2 to 5

    def read(n: int) -> tuple[int, int, int]:
        answer = bob.post(path(room, "/read"), {"id": n})
        assert answer.status_code == 204, answer.text
        return unread(bob, room)

    assert read(3) == (5, 3, 2)
    assert read(2) == (5, 3, 2)
    assert read(0) == (5, 3, 2)
    assert read(10**15 - 1) == (5, 5, 0)
    ann.say(room, "one more")
    assert unread(bob, room) == (6, 5, 1)


def test_who_comes_into_an_empty_room_is_its_owner(server: Server) -> None:
    ann, bob, cyd = (server.user(name) for name in ("ann", "bob", "cyd"))
    room = ann.room()
    ann.post(path(room, "/leave"))
    assert bob.post(path(room, "/join")).json()["role"] == "owner"
    assert cyd.post(path(room, "/join")).json()["role"] == "member"
    assert bob.patch(path(room), {"topic": "mine"}).status_code == 200


@pytest.mark.parametrize("n", [-1, 10**15, "1", 1.5, None, True])
def test_bad_read_markers(server: Server, n: Any) -> None:
    ann = server.user("ann")
    answer = ann.post(path(ann.room(), "/read"), {"id": n})
    assert refusal(answer) == (422, "validation_failed")


def test_unread_counts_stay_right_when_another_process_answers(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with server.another() as other:
        elsewhere = other.client(headers={"Cookie": bob.cookies})
        ann.say(room, "2")
        assert unread(elsewhere, room) == (2, 1, 1)
        elsewhere.say(room, "3")
        assert unread(bob, room) == (3, 3, 0)
        bob.post(path(room, "/leave"))
        harness.eventually(
            lambda: elsewhere.post(path(room, "/messages"), {"body": "x"}).status_code == 403,
            within_s=1,
        )
