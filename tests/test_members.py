"""Roles, kicks and bans, with their effect on every process."""

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


def members(who: Client, room: Room) -> dict[str, str]:
    answer = who.get(path(room, "/members"))
    assert answer.status_code == 200, answer.text
    return {row["user"]["username"]: row["role"] for row in answer.json()["members"]}


def set_role(who: Client, room: Room, member: Client, role: str) -> httpx.Response:
    return who.put(path(room, f"/members/{member.me['id']}"), {"role": role})


def kick(who: Client, room: Room, member: Client) -> httpx.Response:
    return who.delete(path(room, f"/members/{member.me['id']}"))


def ban(who: Client, room: Room, member: Client, body: Any = None) -> httpx.Response:
    return who.put(path(room, f"/bans/{member.me['id']}"), body)


def unban(who: Client, room: Room, member: Client) -> httpx.Response:
    return who.delete(path(room, f"/bans/{member.me['id']}"))


def post(who: Client, room: Room) -> httpx.Response:
    return who.post(path(room, "/messages"), {"body": "hi"})


def cast(server: Server, **fields: Any) -> tuple[Room, Client, Client, Client]:
    """A room of an owner, a moderator and a member."""
    ann, mo, bob = server.user("ann"), server.user("mo"), server.user("bob")
    room = ann.room(**fields)
    for who in (mo, bob):
        if fields.get("visibility") == "private":
            made = ann.post(path(room, "/invitations"), {"user_id": who.me["id"]}).json()
            assert who.post(f"/api/chat/invitations/{made['id']}/accept").status_code == 200
        else:
            who.join(room)
    assert set_role(ann, room, mo, "moderator").status_code == 200
    return room, ann, mo, bob


# -- roles


def test_an_owner_gives_roles_and_the_room_hears_of_it(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with bob.stream(path(room, "/events")) as events:
        events.next("ready")
        answer = set_role(ann, room, bob, "moderator")
        assert answer.status_code == 200
        assert answer.json() == {"user": bob.me, "role": "moderator"}
        told = events.next_event("member.update")
        assert told.id == "2"
        assert told.json() == {
            "id": 2, "room_id": room["id"], "user": bob.me, "role": "moderator",
        }  # fmt: skip
        assert set_role(ann, room, bob, "moderator").status_code == 200  # nothing new: no event
        assert ann.say(room, "next")["id"] == 3
    assert members(ann, room) == {ann.name: "owner", bob.name: "moderator"}
    assert bob.get(path(room)).json()["role"] == "moderator"


def test_only_owners_give_roles_and_only_to_members(server: Server) -> None:
    room, ann, mo, bob = cast(server)
    for who in (mo, bob):
        assert refusal(set_role(who, room, bob, "moderator")) == (403, "forbidden")
    stranger = server.user("cyd")
    assert refusal(set_role(stranger, room, bob, "owner")) == (403, "not_a_member")
    assert refusal(set_role(ann, room, stranger, "member")) == (404, "not_found")
    assert refusal(set_role(ann, room, bob, "king")) == (422, "validation_failed")
    den = ann.room(visibility="private")
    assert refusal(set_role(bob, den, ann, "member")) == (404, "not_found")


def test_the_last_owner_cannot_step_down(server: Server) -> None:
    room, ann, mo, _ = cast(server)
    assert refusal(set_role(ann, room, ann, "member")) == (409, "last_owner")
    assert set_role(ann, room, mo, "owner").status_code == 200
    assert set_role(ann, room, ann, "member").status_code == 200
    assert refusal(set_role(mo, room, mo, "moderator")) == (409, "last_owner")


def test_of_two_owners_who_step_down_at_once_one_stays(server: Server) -> None:
    for _ in range(5):
        room, ann, mo, _ = cast(server)
        set_role(ann, room, mo, "owner")
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(set_role, who, room, who, "member") for who in (ann, mo)]
            assert sorted(each.result().status_code for each in both) == [200, 409]
        assert sorted(members(ann, room).values()) == ["member", "member", "owner"]


def test_who_leaves_as_last_owner_is_followed_by_the_oldest_moderator_or_member(
    server: Server,
) -> None:
    room, ann, mo, bob = cast(server)
    with bob.stream(path(room, "/events")) as events:
        events.next("ready")
        ann.post(path(room, "/leave"))
        assert events.next("member.leave")["user"] == ann.me
        told = events.next("member.update")
        assert (told["user"], told["role"]) == (mo.me, "owner")
        mo.post(path(room, "/leave"))
        told = events.next("member.update")
        assert (told["user"], told["role"]) == (bob.me, "owner")
    assert members(bob, room) == {bob.name: "owner"}
    assert bob.post(path(room, "/leave")).status_code == 204


