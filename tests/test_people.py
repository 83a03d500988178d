"""Profiles, passwords, sessions, and finding people."""

import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import harness
import httpx
import pytest
from clients import Client
from harness import PASSWORD, Server

from quartchat import devices

StartServer = Callable[..., Server]

ALL = "/api/chat/events"
NEW_PASSWORD = "battery staple"
BROWSER = "Mozilla/5.0 "
FIREFOX = BROWSER + "(Windows NT 10.0; Win64; x64; rv:150.0) Gecko/20100101 Firefox/150.0"


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def login(client: Client, name: str, password: str = PASSWORD) -> httpx.Response:
    return client.post("/api/login", {"username": name, "password": password})


def another_sign_in(server: Server, who: Client) -> Client:
    client = server.client()
    assert login(client, who.name).status_code == 200
    client.name, client.me = who.name, who.me
    return client


def change_password(who: Client, current: str = PASSWORD, new: str = NEW_PASSWORD) -> Any:
    return who.put("/api/me/password", {"current_password": current, "new_password": new})


def session_ids(who: Client) -> dict[int, bool]:
    return {row["id"]: row["current"] for row in who.get("/api/sessions").json()["sessions"]}


# -- the profile


def test_a_display_name_changes_everywhere_but_in_what_was_said(server: Server) -> None:
    ann, bob = server.user("ann", display_name="Ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    before = ann.say(room, "before")
    with server.another() as second:
        elsewhere = second.client(headers={"Cookie": ann.cookies})
        assert elsewhere.get("/api/me").json()["user"]["display_name"] == "Ann"
        answer = ann.patch("/api/me", {"display_name": " Ann B. "})
        assert answer.status_code == 200
        assert answer.json() == {"user": ann.me | {"display_name": "Ann B."}}
        assert ann.get("/api/me").json() == answer.json()
        harness.eventually(lambda: elsewhere.get("/api/me").json() == answer.json(), within_s=1)
    assert ann.say(room, "after")["author"]["display_name"] == "Ann B."
    listed = bob.get(f"/api/chat/rooms/{room['id']}/members").json()["members"]
    assert "Ann B." in {row["user"]["display_name"] for row in listed}
    assert bob.get(f"/api/chat/rooms/{room['id']}/messages/{before['id']}").json() == before


def test_who_shares_a_room_hears_a_new_name_once_on_every_process_and_nobody_else_does(
    server: Server,
) -> None:
    ann, bob, cyd = server.user("ann"), server.user("bob"), server.user("cyd")
    one, two = ann.room(), ann.room(visibility="private")
    bob.join(one)
    direct = ann.post("/api/chat/direct", {"user_id": bob.me["id"]}).json()
    events = f"/api/chat/rooms/{direct['id']}/events"
    with server.another() as second, ExitStack() as stack:
        far = second.client(headers={"Cookie": bob.cookies})
        listening = [(bob, events), (bob, ALL), (far, ALL), (ann, ALL), (cyd, ALL)]
        streams = [stack.enter_context(who.stream(where)) for who, where in listening]
        cursors = [stream.next("ready") for stream in streams]
        answer = ann.patch("/api/me", {"display_name": "Ann B."})
        for stream in streams[:-1]:
            event = stream.next_event()
            assert (event.event, event.id) == ("user.update", "")
            assert event.json() == answer.json()["user"]
            assert stream.silent()
        assert streams[-1].silent()
        ann.say(two, "still here")
        assert streams[3].next()["author"]["display_name"] == "Ann B."
    with bob.stream(ALL, cursors[1]["cursor"]) as resumed:
        resumed.next("ready")
        assert resumed.silent()  # what has no number has no history


def test_a_profile_without_changes_is_what_it_was(server: Server) -> None:
    ann = server.user("ann")
    answer = ann.patch("/api/me", {})
    assert (answer.status_code, answer.json()) == (200, {"user": ann.me})


@pytest.mark.parametrize(
    "body",
    [
        {"display_name": ""},
        {"display_name": " \u200b"},
        {"display_name": "x" * 65},
        {"display_name": "a\0b"},
        {"display_name": None},
        {"username": "bob"},
    ],
)
def test_bad_profiles(server: Server, body: dict[str, Any]) -> None:
    answer = server.user("ann").patch("/api/me", body)
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == list(body)


# -- the password


def test_a_new_password_ends_the_other_sessions_on_every_process_within_a_second(
    server: Server,
) -> None:
    ann = server.user("ann")
    token = ann.post("/api/tokens", {"name": "bot"}).json()["token"]
    with server.another() as second:
        phone = another_sign_in(second, ann)
        bot = second.client(headers={"Authorization": f"Bearer {token}"})
        with phone.stream("/api/chat/events") as ending, bot.stream("/api/chat/events") as staying:
            ending.next("ready")
            staying.next("ready")
            started = time.monotonic()
            answer = change_password(ann)
            assert (answer.status_code, answer.content) == (204, b"")
            assert ending.next_event().event == "session.revoked"
            assert ending.ended()
            assert harness.alone_s(started) < 1
            assert staying.silent()
        assert refusal(phone.get("/api/me")) == (401, "unauthenticated")
        assert bot.get("/api/me").status_code == 200  # tokens stay
    assert ann.get("/api/me").status_code == 200
    assert refusal(login(server.client(), ann.name)) == (401, "invalid_credentials")
    assert login(server.client(), ann.name, NEW_PASSWORD).status_code == 200


@pytest.mark.parametrize("wrong", ["wrong horse", "x" * 73, "é" * 40])
def test_the_current_password_is_asked_for(server: Server, wrong: str) -> None:
    ann = server.user("ann")
    phone = another_sign_in(server, ann)
    answer = change_password(ann, wrong)
    assert refusal(answer) == (401, "invalid_credentials")
    assert answer.json()["errors"][0]["field"] == "current_password"
    assert phone.get("/api/me").status_code == 200
    assert login(server.client(), ann.name).status_code == 200


@pytest.mark.parametrize("password", ["a" * 7, "a" * 73, "é" * 37, "a\0" * 8, None])
def test_bad_new_passwords(server: Server, password: Any) -> None:
    answer = change_password(server.user("ann"), new=password)
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == ["new_password"]


def test_of_many_who_change_a_password_at_once_one_does(server: Server) -> None:
    ann = server.user("ann")
    copies = [server.client(headers={"Cookie": ann.cookies}) for _ in range(6)]
    passwords = [f"battery staple {number}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda c, new: change_password(c, new=new), copies, passwords))
    assert sorted(answer.status_code for answer in answers) == [204] + [401] * 5
    good = [login(server.client(), ann.name, new).status_code == 200 for new in passwords]
    assert good == [answer.status_code == 204 for answer in answers]


def test_who_signs_in_with_the_old_password_meanwhile_has_no_session(
    start_server: StartServer,
) -> None:
    """A login that had checked the old password must not survive its end."""
    server = start_server(QUARTCHAT_BCRYPT_ROUNDS="9")
    ann = server.user("ann")
    thieves = [server.client() for _ in range(12)]
    with ThreadPoolExecutor(13) as pool:
        trying = [pool.submit(login, thief, ann.name) for thief in thieves]
        assert pool.submit(change_password, ann).result().status_code == 204
        for attempt in trying:
            attempt.result()
    assert {thief.get("/api/me").status_code for thief in thieves} == {401}


def test_a_password_may_be_tried_ten_times(start_server: StartServer) -> None:
    ann = start_server(QUARTCHAT_RATE_LIMITS="on").user("ann")
    for _ in range(10):
        assert refusal(change_password(ann, "wrong horse")) == (401, "invalid_credentials")
    answer = change_password(ann)
    assert refusal(answer) == (429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 300


# -- sessions


def test_sessions_are_listed_newest_first_by_their_device(server: Server) -> None:
    ann, phone = server.user("ann"), server.client(headers={"User-Agent": FIREFOX})
    login(phone, ann.name)
    ann.post("/api/tokens", {"name": "bot"})
    answer = ann.get("/api/sessions")
    assert answer.status_code == 200
    rows = answer.json()["sessions"]
    assert [(row["kind"], row["name"], row["current"]) for row in rows] == [
        ("cookie", "Firefox on Windows", False),
        ("cookie", "python-httpx", True),
    ]
    assert all(set(row) == {"id", "kind", "name", "created_at", "current"} for row in rows)
    assert sorted(session_ids(phone).values()) == [False, True]


def test_a_session_that_is_ended_from_afar_ends_everywhere(server: Server) -> None:
    ann = server.user("ann")
    with server.another() as second:
        phone = another_sign_in(second, ann)
        (phone_id,) = (row for row, current in session_ids(phone).items() if current)
        with phone.stream("/api/chat/events") as stream:
            stream.next("ready")
            answer = ann.delete(f"/api/sessions/{phone_id}")
            assert (answer.status_code, answer.content) == (204, b"")
            assert stream.next_event().event == "session.revoked"
            assert stream.ended(1)
        assert refusal(phone.get("/api/me")) == (401, "unauthenticated")
    assert session_ids(ann) == dict.fromkeys(session_ids(ann), True)
    assert refusal(ann.delete(f"/api/sessions/{phone_id}")) == (404, "not_found")


def test_nobody_ends_or_sees_anothers_session(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    (mine,) = session_ids(ann)
    assert mine not in session_ids(bob)
    assert refusal(bob.delete(f"/api/sessions/{mine}")) == (404, "not_found")
    token = ann.post("/api/tokens", {"name": "bot"}).json()["id"]
    assert refusal(ann.delete(f"/api/sessions/{token}")) == (404, "not_found")
    assert ann.get("/api/me").status_code == 200


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (FIREFOX, "Firefox on Windows"),
        (BROWSER + "(X11; Linux x86_64) Chrome/149.0 Safari/537.36", "Chrome on Linux"),
        (BROWSER + "(Windows NT 10.0) Chrome/149.0 Safari/537.36 Edg/149.0", "Edge on Windows"),
        (BROWSER + "(iPhone; CPU like Mac OS X) Version/26.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.0", "curl"),
        ("", ""),
        ("\x1b[31m" + "x" * 200, "[31m" + "x" * 60),
    ],
)  # fmt: skip
def test_a_device_is_named_by_its_header(header: str, name: str) -> None:
    assert devices.name(header) == name


# -- who there is


def search(who: Client, text: str, **params: Any) -> list[str]:
    answer = who.get("/api/users", q=text, **params)
    assert answer.status_code == 200, answer.text
    return [user["username"] for user in answer.json()["users"]]


def test_people_are_found_by_how_their_names_begin(server: Server) -> None:
    mark = secrets.token_hex(3)
    ann = server.user(f"{mark}-ann", display_name=f"Ångström {mark}")
    bob = server.user("bob", display_name=f"{mark.upper()} Straße 100%_\\")
    assert search(ann, mark) == [ann.name, bob.name]  # usernames first
    assert search(ann, mark.upper()) == [ann.name, bob.name]
    assert search(ann, f"{mark} STRASSE 100%_\\") == [bob.name]
    assert ann.name in search(bob, f"ångström {mark}")
    assert search(ann, mark, limit=1) == [ann.name]
    assert search(ann, f"{mark}%") == search(ann, f"{mark}_") == search(ann, f"{mark}*") == []
    assert search(ann, ann.name[1:]) == []


def test_one_letter_is_all_of_a_name_or_nothing(server: Server) -> None:
    ann = server.user("ann", display_name="Ω")
    assert ann.name in search(ann, "ω")
    assert ann.name not in search(ann, "a")


@pytest.mark.parametrize(
    "query", [{}, {"q": ""}, {"q": "a" * 65}, {"q": "a\0b"}, {"q": "ab", "limit": 0}]
)
def test_bad_searches(server: Server, query: dict[str, Any]) -> None:
    assert refusal(server.user("ann").get("/api/users", **query)) == (422, "validation_failed")


def test_a_person_is_had_by_id(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    answer = ann.get(f"/api/users/{bob.me['id']}")
    assert (answer.status_code, answer.json()) == (200, {"user": bob.me})
    for unknown in (0, 10**15 - 1):
        assert refusal(ann.get(f"/api/users/{unknown}")) == (404, "not_found")
