"""Searching over HTTP: who finds what, and how it is shown."""

import secrets
from typing import Any

import harness
import pytest
from clients import Client
from harness import Server


@pytest.fixture
def ann(server: Server) -> Client:
    return server.user("ann")


@pytest.fixture
def bob(server: Server) -> Client:
    return server.user("bob")


def search(client: Client, q: str, **params: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/search", q=q, **params)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def wait_for(client: Client, q: str, count: int = 1, **params: Any) -> list[dict[str, Any]]:
    """Search until so many are found: the worker puts them into SQL a moment later."""
    harness.eventually(lambda: len(search(client, q, **params)) == count)
    return search(client, q, **params)


def ids(results: list[dict[str, Any]]) -> list[int]:
    return [result["message"]["id"] for result in results]


def test_a_message_is_found_and_shown_with_marks(ann: Client) -> None:
    room = ann.room()
    sent = ann.say(room, "Look <i>here</i>: the **Needle** & more")
    (result,) = wait_for(ann, "need")
    assert result == {
        "room_id": room["id"],
        "message": sent,
        "snippet": "Look &lt;i&gt;here&lt;/i&gt;: the <mark>Needle</mark> &amp; more",
    }


def test_what_only_the_markdown_says_is_shown_as_it_was_written(ann: Client) -> None:
    ann.say(ann.room(), "see [this](https://example.org/haystack)")
    (result,) = wait_for(ann, "haystack")
    assert "example.org/<mark>haystack</mark>)" in result["snippet"]


def test_results_are_the_newest_first_and_go_on_page_by_page(ann: Client) -> None:
    one, two = ann.room(), ann.room()
    for number in range(5):
        ann.say(one if number % 2 else two, f"needle {number}")
    wait_for(ann, "needle", 5)
    bodies: list[str] = []
    before: dict[str, Any] = {}
    for _ in range(3):
        answer = ann.get("/api/search", q="needle", limit=2, **before).json()
        bodies += [result["message"]["body"] for result in answer["results"]]
        before = {"before": answer["next"]}
    assert bodies == [f"needle {number}" for number in (4, 3, 2, 1, 0)]
    assert answer["next"] is None


def test_only_rooms_that_the_caller_is_in_are_searched(ann: Client, bob: Client) -> None:
    shared, secret = ann.room(), ann.room(visibility="private")
    ann.say(shared, "needle one")
    ann.say(secret, "needle two")
    wait_for(ann, "needle", 2)
    assert search(bob, "needle") == []
    bob.join(shared)  # and then all that was said before
    assert len(search(bob, "needle")) == 1
    bob.post(f"/api/chat/rooms/{shared['id']}/leave")
    assert search(bob, "needle") == []


def test_a_room_and_an_author_narrow_it(ann: Client, bob: Client) -> None:
    one, two = ann.room(), ann.room()
    bob.join(one)
    ann.say(one, "needle ann one")
    ann.say(two, "needle ann two")
    bob.say(one, "needle bob one")
    wait_for(ann, "needle", 3)
    assert len(search(ann, "needle", room=one["id"])) == 2
    assert len(search(ann, "needle", author=ann.name.upper())) == 2
    (found,) = search(ann, "needle", room=one["id"], author=bob.name)
    assert found["message"]["author"]["username"] == bob.name
    for nobody in ("nobody-" + secrets.token_hex(4), "null"):
        assert search(ann, "needle", author=nobody) == []


def test_a_room_that_one_is_not_in_is_said_to_be_shut(ann: Client, bob: Client) -> None:
    public, private = ann.room(), ann.room(visibility="private")
    answer = bob.get("/api/search", q="x", room=public["id"])
    assert (answer.status_code, answer.json()["code"]) == (403, "not_a_member")
    answer = bob.get("/api/search", q="x", room=private["id"])
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_an_edited_message_is_found_by_what_it_says_now(ann: Client) -> None:
    room = ann.room()
    sent = ann.say(room, "needle in the hay")
    wait_for(ann, "needle")
    path = f"/api/chat/rooms/{room['id']}/messages/{sent['id']}"
    assert ann.patch(path, {"body": "a pin in the hay"}).status_code == 200
    (result,) = wait_for(ann, "pin")
    assert result["message"] == ann.get(path).json()
    assert result["snippet"] == "a <mark>pin</mark> in the hay"
    assert search(ann, "needle") == []


def test_a_message_with_a_reaction_is_shown_as_it_stands(ann: Client) -> None:
    room = ann.room()
    sent = ann.say(room, "needle")
    path = f"/api/chat/rooms/{room['id']}/messages/{sent['id']}"
    assert ann.put(f"{path}/reactions/👍").status_code == 200
    wait_for(ann, "needle")
    harness.eventually(lambda: search(ann, "needle")[0]["message"] == ann.get(path).json())


def test_a_deleted_message_is_not_found(ann: Client) -> None:
    room = ann.room()
    sent = ann.say(room, "needle")
    wait_for(ann, "needle")
    path = f"/api/chat/rooms/{room['id']}/messages/{sent['id']}"
    assert ann.delete(path).status_code == 204
    wait_for(ann, "needle", 0)


def test_joins_are_no_messages(ann: Client) -> None:
    ann.room("needle")
    room = ann.room()
    ann.say(room, "hay")
    wait_for(ann, "hay")
    assert search(ann, "needle") == search(ann, ann.name) == []


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"q": ""},
        {"q": "x" * 201},
        {"q": "a\0b"},
        {"q": "x", "before": "no cursor"},
        {"q": "x", "before": "f" * 16},
        {"q": "x", "limit": 0},
        {"q": "x", "limit": 51},
        {"q": "x", "room": "lobby"},
        {"q": "x", "other": 1},
    ],
)
def test_a_wrong_parameter_is_refused(ann: Client, params: dict[str, Any]) -> None:
    answer = ann.get("/api/search", **params)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize("q", ['"', "*", "a AND (", "NEAR(", "%", "{}", "'; --", "\u200b", " "])
def test_no_query_is_an_error(ann: Client, q: str) -> None:
    room = ann.room()
    ann.say(room, "a and near")
    assert ann.get("/api/search", q=q).status_code == 200


def test_who_is_nowhere_finds_nothing(ann: Client) -> None:
    assert ann.get("/api/search", q="x").json() == {"results": [], "next": None}


def test_searches_are_limited(start_server: Any) -> None:
    ann = start_server(QUARTCHAT_RATE_LIMITS="on").user("ann")
    answers = [ann.get("/api/search", q="x") for _ in range(121)]
    assert {answer.status_code for answer in answers[:120]} == {200}
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1].headers["Retry-After"]) > 0