# -- kicks


def test_a_kick_ends_the_streams_of_the_room_on_every_process_within_a_second(
    server: Server,
) -> None:
    room, ann, _, bob = cast(server)
    other = bob.room()
    with server.another() as second:
        elsewhere = second.client(headers={"Cookie": bob.cookies})
        assert post(elsewhere, room).status_code == 201  # and now that process has cached it
        with (
            elsewhere.stream(path(room, "/events")) as ending,
            elsewhere.stream("/api/chat/events") as staying,
            ann.stream(path(room, "/events")) as told,
        ):
            for stream in (ending, staying, told):
                stream.next("ready")
            started = time.monotonic()
            answer = kick(ann, room, bob)
            assert (answer.status_code, answer.content) == (204, b"")
            assert ending.next("room.removed") == {"room_id": room["id"]}
            assert ending.ended()
            assert staying.next("room.removed") == {"room_id": room["id"]}
            assert harness.alone_s(started) < 1
            left = told.next("member.leave")
            assert (left["user"], left["role"]) == (bob.me, "member")
            assert refusal(post(bob, room)) == (403, "not_a_member")
            assert refusal(post(elsewhere, room)) == (403, "not_a_member")
            ann.say(room, "without bob")
            bob.say(other, "alone")
            assert staying.next("message")["body"] == "alone"
        assert refusal(elsewhere.get(path(room, "/events"))) == (403, "not_a_member")
    bob.join(room)  # a kick is no ban
    assert post(bob, room).status_code == 201


def test_nothing_is_posted_by_the_kicked_once_the_kick_is_told(server: Server) -> None:
    """While bob posts as fast as he can on two processes."""
    room, ann, _, bob = cast(server)
    with server.another() as second, ThreadPoolExecutor(4) as pool:
        copies = [where.client(headers={"Cookie": bob.cookies}) for where in (server, second) * 2]

        def go_on(copy: Client) -> list[int]:
            ids = []
            while (answer := post(copy, room)).status_code == 201:
                ids.append(answer.json()["id"])
            assert refusal(answer) == (403, "not_a_member")
            return ids

        posting = [pool.submit(go_on, copy) for copy in copies]
        time.sleep(0.3)
        assert kick(ann, room, bob).status_code == 204
        posted = sorted(n for ids in posting for n in ids.result())
    with ann.stream(path(room, "/events"), last_event_id=0) as events:
        left = events.next("member.leave")["id"]
    assert max(posted) < left  # not even one that was on its way
    assert ann.say(room, "quiet")["id"] == left + 1
    bob.join(room)
    assert bob.say(room, "back")["id"] == left + 3


def test_who_may_kick_whom(server: Server) -> None:
    room, ann, mo, bob = cast(server)
    cyd = server.user("cyd")
    cyd.join(room)
    for who, member in ((bob, cyd), (bob, ann), (mo, ann), (mo, mo), (ann, ann), (bob, bob)):
        assert refusal(kick(who, room, member)) == (403, "forbidden")
    assert kick(mo, room, cyd).status_code == 204
    assert kick(mo, room, cyd).status_code == 204  # may be repeated
    assert kick(ann, room, mo).status_code == 204
    assert refusal(kick(mo, room, bob)) == (403, "not_a_member")
    assert members(ann, room) == {ann.name: "owner", bob.name: "member"}


def test_a_moderator_kicks_no_moderator(server: Server) -> None:
    room, ann, mo, bob = cast(server)
    set_role(ann, room, bob, "moderator")
    assert refusal(kick(mo, room, bob)) == (403, "forbidden")
    assert refusal(ban(mo, room, bob)) == (403, "forbidden")


def test_a_private_room_is_not_there_for_the_kicked(server: Server) -> None:
    room, ann, _, bob = cast(server, visibility="private")
    assert kick(ann, room, bob).status_code == 204
    for answer in (bob.get(path(room)), post(bob, room), bob.post(path(room, "/join"))):
        assert refusal(answer) == (404, "not_found")


# -- bans


