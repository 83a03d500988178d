"""Mentions: whom a message names is told with it, at once and whoever comes and goes."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from clients import Client
from harness import Server


def ids(*people: Client) -> list[int]:
    return [who.me["id"] for who in people]


def say(who: Client, room: dict[str, Any], body: str) -> list[int]:
    mentions: list[int] = who.say(room, body)["mentions"]
    return mentions


def test_a_message_names_the_members_that_it_mentions(server: Server) -> None:
    ann, bob, carl = server.user("ann"), server.user("bob"), server.user("carl")
    room = ann.room()
    bob.join(room)
    with bob.stream(f"/api/chat/rooms/{room['id']}/events") as events:
        events.next("ready")
        sent = ann.say(room, f"@{bob.name} and @{carl.name} and `@{ann.name}`")
        assert sent["mentions"] == ids(bob)
        name = f'<span class="mention" data-user="{bob.me["id"]}">@{bob.name}</span>'
        assert sent["html"] == f"<p>{name} and @{carl.name} and <code>@{ann.name}</code></p>"
        assert events.next("message") == sent
    assert ann.get(f"/api/chat/rooms/{room['id']}/messages").json()["messages"] == [sent]


def test_who_joins_is_known_by_name_and_who_leaves_is_not(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    with server.another() as other:
        there = other.client(headers={"Cookie": ann.cookies})
        for _ in range(3):
            assert say(ann, room, f"@{bob.name}") == say(there, room, f"@{bob.name}") == []
            with ann.stream(f"/api/chat/rooms/{room['id']}/events") as events:
                bob.join(room)
                events.next("member.join")
                assert say(ann, room, f"@{bob.name}") == ids(bob)
                bob.post(f"/api/chat/rooms/{room['id']}/leave")
                events.next("member.leave")
                assert say(ann, room, f"@{bob.name}") == []
            with there.stream(f"/api/chat/rooms/{room['id']}/events") as events:
                bob.join(room)
                events.next("member.join")
                assert say(there, room, f"@{bob.name}") == ids(bob)
                bob.post(f"/api/chat/rooms/{room['id']}/leave")
                events.next("member.leave")


def test_a_name_is_a_members_of_this_room_only(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room, other = ann.room(), ann.room()
    bob.join(other)
    assert say(ann, other, f"@{bob.name}") == ids(bob)
    assert say(ann, room, f"@{bob.name}") == []


def test_many_mention_many_at_once(server: Server) -> None:
    people = [server.user("bob") for _ in range(6)]
    room = people[0].room()
    for who in people[1:]:
        who.join(room)
    body = " ".join(f"@{who.name}" for who in people)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda who: say(who, room, body), people * 3))
    assert found == [ids(*people)] * 18
