"""Sending and reading messages: what is stored once is found in every page it belongs to."""

import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from typing import Any

import harness
import httpx
import pytest
from clients import Client
from harness import Server

WINDOW = 5
DAY_MS = 24 * 3600 * 1000
GROWTH = 40  # times its body's length is more than any honest message's HTML
JSON = {"Content-Type": "application/json"}
# Each renders to far more HTML than it has characters, unless something stops it.
BLOW_UPS = {
    "a wide table": "|a" * 500 + "\n" + "|-" * 500 + "\n" + "x\n" * 900,
    "a long reference": "[a]: " + "x" * 1000 + "\n\n" + "[a]" * 990,
}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def messages(room: dict[str, Any]) -> str:
    return f"/api/chat/rooms/{room['id']}/messages"


def uuid7(at_ms: float) -> str:
    return str(uuid.UUID(int=int(at_ms) << 80 | 7 << 76 | 2 << 62 | secrets.randbits(62)))


def now_ms() -> float:
    return time.time() * 1000


# What a client may call its sends; each call makes a new one.
CLIENT_IDS: dict[str, Callable[[], str]] = {
    "UUIDv7": lambda: uuid7(now_ms()),
    "UUIDv7 in capitals": lambda: uuid7(now_ms()).upper(),
    "UUIDv7 months old": lambda: uuid7(now_ms() - 90 * DAY_MS),
    "UUIDv7 of tomorrow": lambda: uuid7(now_ms() + DAY_MS),
    "UUIDv4": lambda: str(uuid.uuid4()),
    "plain": lambda: secrets.token_hex(4),
    "odd": lambda: secrets.token_hex(4) + ":{0} \n'\"%😀",
    "longest": lambda: secrets.token_hex(32),
}
every_client_id = pytest.mark.parametrize("make", CLIENT_IDS.values(), ids=CLIENT_IDS.keys())
MakeId = Callable[[], str]


# -- one message


