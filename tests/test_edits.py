"""Edits, deletions and reactions: events of the log, and the same for everybody at once."""

import itertools
import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import harness
import httpx
import pytest
from clients import Client
from harness import Server

from quartchat import pages

WINDOW = 5
THUMB, HEART = "👍", "❤️"

Json = dict[str, Any]
StartServer = Callable[..., Server]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def path(message: Json, emoji: str | None = None) -> str:
    place = f"/api/chat/rooms/{message['room_id']}/messages/{message['id']}"
    return place if emoji is None else f"{place}/reactions/{quote(emoji, safe='')}"


def done(answer: httpx.Response) -> Any:
    assert answer.status_code in {200, 204}, answer.text
    return answer.json() if answer.content else None


def edit(who: Client, message: Json, body: str, **fields: str) -> Json:
    found: Json = done(who.patch(path(message), {"body": body} | fields))
    return found


def react(who: Client, message: Json, emoji: str = THUMB) -> Json:
    found: Json = done(who.put(path(message, emoji)))
    return found


def unreact(who: Client, message: Json, emoji: str = THUMB) -> Json:
    found: Json = done(who.delete(path(message, emoji)))
    return found


def page(who: Client, message: Json, **query: int) -> list[Json]:
    answer = done(who.get(f"/api/chat/rooms/{message['room_id']}/messages", **query))
    found: list[Json] = answer["messages"]
    return found


def everywhere(who: Client, message: Json) -> Json:
    """A message as every way to read it has it."""
    one: Json = done(who.get(path(message)))
    n = message["id"]
    queries: list[dict[str, int]] = [{}, {"around": n}, {"before": n + 1}, {"after": n - 1}]
    for query in queries:
        assert [each for each in page(who, message, **query) if each["id"] == n] == [one], query
    return one


def log(who: Client, room: Json) -> list[tuple[str, str, Json]]:
    """A room's events from the first: kind, id, data."""
    last = done(who.get(f"/api/chat/rooms/{room['id']}"))["last_id"]
    with who.stream(f"/api/chat/rooms/{room['id']}/events", 0) as events:
        events.next("ready")
        found = [events.next_event() for _ in range(last)]
    return [(event.event, event.id, json.loads(event.data)) for event in found]


def wait_until_trimmed(server: Server, room: Json) -> None:
    with harness.inside(server.redis_url) as inside:
        key = harness.room_key(server, "room", room["id"])
        harness.eventually(lambda: inside.xlen(key) <= WINDOW)


