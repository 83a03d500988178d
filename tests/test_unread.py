"""Unread mentions: the same number from SQL, from memory, and while one turns into the other."""

from collections.abc import Callable
from typing import Any

import harness
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartchat.events import Event, FeedId, RoomId, UserId
from quartchat.store import mentions
from quartchat.unread import Held

StartServer = Callable[..., harness.Server]
LOBBY = RoomId(1)


def counts(client: harness.Client, room: dict[str, Any]) -> tuple[int, int]:
    """A room's unread messages and mentions, which the list of rooms says likewise."""
    found = client.get(f"/api/chat/rooms/{room['id']}").json()
    rooms = client.get("/api/chat/rooms", joined="true").json()["rooms"]
    [listed] = [each for each in rooms if each["id"] == room["id"]]
    assert listed == found
    return found["unread"], found["mentions"]


def archived(server: harness.Server, room: dict[str, Any], n: int) -> None:
    """Wait until SQL has a room's event."""

    def there() -> bool:
        with harness.sql(server.database_url) as sql:
            rows = sql.execute(f"SELECT n FROM event WHERE room_id = {room['id']}")  # noqa: S608
            return (n,) in rows

    harness.eventually(there)


def test_only_unread_messages_of_others_that_name_one_are_counted(server: harness.Server) -> None:
    ann, bob, eve = server.user("ann"), server.user("bob"), server.user("eve")
    room = ann.room()
    bob.join(room)
    eve.join(room)
    ann.say(room, f"@{bob.name} hello")
    ann.say(room, f"`@{bob.name}` is code, and @{eve.name} somebody else")
    ann.say(room, f"@{bob.name} and @{bob.name} again, and @{ann.name} myself")
    assert counts(bob, room) == (3, 2)
    assert counts(eve, room) == (3, 1)
    assert counts(ann, room) == (0, 0)