def test_a_ban_takes_out_and_keeps_out_until_it_is_lifted(server: Server) -> None:
    room, ann, mo, bob = cast(server)
    link = ann.put(path(room, "/link")).json()["token"]
    with server.another() as second:
        elsewhere = second.client(headers={"Cookie": bob.cookies})
        with elsewhere.stream(path(room, "/events")) as ending:
            ending.next("ready")
            started = time.monotonic()
            answer = ban(mo, room, bob, {"reason": "spam"})
            assert (answer.status_code, answer.content) == (204, b"")
            assert ending.next("room.removed") == {"room_id": room["id"]}
            assert ending.ended()
            assert harness.alone_s(started) < 1
        for who in (bob, elsewhere):
            assert refusal(who.post(path(room, "/join"))) == (403, "banned")
            assert refusal(who.post(f"/api/chat/links/{link}/join")) == (403, "banned")
            assert refusal(post(who, room)) == (403, "not_a_member")
    invited = ann.post(path(room, "/invitations"), {"user_id": bob.me["id"]})
    assert refusal(invited) == (403, "banned")
    (row,) = ann.get(path(room, "/bans")).json()["bans"]
    assert row.pop("created_at").endswith("Z")
    assert row == {"user": bob.me, "reason": "spam", "by": mo.me}
    for _ in range(2):
        assert unban(mo, room, bob).status_code == 204
    assert ann.get(path(room, "/bans")).json() == {"bans": [], "next": None}
    bob.join(room)


def test_a_ban_may_come_before_the_banned_and_be_repeated(server: Server) -> None:
    room, ann, mo, _ = cast(server)
    cyd = server.user("cyd")
    for reason in ("one", "two"):
        assert ban(ann, room, cyd, {"reason": reason}).status_code == 204
    assert [row["reason"] for row in mo.get(path(room, "/bans")).json()["bans"]] == ["two"]
    assert refusal(cyd.post(path(room, "/join"))) == (403, "banned")


def test_a_ban_ends_an_invitation(server: Server) -> None:
    room, ann, _, _ = cast(server)
    cyd = server.user("cyd")
    made = ann.post(path(room, "/invitations"), {"user_id": cyd.me["id"]}).json()
    ban(ann, room, cyd)
    assert cyd.get("/api/chat/invitations").json() == {"invitations": []}
    answer = cyd.post(f"/api/chat/invitations/{made['id']}/accept")
    assert refusal(answer) == (404, "not_found")


def test_who_may_ban_and_see_bans(server: Server) -> None:
    room, ann, mo, bob = cast(server)
    for answer in (
        ban(bob, room, mo), ban(mo, room, ann), ban(mo, room, mo), ban(ann, room, ann),
        bob.get(path(room, "/bans")), unban(bob, room, mo),
    ):  # fmt: skip
        assert refusal(answer) == (403, "forbidden")
    assert refusal(ann.put(path(room, "/bans/999999999"))) == (404, "not_found")
    assert refusal(ban(ann, room, bob, {"reason": "x" * 256})) == (422, "validation_failed")
    assert refusal(ban(ann, room, bob, {"until": 1})) == (422, "validation_failed")


def test_a_ban_that_races_joins_wins(server: Server) -> None:
    """Whatever comes first, who is banned is not in the room in the end."""
    with server.another() as second:
        for _ in range(6):
            ann, bob = server.user("ann"), server.user("bob")
            room = ann.room()
            copies = [w.client(headers={"Cookie": bob.cookies}) for w in (server, second) * 4]
            with ThreadPoolExecutor(9) as pool:
                joining = [pool.submit(copy.post, path(room, "/join")) for copy in copies]
                banned = pool.submit(ban, ann, room, bob)
                assert banned.result().status_code == 204
                assert {each.result().status_code for each in joining} <= {200, 403}
            assert members(ann, room) == {ann.name: "owner"}
            assert ann.get(path(room)).json()["member_count"] == 1
            assert refusal(post(bob, room)) == (403, "not_a_member")


def test_bans_come_in_pages(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    people = [server.user("bob") for _ in range(3)]
    for who in people:
        ban(ann, room, who)
    first = ann.get(path(room, "/bans"), limit=2).json()
    second = ann.get(path(room, "/bans"), limit=2, after=first["next"]).json()
    found = [row["user"] for row in first["bans"] + second["bans"]]
    assert (found, second["next"]) == ([who.me for who in people], None)


@pytest.mark.parametrize("rest", ["/members/1", "/bans/1"])
def test_a_direct_room_has_no_roles(server: Server, rest: str) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.post("/api/chat/direct", {"user_id": bob.me["id"]}).json()
    rest = rest.replace("1", str(bob.me["id"]))
    answer = ann.put(path(room, rest), {"role": "owner"} if "members" in rest else {})
    assert refusal(answer) == (403, "forbidden")
    assert refusal(ann.delete(path(room, rest))) == (403, "forbidden")
    harness.eventually(lambda: post(bob, room).status_code == 201)