def test_a_message_is_answered_as_every_reader_gets_it(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    answer = ann.post(messages(room), {"body": "**hi**", "client_id": "one"})
    assert answer.status_code == 201
    message = answer.json()
    assert message.pop("created_at").endswith("Z")
    assert message == {
        "id": 1,
        "room_id": room["id"],
        "author": ann.me,
        "body": "**hi**",
        "html": "<p><strong>hi</strong></p>",
        "edited_at": None,
        "deleted_at": None,
        "client_id": "one",
        "reply_to": None,
        "reactions": [],
        "mentions": [],
    }
    one = ann.get(f"{messages(room)}/1")
    assert (one.status_code, one.content) == (200, answer.content)
    page = ann.get(messages(room))
    assert page.json() == {
        "messages": [answer.json()],
        "has_more_before": False,
        "has_more_after": False,
    }


def test_a_message_that_is_not_there_is_404(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)  # event 1 is no message
    for number in (0, 1, 2, 10**15 - 1):
        assert refusal(ann.get(f"{messages(room)}/{number}")) == (404, "not_found"), number


@pytest.mark.parametrize(
    "body", ["x", "x" * 4000, "😀" * 4000, "  x  ", "a\r\n\tb\u2028", "\x7f\u0085x", "\uffff\u202e"]
)
def test_good_bodies_are_kept_as_they_are(server: Server, body: str) -> None:
    ann = server.user("ann")
    room = ann.room()
    message = ann.say(room, body)
    assert message["body"] == body
    assert ann.get(messages(room)).json()["messages"] == [message]


@pytest.mark.parametrize(
    "body", ["", " ", "\n\t \r\n", "\u3000", "x" * 4001, "😀" * 4001, "a\0b", "\0", None, 7, ["x"]]
)
def test_bad_bodies(server: Server, body: Any) -> None:
    ann = server.user("ann")
    room = ann.room()
    answer = ann.post(messages(room), {"body": body})
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == ["body"]
    assert ann.get(messages(room)).json()["messages"] == []


@pytest.mark.parametrize(
    "escape", [rb"\ud800", rb"\udc00", rb"\udc00\ud800", rb"\ud800x", b"\xed\xa0\x80"]
)
@pytest.mark.parametrize("field", ["body", "client_id"])
def test_half_a_surrogate_pair_is_refused(server: Server, field: str, escape: bytes) -> None:
    ann = server.user("ann")
    room = ann.room()
    raw = b'{"body":"x","%s":"%s"}' % (field.encode(), escape)
    assert ann.http.post(messages(room), content=raw, headers=JSON).status_code in {400, 422}
    assert ann.get(messages(room)).json()["messages"] == []


@pytest.mark.parametrize("client_id", ["", "x" * 65, "a\0b", 7])
def test_bad_client_ids(server: Server, client_id: Any) -> None:
    ann = server.user("ann")
    answer = ann.post(messages(ann.room()), {"body": "x", "client_id": client_id})
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == ["client_id"]


def test_a_reply_is_to_a_message_of_this_room(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room, other = ann.room(), ann.room()
    ann.say(room, "1")
    bob.join(room)  # event 2
    for number in range(5):
        ann.say(other, str(number))
    assert ann.say(room, "3", reply_to=1)["reply_to"] == 1
    for wrong in (2, 4, 5, 0, -1, 10**15 - 1, 10**15, 10**30, "1", 1.5, True):
        answer = ann.post(messages(room), {"body": "x", "reply_to": wrong})
        assert refusal(answer) == (422, "validation_failed"), wrong
        assert [error["field"] for error in answer.json()["errors"]] == ["reply_to"], wrong


# -- HTML


class Tags(HTMLParser):
    """What a browser would make of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://elsewhere.example/x.png)",
        "<a href='javascript:alert(1)'>x</a>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](java&#115;cript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
        '[x](https://a.example "\\" onmouseover=alert(1)")',
        '```"onload="x\nx\n```',
        "<style>*{display:none}</style>",
        "<iframe src=//elsewhere.example></iframe>",
        "<svg/onload=alert(1)>",
        "a <b>b</b>\n\n<form action=/api/logout>",
    ],
)
def test_html_of_a_message_is_safe(server: Server, body: str) -> None:
    ann = server.user("ann")
    html = ann.say(ann.room(), body)["html"]
    for tag, attributes in Tags(html).found:
        assert tag in {"p", "a", "pre", "code", "br"}, html
        assert set(attributes) <= {"href", "title", "rel", "class"}, html
        href = attributes.get("href") or "https:"
        assert href.startswith(("https:", "http:", "mailto:")), html


def test_markdown_is_rendered(server: Server) -> None:
    ann = server.user("ann")
    html = ann.say(ann.room(), "*a* `b` [c](https://c.example)\nd\n\n- e\n\n> f\n\n```py\ng\n```")[
        "html"
    ]
    tags = {tag for tag, _ in Tags(html).found}
    assert tags == {"p", "em", "code", "a", "br", "ul", "li", "blockquote", "pre"}
    assert ("a", "noopener") in [
        (tag, (attributes.get("rel") or "").split()[0])
        for tag, attributes in Tags(html).found
        if tag == "a"
    ]


@pytest.mark.parametrize("body", BLOW_UPS.values(), ids=BLOW_UPS.keys())
def test_no_body_grows_out_of_proportion(server: Server, body: str) -> None:
    ann = server.user("ann")
    room = ann.room()
    assert len(body) <= 4000
    assert len(ann.say(room, body)["html"]) <= GROWTH * len(body)


# -- sending twice


@every_client_id
def test_sending_again_answers_200_with_the_same_bytes(server: Server, make: MakeId) -> None:
    ann = server.user("ann")
    room = ann.room()
    send = {"body": "once", "client_id": make()}
    first = ann.post(messages(room), send)
    assert first.status_code == 201
    ann.say(room, "something else")
    for _ in range(3):
        again = ann.post(messages(room), send)
        assert (again.status_code, again.content) == (200, first.content)
    assert [m["id"] for m in ann.get(messages(room)).json()["messages"]] == [1, 2]


@every_client_id
def test_of_thirty_sends_at_once_one_is_new(server: Server, make: MakeId) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    send = {"body": "once", "client_id": make()}
    clients = [server.client(headers={"Cookie": ann.cookies}) for _ in range(30)]
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda client: client.post(messages(room), send), clients))
    assert sorted(answer.status_code for answer in answers) == [200] * 29 + [201]
    assert len({answer.content for answer in answers}) == 1
    now = bob.get(f"/api/chat/rooms/{room['id']}").json()
    assert (now["last_id"], now["unread"]) == (2, 1)


@every_client_id
def test_another_body_under_a_used_client_id_is_a_mismatch(server: Server, make: MakeId) -> None:
    ann = server.user("ann")
    room = ann.room()
    send = {"body": "once", "client_id": make()}
    first = ann.post(messages(room), send)
    for other in ({"body": "twice"}, {"body": "once "}, {"reply_to": 1}):
        answer = ann.post(messages(room), send | other)
        assert refusal(answer) == (422, "idempotency_mismatch"), other
    again = ann.post(messages(room), send)
    assert (again.status_code, again.content) == (200, first.content)


@every_client_id
def test_a_client_id_is_its_authors_and_its_rooms(server: Server, make: MakeId) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room, other = ann.room(), ann.room()
    bob.join(room)
    send = {"body": "once", "client_id": make()}
    answers = [
        who.post(messages(where), send) for who, where in ((ann, room), (bob, room), (ann, other))
    ]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.content for answer in answers}) == 3


def test_sends_without_a_client_id_are_all_new(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    assert [ann.say(room, "x")["id"] for _ in range(3)] == [1, 2, 3]
    assert ann.say(room, "x", client_id=None)["id"] == 4


def test_numbers_have_no_holes_under_two_hundred_sends_at_once(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    people = [server.user("bob") for _ in range(10)]
    for bob in people:
        bob.join(room)  # events 1 to 10

    def talk(bob: Client) -> list[int]:
        return [bob.say(room, str(number), client_id=uuid7(now_ms()))["id"] for number in range(20)]

    with ThreadPoolExecutor(10) as pool:
        given = list(pool.map(talk, people))
    assert all(ids == sorted(ids) for ids in given)
    assert sorted(n for ids in given for n in ids) == list(range(11, 211))
    page = ann.get(messages(room), limit=200).json()
    assert [message["id"] for message in page["messages"]] == list(range(11, 211))
    assert (page["has_more_before"], page["has_more_after"]) == (False, False)


# -- history over Redis and SQL


@pytest.fixture(scope="module")
def small(valkey: harness.Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its rooms keep only a few events in Redis."""
    directory = tmp_path_factory.getbasetemp() / "small"
    with Server(valkey.url(keep=True), directory, QUARTCHAT_ROOM_WINDOW=str(WINDOW)) as server:
        yield server


def wait_until_trimmed(server: Server, room: dict[str, Any]) -> None:
    with harness.inside(server.redis_url) as inside:
        key = harness.room_key(server, "room", room["id"])
        harness.eventually(lambda: inside.xlen(key) <= WINDOW)


def forget_sends(server: Server) -> None:
    """Do at once what Redis does after a day."""
    with harness.inside(server.redis_url) as inside:
        for key in inside.scan_iter("sent:*"):
            inside.delete(key)


def page(who: Client, room: dict[str, Any], **query: int) -> tuple[list[int], bool, bool]:
    answer = who.get(messages(room), **query)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    ids = [message["id"] for message in found["messages"]]
    return ids, found["has_more_before"], found["has_more_after"]


def test_pages_are_exact_wherever_their_messages_lie(small: Server) -> None:
    ann, bob = small.user("ann"), small.user("bob")
    room = ann.room()
    ids = []
    for number in range(13):
        ids.append(ann.say(room, str(number))["id"])
        if number % 3 == 0:
            bob.join(room)  # joins and leaves have numbers, too
            bob.post(f"/api/chat/rooms/{room['id']}/leave")
    wait_until_trimmed(small, room)
    last = ids[-1]
    for limit in (1, 2, 3, 6, 200):
        assert page(ann, room, limit=limit) == (ids[-limit:], limit < len(ids), False)
        for n in (*range(last + 3), 10**15 - 1):
            older, newer = [i for i in ids if i < n], [i for i in ids if i >= n]
            assert page(ann, room, before=n, limit=limit) == (
                older[-limit:],
                len(older) > limit,
                bool(newer),
            ), (n, limit)
            newer = [i for i in ids if i > n]
            assert page(ann, room, after=n, limit=limit) == (
                newer[:limit],
                any(i <= n for i in ids),
                len(newer) > limit,
            ), (n, limit)
            around, more_before, more_after = page(ann, room, around=n, limit=limit)
            start = ids.index(around[0]) if around else len(ids)
            assert around == ids[start : start + len(around)], (n, limit)
            assert len(around) <= limit
            assert n not in ids or n in around, (n, limit)
            assert more_before == (start > 0), (n, limit)
            assert more_after == (start + len(around) < len(ids)), (n, limit)


def test_walking_the_pages_finds_every_message_once(small: Server) -> None:
    ann = small.user("ann")
    room = ann.room()
    ids = [ann.say(room, str(number))["id"] for number in range(23)]  # while they are archived
    for limit in (1, 4, 23):
        back, more, _ = page(ann, room, limit=limit)
        while more:
            found, more, more_after = page(ann, room, before=back[0], limit=limit)
            assert more_after
            back = found + back
        assert back == ids
        forth, _, more = page(ann, room, after=0, limit=limit)
        while more:
            found, more_before, more = page(ann, room, after=forth[-1], limit=limit)
            assert more_before
            forth += found
        assert forth == ids


def test_an_old_message_has_the_bytes_it_was_answered_with(small: Server) -> None:
    ann = small.user("ann")
    room = ann.room()
    sent = [ann.post(messages(room), {"body": f"😀 \u2028 *{n}*"}).content for n in range(12)]
    wait_until_trimmed(small, room)
    assert [ann.get(f"{messages(room)}/{n}").content for n in range(1, 13)] == sent
    whole = ann.get(messages(room)).content
    assert all(message in whole for message in sent)
    assert ann.say(room, "yes", reply_to=1)["reply_to"] == 1


@every_client_id
def test_sending_again_is_safe_however_late(small: Server, make: MakeId) -> None:
    ann = small.user("ann")
    room = ann.room()
    send = {"body": "once", "client_id": make()}
    first = ann.post(messages(room), send)
    for number in range(2 * WINDOW):
        ann.say(room, str(number))
    wait_until_trimmed(small, room)
    again = ann.post(messages(room), send)
    assert (again.status_code, again.content) == (200, first.content)
    assert refusal(ann.post(messages(room), send | {"body": "twice"})) == (
        422,
        "idempotency_mismatch",
    )
    assert page(ann, room, limit=1)[0] == [1 + 2 * WINDOW]


@pytest.mark.parametrize(
    "kind", ["UUIDv7 months old", "UUIDv7 of tomorrow", "UUIDv4", "plain", "odd"]
)
def test_sending_again_is_safe_also_once_redis_has_forgotten(small: Server, kind: str) -> None:
    ann = small.user("ann")
    room = ann.room()
    send = {"body": "once", "client_id": CLIENT_IDS[kind]()}
    first = ann.post(messages(room), send)
    for number in range(2 * WINDOW):
        ann.say(room, str(number))
    wait_until_trimmed(small, room)
    forget_sends(small)
    again = ann.post(messages(room), send)
    assert (again.status_code, again.content) == (200, first.content)
    mismatch = ann.post(messages(room), send | {"body": "twice"})
    assert refusal(mismatch) == (422, "idempotency_mismatch")


def test_sending_again_is_safe_from_another_process_and_after_a_restart(small: Server) -> None:
    ann = small.user("ann")
    room = ann.room()
    sends = [{"body": "once", "client_id": make()} for make in CLIENT_IDS.values()]
    first = [ann.post(messages(room), send).content for send in sends]

    def all_again(client: Client) -> None:
        answers = [client.post(messages(room), send) for send in sends]
        assert [answer.status_code for answer in answers] == [200] * len(sends)
        assert [answer.content for answer in answers] == first

    with small.another() as other:
        all_again(other.client(headers={"Cookie": ann.cookies}))
    small.web.restart()
    small.wait_until_ready()
    all_again(small.client(headers={"Cookie": ann.cookies}))


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "x"},
        {"limit": "1.5"},
        {"limit": "5.0"},
        {"limit": "1e1"},
        {"limit": "+5"},
        {"before": "null"},
        {"before": "-1"},
        {"before": "x"},
        {"after": "٣"},
        {"around": "9" * 16},
        {"around": "9" * 5000},
        {"after": ""},
        {"since": "1"},
    ],
)
def test_bad_queries(server: Server, query: dict[str, str]) -> None:
    ann = server.user("ann")
    answer = ann.get(messages(ann.room()), **query)
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == list(query)


def test_a_query_parameter_is_given_once(server: Server) -> None:
    ann = server.user("ann")
    answer = ann.get(f"{messages(ann.room())}?limit=1&before=5&limit=1")
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == ["limit"]


def test_only_one_of_before_after_and_around_may_be_given(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    for query in ({"before": 1, "after": 1}, {"before": 1, "around": 1}, {"after": 1, "around": 1}):
        assert refusal(ann.get(messages(room), **query)) == (422, "validation_failed")