def test_a_marker_that_moves_takes_mentions_with_it_in_all_tabs(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    for _ in range(3):
        last = ann.say(room, f"@{bob.name}")["id"]
    path = f"/api/chat/rooms/{room['id']}/read"
    with bob.stream("/api/chat/events") as stream:
        stream.next("ready")
        assert counts(bob, room) == (3, 3)
        assert bob.post(path, {"id": last - 2}).status_code == 204
        marker = stream.next("read")
        assert (marker["id"], marker["unread"], marker["mentions"]) == (last - 2, 2, 2)
        archived(server, room, last)
        assert counts(bob, room) == (2, 2)
        bob.say(room, "who writes has read")
        assert counts(bob, room) == (0, 0)
        ann.say(room, f"@{bob.name}")
        assert counts(bob, room) == (1, 1)
        assert bob.post(path, {"id": 99}).status_code == 204
        assert stream.next("read")["mentions"] == 0
        assert counts(bob, room) == (0, 0)


def test_the_count_is_right_before_and_after_the_archive_and_a_restart(
    start_server: StartServer,
) -> None:
    server = start_server()
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    last = ann.say(room, f"@{bob.name} one")["id"]
    archived(server, room, last)
    server.worker.terminate()
    for _ in range(3):
        last = ann.say(room, f"@{bob.name}, SQL knows nothing of this")["id"]
    assert counts(bob, room) == (4, 4)
    server.web.restart()  # and then neither does this process
    server.wait_until_ready()
    assert counts(bob, room) == (4, 4)
    server.worker.start()
    archived(server, room, last)
    assert counts(bob, room) == (4, 4)
    server.web.restart()
    server.wait_until_ready()
    assert counts(bob, room) == (4, 4)


def test_edits_and_deletions_count_before_and_after_they_are_archived(
    start_server: StartServer,
) -> None:
    server = start_server()
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    path = f"/api/chat/rooms/{room['id']}/messages"
    ids = [ann.say(room, f"@{bob.name} {word}")["id"] for word in ("edited", "deleted", "kept")]
    ids.append(ann.say(room, "named later")["id"])
    archived(server, room, ids[-1])
    assert counts(bob, room) == (4, 3)
    server.worker.terminate()
    assert ann.patch(f"{path}/{ids[0]}", {"body": "nobody"}).status_code == 200
    assert ann.delete(f"{path}/{ids[1]}").status_code == 204
    assert ann.patch(f"{path}/{ids[3]}", {"body": f"@{bob.name}"}).status_code == 200
    assert ann.put(f"{path}/{ids[2]}/reactions/%F0%9F%91%8D").status_code == 200
    last = ids[-1] + 4
    for restart in (server.web.restart, server.worker.start, server.web.restart):
        assert counts(bob, room) == (4, 2)
        restart()
        server.wait_until_ready()
        if server.worker.running:
            archived(server, room, last)
    assert counts(bob, room) == (4, 2)
    with harness.sql(server.database_url) as sql:
        rows = sql.execute(f"SELECT n FROM mention WHERE room_id = {room['id']} ORDER BY n")  # noqa: S608
        assert [n for (n,) in rows] == [ids[2], ids[3]]
        assert bob.post(f"/api/chat/rooms/{room['id']}/read", {"id": last}).status_code == 204
        assert not sql.execute("SELECT n FROM mention")
    assert counts(bob, room) == (0, 0)


def test_nobody_needs_to_know_how_many_hundreds_there_are(server: harness.Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    for _ in range(mentions.COUNTED + 20):
        last = ann.say(room, f"@{bob.name}")["id"]
    assert counts(bob, room)[1] == mentions.COUNTED
    archived(server, room, last)
    assert counts(bob, room)[1] == mentions.COUNTED


# -- against a naive count

BOB = UserId(2)


def said(n: int, users: list[int], kind: str = "message", about: int | None = None) -> Event:
    """An event of ann's, at the place n of the feed."""
    data = b'{"id":%d,"author":{"id":1},"reactions":[],"mentions":[%b]}' % (
        about or n,
        b",".join(b"%d" % user for user in users),
    )
    return Event(LOBBY, n, kind, data, FeedId(n), n)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Messages, and changes of earlier ones."""
    found: list[Event] = []
    for n in range(1, draw(st.integers(1, 12)) + 1):
        users = draw(st.lists(st.sampled_from([1, 2, 3]), unique=True))
        earlier = [event.n for event in found if event.type == "message"]
        if bool(earlier) and draw(st.booleans()):
            kind = draw(st.sampled_from(["message.update", "message.delete"]))
            about = draw(st.sampled_from(earlier))
            found.append(said(n, [] if kind == "message.delete" else users, kind, about))
        else:
            found.append(said(n, users))
    return found


def standing(events: list[Event]) -> dict[int, frozenset[UserId]]:
    """Whom each message mentions after all these events."""
    found = [mentions.of(event.data) for event in events]
    return {each.n: each.users for each in found}


def unread(events: list[Event], marker: int) -> list[int]:
    """Bob's mentions after a marker, where nothing else is known than these events."""
    return [n for n, users in standing(events).items() if n > marker and BOB in users]


@given(logs(), st.data())
def test_memory_and_sql_together_are_the_naive_count(log: list[Event], data: st.DataObject) -> None:
    ends = st.integers(0, len(log))
    stored = data.draw(ends, "archived up to")
    began = data.draw(ends, "heard from")
    looked = data.draw(st.integers(0, min(began, stored)), "looked back to")
    marker = data.draw(ends, "read up to")
    held, before = Held(), Held()
    for event in log[began:]:
        held.hear(event)
    for event in log[looked:began]:
        before.hear(event)
    held.precede(before)
    assert held.tally(LOBBY, BOB, marker, unread(log[:stored], marker)) == len(unread(log, marker))


def test_memory_holds_so_many_messages_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quartchat.unread.HELD", 10)
    held = Held()
    for n in range(1, 31):
        held.hear(said(n, [2]))
    assert held.tally(LOBBY, BOB, 0, []) == 10
    assert held.tally(LOBBY, BOB, 0, range(1, 31)) == 30  # SQL has had them for long
