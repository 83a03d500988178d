"""Invitations and join links."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from clients import Client
from harness import PASSWORD, Server

ROOMS = "/api/chat/rooms"
INVITATIONS = "/api/chat/invitations"

Room = dict[str, Any]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def path(room: Room, rest: str = "") -> str:
    return f"{ROOMS}/{room['id']}{rest}"


def invite(who: Client, room: Room, invitee: Client) -> httpx.Response:
    return who.post(path(room, "/invitations"), {"user_id": invitee.me["id"]})


def accept(who: Client, invitation: dict[str, Any]) -> httpx.Response:
    return who.post(f"{INVITATIONS}/{invitation['id']}/accept")


def withdraw(who: Client, invitation: dict[str, Any]) -> httpx.Response:
    return who.delete(f"{INVITATIONS}/{invitation['id']}")


def mine(who: Client) -> list[dict[str, Any]]:
    answer = who.get(INVITATIONS)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["invitations"]
    return found


def member_names(who: Client, room: Room) -> set[str]:
    rows = who.get(path(room, "/members")).json()["members"]
    return {row["user"]["username"] for row in rows}


# -- invitations


def test_who_is_invited_hears_of_it_and_comes_into_the_private_room(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room(visibility="private", topic="secret")
    summary = {"id": room["id"], "name": room["name"], "topic": "secret", "member_count": 1}
    with server.another() as second:
        elsewhere = second.client(headers={"Cookie": bob.cookies})
        with elsewhere.stream("/api/chat/events") as events:
            events.next("ready")
            answer = invite(ann, room, bob)
            assert answer.status_code == 201
            made = answer.json()
            told = events.next_event("invitation")
            assert not told.id
            assert told.json() == {"id": made["id"], "room": summary, "inviter": ann.me}
            assert made.pop("created_at").endswith("Z")
            assert made == {
                "id": made["id"], "room": summary, "inviter": ann.me, "invitee": bob.me,
            }  # fmt: skip
            assert refusal(elsewhere.get(path(room))) == (404, "not_found")
            joined = accept(elsewhere, made)
            assert joined.status_code == 200
            assert (joined.json()["id"], joined.json()["role"]) == (room["id"], "member")
            assert events.next("member.join")["user"] == bob.me
            ann.say(room, "welcome")
            assert events.next("message")["body"] == "welcome"
    assert mine(bob) == []
    assert refusal(accept(bob, made)) == (404, "not_found")
    assert member_names(ann, room) == {ann.name, bob.name}


def test_an_invitation_may_be_repeated_and_is_told_once(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    with bob.stream("/api/chat/events") as events:
        events.next("ready")
        first = invite(ann, room, bob)
        events.next("invitation")
        again = invite(ann, room, bob)
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == first.json()
        assert events.silent()
    assert mine(bob) == [first.json()]
    assert ann.get(path(room, "/invitations")).json() == {"invitations": [first.json()]}


def test_who_may_invite_whom(server: Server) -> None:
    ann, bob, cyd = server.user("ann"), server.user("bob"), server.user("cyd")
    lobby, den = ann.room(), ann.room(visibility="private")
    for room in (lobby, den):
        assert accept(bob, invite(ann, room, bob).json()).status_code == 200
    assert invite(bob, lobby, cyd).status_code == 201  # any member of a public room
    assert refusal(invite(bob, den, cyd)) == (403, "forbidden")
    ann.put(path(den, f"/members/{bob.me['id']}"), {"role": "moderator"})
    assert invite(bob, den, cyd).status_code == 201
    assert refusal(invite(cyd, lobby, bob)) == (403, "not_a_member")
    assert refusal(invite(cyd, den, bob)) == (404, "not_found")
    assert refusal(invite(ann, lobby, bob)) == (409, "already_member")
    answer = ann.post(path(lobby, "/invitations"), {"user_id": 10**14})
    assert refusal(answer) == (422, "validation_failed")
    assert refusal(cyd.get(path(lobby, "/invitations"))) == (403, "not_a_member")
    assert refusal(bob.get(path(lobby, "/invitations"))) == (403, "forbidden")


def test_an_invitation_is_declined_or_taken_back(server: Server) -> None:
    ann, mo, bob, cyd = (server.user(name) for name in ("ann", "mo", "bob", "cyd"))
    room = ann.room()
    for who in (mo, bob):
        who.join(room)
    ann.put(path(room, f"/members/{mo.me['id']}"), {"role": "moderator"})
    for who in (cyd, bob, mo):  # the invitee, the inviter, a moderator
        made = invite(bob, room, cyd).json()
        for stranger in (server.user("dan"), *([ann] if who is None else [])):
            assert refusal(withdraw(stranger, made)) == (404, "not_found")
        answer = withdraw(who, made)
        assert (answer.status_code, answer.content) == (204, b"")
        assert mine(cyd) == []
        assert refusal(withdraw(who, made)) == (404, "not_found")
        assert refusal(accept(cyd, made)) == (404, "not_found")
    made = invite(ann, room, cyd).json()
    assert refusal(withdraw(bob, made)) == (404, "not_found")  # neither his nor a moderator
    assert refusal(accept(bob, made)) == (404, "not_found")
    assert mine(cyd) == [made]


def test_who_joins_otherwise_has_no_invitation_left(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    invite(ann, room, bob)
    bob.join(room)
    assert mine(bob) == []


def close_account(who: Client) -> httpx.Response:
    return who.delete("/api/me", {"password": PASSWORD})


ENDS: dict[str, Callable[[Client, Client, Room, Any], httpx.Response]] = {
    "accepted": lambda _, bob, __, made: accept(bob, made),
    "declined": lambda _, bob, __, made: withdraw(bob, made),
    "taken back": lambda ann, _, __, made: withdraw(ann, made),
    "joined": lambda _, bob, room, __: bob.post(path(room, "/join")),
    "banned": lambda ann, bob, room, _: ann.put(path(room, f"/bans/{bob.me['id']}")),
    "room removed": lambda ann, _, room, __: ann.delete(path(room)),
    "inviter's account closed": lambda ann, *_: close_account(ann),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_invitation_that_is_open_no_more_is_told_to_the_invitee_on_every_device(
    server: Server, end: str
) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    made = invite(ann, room, bob).json()
    with server.another() as second:
        elsewhere = second.client(headers={"Cookie": bob.cookies})
        with (
            bob.stream("/api/chat/events") as here,
            elsewhere.stream("/api/chat/events") as there,
        ):
            for events in (here, there):
                events.next("ready")
            assert ENDS[end](ann, bob, room, made).is_success
            for events in (here, there):
                told = events.next("invitation.remove")
                assert told == {"id": made["id"], "room_id": room["id"]}
    assert mine(bob) == []


def test_who_comes_in_by_a_link_has_no_invitation_left_and_hears_so(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room(visibility="private")
    made = invite(ann, room, bob).json()
    token = ann.put(path(room, "/link")).json()["token"]
    with bob.stream("/api/chat/events") as events:
        events.next("ready")
        assert bob.post(f"/api/chat/links/{token}/join").status_code == 200
        assert events.next("invitation.remove") == {"id": made["id"], "room_id": room["id"]}
    assert mine(bob) == []


def test_nobody_but_the_invitee_hears_that_an_invitation_is_open_no_more(server: Server) -> None:
    ann, bob, cyd = server.user("ann"), server.user("bob"), server.user("cyd")
    room = ann.room(visibility="private")
    made, other = invite(ann, room, bob).json(), invite(ann, room, cyd).json()
    with ann.stream("/api/chat/events") as anns, cyd.stream("/api/chat/events") as cyds:
        for events in (anns, cyds):
            events.next("ready")
        assert withdraw(bob, made).status_code == 204
        assert anns.silent()
        assert cyds.silent()
    assert mine(cyd) == [other]


def test_an_invitation_that_is_accepted_and_taken_back_at_once_is_one_of_both(
    server: Server,
) -> None:
    for _ in range(6):
        ann, bob = server.user("ann"), server.user("bob")
        room = ann.room(visibility="private")
        made = invite(ann, room, bob).json()
        with ThreadPoolExecutor(2) as pool:
            accepting, taking = pool.submit(accept, bob, made), pool.submit(withdraw, ann, made)
            codes = (accepting.result().status_code, taking.result().status_code)
        assert codes in {(200, 404), (404, 204)}
        assert (bob.name in member_names(ann, room)) == (codes[0] == 200)


# -- links


def test_whoever_has_the_link_may_join_until_it_is_replaced(server: Server) -> None:
    ann, bob, cyd = server.user("ann"), server.user("bob"), server.user("cyd")
    room = ann.room(visibility="private")
    assert ann.get(path(room, "/link")).json() == {"link": None}
    answer = ann.put(path(room, "/link"))
    assert answer.status_code == 200
    link = answer.json()
    assert link == {"token": link["token"], "path": f"/join/{link['token']}"}
    assert ann.get(path(room, "/link")).json() == {"link": link}
    opened = f"/api/chat/links/{link['token']}"
    summary = {"id": room["id"], "name": room["name"], "topic": "", "member_count": 1}
    assert bob.get(opened).json() == {"room": summary, "joined": False}
    for _ in range(2):
        joined = bob.post(f"{opened}/join")
        assert (joined.status_code, joined.json()["id"]) == (200, room["id"])
        assert joined.json()["last_id"] == 1  # one member.join
    assert bob.get(opened).json() == {"room": summary | {"member_count": 2}, "joined": True}
    new = ann.put(path(room, "/link")).json()["token"]
    for who in (bob, cyd):
        assert refusal(who.get(opened)) == (404, "not_found")
        assert refusal(who.post(f"{opened}/join")) == (404, "not_found")
    assert cyd.post(f"/api/chat/links/{new}/join").status_code == 200


def test_a_link_that_is_removed_opens_nothing(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    token = ann.put(path(room, "/link")).json()["token"]
    for _ in range(2):
        answer = ann.delete(path(room, "/link"))
        assert (answer.status_code, answer.content) == (204, b"")
    assert refusal(bob.post(f"/api/chat/links/{token}/join")) == (404, "not_found")
    assert ann.get(path(room, "/link")).json() == {"link": None}


def test_a_link_is_for_moderators_to_make_and_see(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    ann.put(path(room, "/link"))
    for answer in (
        bob.get(path(room, "/link")), bob.put(path(room, "/link")), bob.delete(path(room, "/link")),
    ):  # fmt: skip
        assert refusal(answer) == (403, "forbidden")
    ann.put(path(room, f"/members/{bob.me['id']}"), {"role": "moderator"})
    assert bob.put(path(room, "/link")).status_code == 200


def test_a_link_dies_with_its_room(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    token = ann.put(path(room, "/link")).json()["token"]
    ann.delete(path(room))
    assert refusal(bob.get(f"/api/chat/links/{token}")) == (404, "not_found")


@pytest.mark.parametrize("token", ["x", "x" * 64, "x" * 65, "ÿ", "a%00b", "a'b"])
def test_a_token_that_is_none_is_404(server: Server, token: str) -> None:
    answer = server.user("ann").get(f"/api/chat/links/{token}")
    assert refusal(answer) == (404, "not_found")


# -- the page of a link


def test_the_page_of_a_link_sends_the_signed_out_to_sign_in_and_back(server: Server) -> None:
    answer = server.client().get("/join/abc_-1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/join/abc_-1"
    page = server.user("ann").get("/join/abc_-1")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