@pytest.fixture(scope="module")
def small(valkey: harness.Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its rooms keep only a few events in Redis."""
    directory = tmp_path_factory.getbasetemp() / "small-edits"
    with Server(valkey.url(keep=True), directory, QUARTCHAT_ROOM_WINDOW=str(WINDOW)) as server:
        yield server


# -- edits


def test_an_edit_is_an_event_and_shows_everywhere(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    sent = ann.say(room, "one", client_id="c")
    ann.say(room, "two", reply_to=sent["id"])
    paths = (f"/api/chat/rooms/{room['id']}/events", "/api/chat/events")
    with bob.stream(paths[0]) as one, bob.stream(paths[1]) as all_rooms:
        for events in (one, all_rooms):
            events.next("ready")
        edited = edit(ann, sent, f"*uno* @{bob.name}")
        assert edited["edited_at"] > sent["created_at"]
        mention = f'<span class="mention" data-user="{bob.me["id"]}">@{bob.name}</span>'
        changes = {
            "body": f"*uno* @{bob.name}",
            "html": f"<p><em>uno</em> {mention}</p>",
            "mentions": [bob.me["id"]],
            "edited_at": edited["edited_at"],
        }
        assert edited == sent | changes
        for events in (one, all_rooms):
            assert events.next("message.update") == edited
        assert one.seen[-1].id == "4"
    assert everywhere(bob, sent) == edited


def test_an_edit_without_a_change_is_no_event(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    sent = ann.say(room, "one")
    assert edit(ann, sent, "one") == sent
    edited = edit(ann, sent, "two")
    assert edit(ann, sent, "two") == edited
    assert [kind for kind, _, _ in log(ann, room)] == ["message", "message.update"]


def test_only_its_author_edits_a_message(server: Server) -> None:
    ann, bob, carl = server.user("ann"), server.user("bob"), server.user("carl")
    room = ann.room()
    bob.join(room)
    sent = bob.say(room, "one")
    assert refusal(ann.patch(path(sent), {"body": "two"})) == (403, "forbidden")
    assert refusal(carl.patch(path(sent), {"body": "two"})) == (403, "not_a_member")
    secret = ann.room(visibility="private")
    hidden = ann.say(secret, "one")
    assert refusal(carl.patch(path(hidden), {"body": "two"})) == (404, "not_found")
    assert everywhere(ann, sent) == sent


def test_what_is_no_message_cannot_be_changed(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)  # event 1
    ann.say(room, "one")
    edit(ann, {"room_id": room["id"], "id": 2}, "two")  # event 3
    for n in (0, 1, 3, 4, 10**15 - 1):
        none = {"room_id": room["id"], "id": n}
        answers = [
            ann.patch(path(none), {"body": "x"}),
            ann.delete(path(none)),
            ann.put(path(none, THUMB)),
            ann.delete(path(none, THUMB)),
            ann.get(path(none)),
        ]
        assert [refusal(answer) for answer in answers] == [(404, "not_found")] * 5, n


@pytest.mark.parametrize("body", ["", " \n", "x" * 4001, "a\0b", None, 7])
def test_bad_edits(server: Server, body: Any) -> None:
    ann = server.user("ann")
    sent = ann.say(ann.room(), "one")
    answer = ann.patch(path(sent), {"body": body})
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == ["body"]
    assert everywhere(ann, sent) == sent


# -- repeating


def test_an_edit_is_repeated_by_its_client_id(small: Server) -> None:
    ann = small.user("ann")
    room = ann.room()
    sent = ann.say(room, "one", client_id="send")
    for client_id in ("first", harness_uuid7()):
        first = ann.patch(path(sent), {"body": "two", "client_id": client_id})
        second = edit(ann, sent, "three")
        for wait in (False, True):
            if wait:  # as after a day, and from SQL
                for number in range(WINDOW + 1):
                    ann.say(room, str(number))
                wait_until_trimmed(small, room)
                forget_sends(small)
            again = ann.patch(path(sent), {"body": "two", "client_id": client_id})
            assert (again.status_code, again.content) == (200, first.content)
            other = ann.patch(path(sent), {"body": "else", "client_id": client_id})
            assert refusal(other) == (422, "idempotency_mismatch")
            assert everywhere(ann, sent) == second
            assert ann.say(room, "one", client_id="send") == sent
        edit(ann, sent, "one")
    kinds = [kind for kind, _, _ in log(ann, room) if kind != "message"]
    assert kinds == ["message.update"] * 6


def test_a_client_id_names_one_thing_only(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    one, two = ann.say(room, "one", client_id="c"), ann.say(room, "two")
    mismatch = (422, "idempotency_mismatch")
    assert refusal(ann.patch(path(one), {"body": "x", "client_id": "c"})) == mismatch
    edit(ann, one, "uno", client_id="e")
    assert refusal(ann.patch(path(two), {"body": "uno", "client_id": "e"})) == mismatch
    sends = f"/api/chat/rooms/{room['id']}/messages"
    assert refusal(ann.post(sends, {"body": "uno", "client_id": "e"})) == mismatch


def test_an_unchanged_edit_under_a_used_client_id_is_still_compared(server: Server) -> None:
    ann = server.user("ann")
    sent = ann.say(ann.room(), "one")
    first = edit(ann, sent, "two", client_id="e")
    edit(ann, sent, "three")
    answer = ann.patch(path(sent), {"body": "three", "client_id": "e"})
    assert refusal(answer) == (422, "idempotency_mismatch")
    edit(ann, sent, "two")
    assert edit(ann, sent, "two", client_id="e") == first


def forget_sends(server: Server) -> None:
    with harness.inside(server.redis_url) as inside:
        for key in inside.scan_iter("sent:*"):
            inside.delete(key)


def harness_uuid7() -> str:
    return f"0198{secrets.token_hex(2)}-{secrets.token_hex(2)}-7000-8000-{secrets.token_hex(6)}"


# -- deletions


def test_a_deletion_leaves_a_tombstone_everywhere(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    sent = ann.say(room, f"one @{bob.name}", client_id="c")
    react(bob, sent)
    with bob.stream(f"/api/chat/rooms/{room['id']}/events") as events:
        events.next("ready")
        assert done(ann.delete(path(sent))) is None
        event = events.next("message.delete")
        assert events.seen[-1].id == "4"
    assert event.pop("deleted_at") > sent["created_at"]
    assert sent.pop("deleted_at") is None
    assert event == sent | {"body": "", "html": "", "mentions": [], "reactions": []}
    assert everywhere(bob, sent)["body"] == ""


def test_a_deletion_may_be_repeated_and_ends_all_other_changes(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    sent = ann.say(room, "one")
    edit(ann, sent, "two", client_id="e")
    for _ in range(3):
        done(ann.delete(path(sent)))
    answers = [
        ann.patch(path(sent), {"body": "x"}),
        ann.patch(path(sent), {"body": "two", "client_id": "another"}),
        bob.put(path(sent, THUMB)),
        bob.delete(path(sent, THUMB)),
    ]
    assert [refusal(answer) for answer in answers] == [(404, "not_found")] * 4
    assert [kind for kind, _, _ in log(ann, room)][1:] == [
        "message",
        "message.update",
        "message.delete",
    ]


def test_a_member_deletes_own_messages_and_an_owner_any(server: Server) -> None:
    ann, bob, carl = server.user("ann"), server.user("bob"), server.user("carl")
    room = ann.room()
    for who in (bob, carl):
        who.join(room)
    sent = bob.say(room, "one")
    assert refusal(carl.delete(path(sent))) == (403, "forbidden")
    done(ann.delete(path(sent)))
    assert refusal(carl.delete(path(sent))) == (403, "forbidden")
    done(bob.delete(path(sent)))
    own = carl.say(room, "mine")
    done(carl.delete(path(own)))


def test_a_deleted_text_is_gone_from_sql_and_from_replays(small: Server) -> None:
    ann, bob = small.user("ann"), small.user("bob")
    room = ann.room()
    bob.join(room)
    secret = [secrets.token_hex(8) for _ in range(3)]
    sent = ann.say(room, secret[0], client_id="c")
    edit(ann, sent, secret[1], client_id="e")
    react(bob, sent)
    edit(ann, sent, secret[2])
    done(ann.delete(path(sent)))
    for number in range(WINDOW + 1):
        ann.say(room, str(number))
    wait_until_trimmed(small, room)
    with harness.sql(small.database_url) as sql:
        for table in ("event", "latest"):
            rows = sql.execute(f"SELECT data FROM {table} WHERE room_id = {room['id']}")  # noqa: S608
            assert rows
            assert not any(word in data for (data,) in rows for word in secret)
    assert everywhere(bob, sent)["deleted_at"]
    events = log(bob, room)
    small.web.restart()  # now what it remembers is of no matter
    small.wait_until_ready()
    assert log(bob, room) == events
    assert [n for _, n, _ in events] == [str(n) for n in range(1, len(events) + 1)]
    tombstone = everywhere(bob, sent)
    kinds = ["message", "message.update", "reaction.add", "message.update", "message.delete"]
    assert [kind for kind, _, _ in events[1:6]] == kinds
    assert [data for kind, _, data in events[1:6] if kind != "reaction.add"] == [tombstone] * 4
    assert ann.say(room, secret[0], client_id="c") == sent


@pytest.mark.parametrize("kind", ["UUIDv7", "plain"])
def test_a_request_whose_message_was_deleted_since_is_repeated_like_any_other(
    small: Server, kind: str
) -> None:
    ann, bob = small.user("ann"), small.user("bob")
    room = ann.room()
    sends = f"/api/chat/rooms/{room['id']}/messages"
    ids = [harness_uuid7() if kind == "UUIDv7" else name for name in ("send", "edit")]
    send = {
        "body": f"one @{ann.name}",
        "client_id": ids[0],
        "reply_to": ann.say(room, "zero")["id"],
    }
    change = {"body": "two", "client_id": ids[1]}
    first = ann.post(sends, send)
    edited = edit(ann, first.json(), **change)
    other = ann.say(room, "other")
    bob.join(room)
    react(bob, other)
    done(ann.delete(path(first.json())))
    tombstone = everywhere(ann, first.json())
    last = done(ann.get(f"/api/chat/rooms/{room['id']}"))["last_id"]
    for step in ("at once", "archived", "after a day"):
        if step == "archived":
            harness.eventually(lambda: not in_redis(small, room, ["two"]))
        elif step == "after a day":
            forget_sends(small)
        again = ann.post(sends, send)
        assert (again.status_code, again.content) == (200, first.content), step
        assert edit(ann, first.json(), **change) == edited, step
        mismatch = (422, "idempotency_mismatch")
        assert refusal(ann.post(sends, send | {"body": "else"})) == mismatch, step
        assert refusal(ann.post(sends, send | {"reply_to": None})) == mismatch, step
        assert refusal(ann.patch(path(other), {"body": "x", "client_id": ids[0]})) == mismatch, step
        assert refusal(ann.patch(path(first.json()), change | {"body": "x"})) == mismatch, step
    assert refusal(ann.patch(path(first.json()), {"body": "x", "client_id": "new"}))[0] == 404
    assert everywhere(ann, first.json()) == tombstone
    assert done(ann.get(f"/api/chat/rooms/{room['id']}"))["last_id"] == last


def test_what_was_deleted_when_no_digest_was_kept_is_no_answer_to_another_send(
    small: Server,
) -> None:
    ann = small.user("ann")
    room = ann.room()
    sent = ann.say(room, "one", client_id="c")
    done(ann.delete(path(sent)))
    harness.eventually(lambda: not in_redis(small, room, ["one"]))
    with harness.sql(small.database_url) as sql:
        sql.execute(f"UPDATE event SET digest = NULL WHERE room_id = {room['id']}")  # noqa: S608
    answer = ann.post(f"/api/chat/rooms/{room['id']}/messages", {"body": "two", "client_id": "c"})
    assert refusal(answer) == (422, "idempotency_mismatch")


def test_whoever_joins_after_a_deletion_finds_the_text_nowhere(start_server: StartServer) -> None:
    server = start_server()
    ann = server.user("ann")
    room = ann.room()
    texts = [secrets.token_hex(8) for _ in range(2)]
    with server.another() as other:
        for process in (server, other):
            process.worker.terminate()  # nothing is archived
        sent = ann.say(room, texts[0])
        kept = ann.say(room, "kept")
        edit(ann, sent, texts[1])
        assert any(texts[0] in json.dumps(event) for event in log(ann, room))
        done(ann.delete(path(sent)))
        carol = server.user("carol")
        carol.join(room)
        there = other.client(headers={"Cookie": carol.cookies})
        tombstone = everywhere(carol, sent)
        expected = [("message", "1", tombstone), ("message", "2", kept)]
        expected += [("message.update", "3", tombstone), ("message.delete", "4", tombstone)]
        assert tombstone["body"] == ""
        # From the memory of two processes, then of one that has no memory: from Redis, from SQL.
        for step in ("memory", "restart", "archive"):
            if step == "restart":
                other.web.restart()
                other.wait_until_ready()
            elif step == "archive":
                other.worker.start()
                wait_until_rid_of(server, room, texts)
            for who in (carol, there):
                assert log(who, room)[:4] == expected, step
                with who.stream("/api/chat/events", "0") as events:
                    first = [events.next_event("message", "member.join") for _ in range(1)]
                assert [event.event for event in first] == ["member.join"]
        with harness.sql(server.database_url) as sql:
            rows = sql.execute(f"SELECT * FROM event WHERE room_id = {room['id']}")  # noqa: S608
            assert len(rows) == 5
            assert not any(text in repr(rows) for text in texts)


def test_a_deleted_text_is_gone_from_pages_that_a_process_keeps(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    text = secrets.token_hex(8)
    sent = ann.say(room, text)
    for number in range(pages.EVENTS):
        ann.say(room, str(number))
    with server.another() as other:  # whose memory begins here
        there = other.client(headers={"Cookie": ann.cookies})
        assert [data for _, _, data in log(there, room)[:1]] == [sent]
        done(ann.delete(path(sent)))
        events = log(there, room)
    assert [n for _, n, _ in events] == [str(n) for n in range(1, pages.EVENTS + 3)]
    assert events[0] == ("message", "1", events[-1][2])
    assert not any(text in json.dumps(event) for event in events)


def wait_until_rid_of(server: Server, room: Json, texts: list[str]) -> None:
    """Wait until a room's stream in Redis has some texts no more."""
    assert in_redis(server, room, texts)
    harness.eventually(lambda: not in_redis(server, room, texts))


def in_redis(server: Server, room: Json, texts: list[str]) -> bool:
    """Whether a room's stream in Redis has one of some texts."""
    with harness.inside(server.redis_url) as inside:
        found = repr(inside.xrange(harness.room_key(server, "room", room["id"])))
    return any(text in found for text in texts)


# -- reactions


def test_a_reaction_is_an_event_and_shows_everywhere(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    sent = ann.say(room, "one")
    with bob.stream(f"/api/chat/rooms/{room['id']}/events") as events:
        events.next("ready")
        reacted = react(bob, sent)
        assert reacted == sent | {
            "reactions": [{"emoji": THUMB, "count": 1, "user_ids": [bob.me["id"]]}]
        }
        about = {"room_id": room["id"], "message_id": sent["id"], "emoji": THUMB, "user": bob.me}
        assert events.next("reaction.add") == {"id": 3} | about
        assert everywhere(ann, sent) == reacted
        assert react(bob, sent) == reacted
        both = react(ann, sent)
        assert both["reactions"][0]["user_ids"] == [bob.me["id"], ann.me["id"]]
        events.next("reaction.add")
        heart = react(ann, sent, HEART)
        assert [reaction["emoji"] for reaction in heart["reactions"]] == [THUMB, HEART]
        events.next("reaction.add")
        unreact(bob, sent)
        assert events.next("reaction.remove") == {"id": 6} | about
        unreact(bob, sent)
        unreact(ann, sent)
        assert unreact(ann, sent, HEART) == everywhere(bob, sent) == sent
    assert len(log(ann, room)) == 8


def test_an_edit_keeps_reactions_and_a_reaction_keeps_the_edit(server: Server) -> None:
    ann = server.user("ann")
    sent = ann.say(ann.room(), "one")
    react(ann, sent)
    edited = edit(ann, sent, "two")
    reacted = react(ann, sent, HEART)
    assert (reacted["body"], len(reacted["reactions"])) == ("two", 2)
    assert len(edited["reactions"]) == 1
    assert everywhere(ann, sent) == reacted


@pytest.mark.parametrize("emoji", ["x", "👍👍", "👍x", "1", " ", "ok", "<b>", "%", "a" * 100])
def test_text_is_no_reaction(server: Server, emoji: str) -> None:
    ann = server.user("ann")
    sent = ann.say(ann.room(), "one")
    for answer in (ann.put(path(sent, emoji)), ann.delete(path(sent, emoji))):
        assert refusal(answer) == (422, "validation_failed")
    assert everywhere(ann, sent) == sent


def test_a_heart_is_a_heart_from_every_keyboard(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    sent = ann.say(room, "one")
    react(ann, sent, "❤")
    both = react(bob, sent, "❤️")
    assert [(each["emoji"], each["count"]) for each in both["reactions"]] == [("❤", 2)]
    assert unreact(ann, sent, "❤️")["reactions"][0]["user_ids"] == [bob.me["id"]]


def test_a_message_has_at_most_twenty_emoji(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    sent = ann.say(room, "one")
    faces = [chr(0x1F600 + number) for number in range(21)]
    for face in faces[:20]:
        react(ann, sent, face)
    assert refusal(ann.put(path(sent, faces[20]))) == (409, "too_many_reactions")
    react(bob, sent, faces[3])
    unreact(ann, sent, faces[0])
    assert len(react(bob, sent, faces[20])["reactions"]) == 20


# -- at once


def test_of_changes_at_once_on_two_processes_none_is_lost(server: Server) -> None:
    people = [server.user("bob") for _ in range(8)]
    room = people[0].room()
    for who in people[1:]:
        who.join(room)
    sent = people[0].say(room, "0")
    faces = [chr(0x1F600 + number) for number in range(4)]
    with server.another() as other:
        clients = [(who, other.client(headers={"Cookie": who.cookies})) for who in people]

        def work(which: int) -> None:
            for number, who in zip(range(8), itertools.cycle(clients[which]), strict=False):
                if which == 0:
                    edit(who, sent, str(number + 1))
                else:
                    react(who, sent, faces[number % 4])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
    standing = everywhere(people[1], sent)
    assert standing["body"] == "8"
    others = {who.me["id"] for who in people[1:]}
    assert {each["emoji"] for each in standing["reactions"]} == set(faces)
    assert all(set(each["user_ids"]) == others for each in standing["reactions"])
    kinds = [kind for kind, _, _ in log(people[1], room)[8:]]
    assert sorted(kinds) == ["message.update"] * 8 + ["reaction.add"] * 28


def test_an_edit_that_races_a_deletion_never_brings_the_text_back(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    with server.another() as other, ThreadPoolExecutor(4) as pool:
        there = other.client(headers={"Cookie": ann.cookies})
        for _ in range(10):
            sent = ann.say(room, "one")
            edits = [
                pool.submit(who.patch, path(sent), {"body": f"{number}"})
                for number, who in enumerate((ann, there, ann))
            ]
            done(there.delete(path(sent)))
            assert {each.result().status_code for each in edits} <= {200, 404}
            assert everywhere(ann, sent)["body"] == ""
    events = log(ann, room)
    deleted: set[int] = set()
    for kind, _, data in events:
        assert kind != "message.update" or data["id"] not in deleted
        deleted |= {data["id"]} if kind == "message.delete" else set()


def test_of_twenty_edits_at_once_with_one_client_id_one_is_new(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    sent = ann.say(room, "one")
    clients = [server.client(headers={"Cookie": ann.cookies}) for _ in range(20)]
    body = {"body": "two", "client_id": "e"}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda who: who.patch(path(sent), body), clients))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(log(ann, room)) == 2


# -- old messages, and what counts


def test_messages_change_wherever_they_lie(small: Server) -> None:
    ann, bob = small.user("ann"), small.user("bob")
    room = ann.room()
    bob.join(room)
    sent = [ann.say(room, str(number)) for number in range(20)]
    for number in range(60):
        message = sent[number * 7 % 20]
        if number % 3 == 0:
            react(bob, message, chr(0x1F600 + number % 5))
        elif number % 3 == 1:
            edit(ann, message, f"{number} again")
        elif number % 2 == 0:
            unreact(bob, message, chr(0x1F600))
        if number % 20 == 19:
            wait_until_trimmed(small, room)
    before = [everywhere(bob, message) for message in sent]
    assert page(bob, sent[0], limit=20) == before
    for number in range(WINDOW + 1):
        ann.say(room, str(number))
    wait_until_trimmed(small, room)
    with harness.inside(small.redis_url) as inside:
        for kind in ("state", "order"):
            assert not inside.exists(harness.room_key(small, kind, room["id"]))
    assert [everywhere(bob, message) for message in sent] == before


def test_changes_are_not_unread_messages(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    sent = ann.say(room, "one")
    edit(ann, sent, "two")
    react(ann, sent)
    other = ann.say(room, "three")
    done(ann.delete(path(other)))
    assert done(bob.get(f"/api/chat/rooms/{room['id']}"))["unread"] == 2


def test_changes_survive_an_emptied_redis(
    start_server: StartServer, own_valkey: harness.Valkey
) -> None:
    server = start_server(REDIS_URL=own_valkey.url())
    ann = server.user("ann")
    room = ann.room()
    kept, gone = ann.say(room, "one"), ann.say(room, "two")
    edit(ann, kept, "uno", client_id="e")
    reacted = react(ann, kept)
    done(ann.delete(path(gone)))
    with harness.sql(server.database_url) as sql:
        query = f"SELECT count(*) FROM event WHERE room_id = {room['id']}"  # noqa: S608
        harness.eventually(lambda: sql.execute(query) == [(5,)])
    with harness.inside(server.redis_url) as inside:
        inside.flushdb()
    assert everywhere(ann, kept) == reacted
    assert everywhere(ann, gone)["deleted_at"]
    edited = edit(ann, kept, "un")
    assert edited["reactions"] == reacted["reactions"]
    assert everywhere(ann, kept) == edited
    assert [n for _, n, _ in log(ann, room)] == [str(n) for n in range(1, 7)]


def test_an_edit_is_acknowledged_once_sql_holds_it(start_server: StartServer) -> None:
    server = start_server(QUARTCHAT_ACK="archived")
    ann = server.user("ann")
    room = ann.room()
    sent = ann.say(room, "one")
    for client_id in ("e", "f"):
        edited = edit(ann, sent, client_id, client_id=client_id)
        reacted = react(ann, sent, THUMB if client_id == "e" else HEART)
        assert reacted["body"] == edited["body"] == client_id
        with harness.sql(server.database_url) as sql:
            rows = sql.execute(f"SELECT data FROM latest WHERE room_id = {room['id']}")  # noqa: S608
            assert [json.loads(data) for (data,) in rows] == [reacted]
    done(ann.delete(path(sent)))
    assert len(log(ann, room)) == 6


def test_a_change_that_is_made_already_is_acknowledged_once_sql_holds_it(
    start_server: StartServer,
) -> None:
    server = start_server(QUARTCHAT_ACK="archived")
    server.worker.terminate()
    ann = server.user("ann")
    sent = ann.say(ann.room(), "one")
    with harness.sql(server.database_url) as sql:
        sql.lock()
        for _ in range(2):  # the second finds it done
            assert ann.put(path(sent, THUMB)).status_code == 503
        sql.unlock()
    server.worker.start()
    harness.eventually(lambda: ann.put(path(sent, THUMB)).status_code == 200)
