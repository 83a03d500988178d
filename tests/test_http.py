"""HTTP itself: errors, malformed requests, headers, other sites' pages, documentation."""

import json
import re
import secrets
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from typing import Any

import harness
import httpx
import pytest
import schemathesis
from clients import Client
from harness import PASSWORD, Server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok

from quartchat import auth, errors
from quartchat.routes import faults

JSON = {"Content-Type": "application/json"}
BODY_BYTES = 64 << 10
HANG_S = 5.0  # no answer within this is a hang
ROOMS = "/api/chat/rooms"
Operation = schemathesis.APIOperation[Any, Any, Any, Any]

# The contract's seed.
ENDPOINTS = {
    ("post", "/api/register"),
    ("post", "/api/login"),
    ("post", "/api/logout"),
    ("get", "/api/me"),
    ("get", "/api/tokens"),
    ("post", "/api/tokens"),
    ("delete", "/api/tokens/{token}"),
    ("get", "/api/chat/rooms"),
    ("post", "/api/chat/rooms"),
    ("get", "/api/chat/rooms/{room}"),
    ("post", "/api/chat/rooms/{room}/join"),
    ("post", "/api/chat/rooms/{room}/leave"),
    ("get", "/api/chat/rooms/{room}/members"),
    ("post", "/api/chat/rooms/{room}/messages"),
    ("get", "/api/chat/rooms/{room}/messages"),
    ("get", "/api/chat/rooms/{room}/messages/{message}"),
    ("get", "/api/chat/rooms/{room}/events"),
    ("get", "/api/chat/events"),
    ("get", "/healthz/live"),
    ("get", "/healthz/ready"),
    ("get", "/metrics"),
}
EVENTS = {
    "ready",
    "message",
    "member.join",
    "member.leave",
    "heartbeat",
    "reset",
    "room.removed",
    "session.revoked",
}


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Check that an answer is a problem document (RFC 9457); return its status and code."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert set(document) >= {"type", "title", "status", "detail", "code"}
    assert document["status"] == answer.status_code
    for name in ("type", "title", "detail", "code"):
        assert document[name], document
    for error in document.get("errors", []):
        assert set(error) == {"field", "message"}
        assert error["field"]
        assert error["message"]
    return answer.status_code, document["code"]


@pytest.fixture(autouse=True)
def _nothing_fails_inside(server: Server) -> Iterator[None]:
    """Whatever a test here sends: no exception in the log, and the next request is served."""
    before = len(server.web.output())
    yield
    assert httpx.get(f"{server.url}/healthz/live", trust_env=False).status_code == 200
    log = server.web.output()[before:]
    assert "Traceback" not in log
    assert "level=error" not in log


# -- problems


def send(who: Client, method: str, path: str, raw: bytes = b"", **headers: str) -> httpx.Response:
    """Send a raw body on a connection of its own: an early answer may end the connection."""
    with httpx.Client(base_url=who.url, cookies=who.http.cookies, trust_env=False) as http:
        return http.request(method, path, content=raw, headers=headers, timeout=HANG_S)


def post_json(who: Client, path: str, raw: bytes) -> httpx.Response:
    return send(who, "POST", path, raw, **JSON)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"nope",
        b"[",
        b"{",
        b"{]",
        b'{"name"',
        b'{"name":',
        b'{"name":"a"',
        b'{"name":5',
        b'{"unknown":1',
        b'{"name":"a",}',
        b'{"name":"a"}x',
        b'{"name":"a"}{"name":"b"}',
        b"{'name':'a'}",
        b'{"name":NaN}',
        b'{"name":01}',
        b"1 2",
        b'"abc',
        b"tru",
        b'{"name":"\xff"}',
        b'{"name":"\xc3"}',
        b'{"name":"\n"}',
        b'{"name":"\\x"}',
        b'\xef\xbb\xbf{"name":"a"}',
        '{"name":"a"}'.encode("utf-16"),
        b"\0",
        b"[" * 60_000,
        b'{"name":' * 8_000,
        b'{"x":' + b"[" * 60_000,
        b'{"name":' + b"[" * 60_000,
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_is_not_json_is_400(server: Server, raw: bytes) -> None:
    assert problem(post_json(server.user("ann"), ROOMS, raw)) == (400, "invalid_json")


def test_json_that_is_nested_too_deep_is_refused(server: Server) -> None:
    ann = server.user("ann")
    for opened, closed in ((b"[", b"]"), (b'{"name":', b"}")):
        depth = 60_000 // len(opened + closed)
        raw = opened * depth + b"1" + closed * depth
        status, _ = problem(post_json(ann, ROOMS, raw))
        assert status in {400, 422}
        status, _ = problem(post_json(ann, ROOMS, b'{"name":"a","x":%b}' % raw))
        assert status in {400, 422}


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"x"', b"1", b"1e999", b"true"])
def test_json_that_is_no_object_is_422(server: Server, raw: bytes) -> None:
    assert problem(post_json(server.user("ann"), ROOMS, raw)) == (422, "validation_failed")


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/api/register", {"username": "abc"}, "password"),
        ("/api/register", {"username": "a b", "password": "short"}, "username password"),
        (
            "/api/register",
            {"username": "a b", "display_name": "", "x": 1},
            "username password display_name x",
        ),
        (ROOMS, {"name": "\u200b", "topic": "x" * 256}, "name topic"),
        (ROOMS, {"name": "\u200b"}, "name"),
        ("/api/register", {"username": "abc", "password": PASSWORD, "admin": True}, "admin"),
        ("/api/login", {"username": "abc", "password": PASSWORD, "x": 1}, "x"),
        ("/api/login", {"username": 5, "password": PASSWORD}, "username"),
        ("/api/tokens", {"name": "x", "scope": "all"}, "scope"),
        (ROOMS, {"name": "x", "member_count": 7}, "member_count"),
        (ROOMS, {}, "name"),
        (f"{ROOMS}/1/messages", {"body": "x", "author": 2}, "author"),
        (f"{ROOMS}/1/messages", {"html": "x"}, "body html"),
    ],
)
def test_422_names_each_wrong_field(server: Server, path: str, body: Any, fields: str) -> None:
    ann = server.user("ann")
    path = path.replace("/1/", f"/{ann.room()['id']}/")
    answer = ann.post(path, body)
    assert problem(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == fields.split()


def test_so_many_faults_are_told_and_no_more(server: Server) -> None:
    answer = server.user("ann").post(ROOMS, {f"x{n}": n for n in range(faults.MOST + 5)})
    assert problem(answer) == (422, "validation_failed")
    assert len(answer.json()["errors"]) == faults.MOST


def test_what_is_not_there_is_404(server: Server) -> None:
    ann = server.user("ann")
    for path in (
        "/nope",
        "/api",
        "/api/",
        "/api/chat/rooms/",
        "/API/me",
        "/static/nope.js",
        "/%00",
    ):
        for who in (ann, server.client()):
            assert problem(who.get(path)) == (404, "not_found"), path


def test_a_browser_that_goes_to_a_wrong_address_gets_a_page_and_a_program_the_problem(
    server: Server,
) -> None:
    nobody = server.client()
    navigation = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    for path in ("/nothing", "/room/2", "/rooms/x", "/static/nope.js", "/apis"):
        answer = nobody.http.get(path, headers=navigation)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["vary"] == "Accept"
        assert "There is nothing here" in answer.text
        assert 'href="/"' in answer.text
        assert problem(nobody.http.get(path, headers={"Accept": "*/*"})) == (404, "not_found")
    for path in ("/api", "/api/nothing", "/api/chat/rooms/x"):
        assert problem(nobody.http.get(path, headers=navigation)) == (404, "not_found"), path


def test_what_a_problem_says_is_ours_and_not_the_frameworks(server: Server) -> None:
    nobody = server.client()
    for answer, words in (
        (nobody.get("/nope"), "There is no such path."),
        (send(nobody, "PUT", "/api/me"), "The path has other methods"),
        (nobody.http.post("/api/login", content=b"x" * (BODY_BYTES + 1), headers=JSON), "64 KiB"),
    ):
        assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    "number",
    [
        "-1", "+1", "1.0", "1e3", "0x1", "1_0", "%20", "%201", "1%0a", "1%00", "٣", "\uff11", "²",
        "x", "999999999", "2147483648", "999999999999999", "9999999999999999", "9" * 5000, "",
    ],
    ids=lambda number: number[:20],
)  # fmt: skip
def test_odd_numbers_in_paths_are_404(server: Server, number: str) -> None:
    ann = server.user("ann")
    room = ann.room()["id"]
    for method, path in (
        ("GET", f"{ROOMS}/{number}/messages"),
        ("POST", f"{ROOMS}/{number}/join"),
        ("POST", f"{ROOMS}/{number}/leave"),
        ("GET", f"{ROOMS}/{number}/events"),
        ("GET", f"{ROOMS}/{room}/messages/{number}"),
        ("DELETE", f"/api/tokens/{number}"),
    ):
        assert problem(send(ann, method, path)) == (404, "not_found"), path


def test_a_method_that_a_path_does_not_have_is_405_with_allow(server: Server) -> None:
    ann = server.user("ann")
    for who in (ann, server.client()):
        for method, path, allowed in (
            ("PUT", "/api/me", {"GET", "HEAD", "OPTIONS", "PATCH", "DELETE"}),
            ("GET", "/api/login", {"POST", "OPTIONS"}),
            ("DELETE", ROOMS, {"GET", "HEAD", "POST", "OPTIONS"}),
            ("FOO", "/docs", {"GET", "HEAD", "OPTIONS"}),
            ("TRACE", "/", {"GET", "HEAD", "OPTIONS"}),
        ):
            answer = send(who, method, path)
            assert problem(answer) == (405, "method_not_allowed"), path
            assert set(answer.headers["allow"].split(", ")) == allowed


def test_options_says_what_a_path_allows(server: Server) -> None:
    answer = server.user("ann").http.options(ROOMS)
    assert answer.status_code == 200
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}


def test_a_body_may_have_64_kib_and_no_more(server: Server) -> None:
    ann = server.user("ann")
    path = f"{ROOMS}/{ann.room()['id']}/messages"
    most = b'{"body":"x"}'.rjust(BODY_BYTES)
    assert post_json(ann, path, most).status_code == 201
    assert problem(post_json(ann, path, b" " + most))[0] == 413
    assert problem(post_json(ann, path, b" " * 1_000_000))[0] == 413
    for raw, status in ((most, 201), (b" " + most, 413), (b" " * 1_000_000, 413)):
        pieces = (raw[start : start + 1000] for start in range(0, len(raw), 1000))
        with httpx.Client(base_url=server.url, cookies=ann.http.cookies, trust_env=False) as http:
            answer = http.post(path, content=pieces, headers=JSON)  # chunked
        assert answer.status_code == status


@pytest.mark.parametrize(
    "kind",
    [
        None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
        "application/problem+json", "application/jsonx", "*/*", "application/json, text/plain",
    ],
)  # fmt: skip
def test_a_body_that_does_not_say_it_is_json_is_415(server: Server, kind: str | None) -> None:
    ann = server.user("ann")
    headers = {} if kind is None else {"Content-Type": kind}
    for path in (ROOMS, "/api/login", "/api/register"):
        assert problem(send(ann, "POST", path, b'{"name":"x"}', **headers))[0] == 415


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/json;"]
)
def test_json_may_be_named_in_other_ways(server: Server, kind: str) -> None:
    ann = server.user("ann")
    raw = json.dumps({"name": secrets.token_hex(8)}).encode()
    assert ann.http.post(ROOMS, content=raw, headers={"Content-Type": kind}).status_code == 201


def test_nobody_is_told_more_without_a_session(server: Server) -> None:
    nobody = server.client()
    for method, path in (("GET", f"{ROOMS}/1"), ("POST", f"{ROOMS}/1/messages"), ("GET", ROOMS)):
        answer = send(nobody, method, path, b"{")
        assert problem(answer) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_204_has_no_body_and_no_length_of_one(server: Server) -> None:
    ann = server.user("ann")
    answer = ann.post(f"{ROOMS}/{ann.room()['id']}/leave")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers  # RFC 9110, 8.6
    assert "content-type" not in answer.headers


def test_a_static_path_of_any_form_is_no_failure(server: Server) -> None:
    for path in ("a" * 300, "a" * 5000, "a/" * 3000, "%00", "css", "", "~", "%ff", "%c0%ae"):
        assert problem(send(server.client(), "GET", f"/static/{path}")) == (404, "not_found")


@pytest.mark.parametrize("path", ["/../", "/%2e%2e/", "/..%2f", "/%2e%2e%2f", "//", "/\\..\\"])
def test_nothing_outside_of_static_is_served(server: Server, path: str) -> None:
    answer = exchange(server, request(f"GET /static{path}quartchat/app.py HTTP/1.1"))
    assert status(answer) in {308, 400, 404}


@pytest.mark.parametrize(
    "value",
    ["bytes=0-4", "bytes=-5", "bytes=5-", "bytes=5-2", "bytes=-0", "bytes=0-,5-9", "bytes=9999999-",
     "bytes=-99999999", "bytes=0-99999999999999999999", "bytes=", "bytes=a-b", "x", "lines=1-2"],
)  # fmt: skip
def test_any_range_of_a_static_file_is_answered(server: Server, value: str) -> None:
    answer = server.client().http.get("/static/favicon.svg", headers={"Range": value})
    assert answer.status_code in {200, 206, 416}
    whole = server.client().get("/static/favicon.svg").content
    if value in {"bytes=0-4", "bytes=-5"} and answer.status_code == 206:
        assert answer.content == (whole[:5] if value == "bytes=0-4" else whole[-5:])


# -- HEAD


def test_head_answers_as_get_does_without_a_body(server: Server) -> None:
    ann = server.user("ann")
    for path in ("/api/me", ROOMS, f"{ROOMS}/{ann.room()['id']}", "/docs", "/static/favicon.svg"):
        head, got = ann.http.head(path), ann.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == got.headers["content-type"]


def test_head_on_a_stream_returns_at_once_and_keeps_nothing_open(server: Server) -> None:
    anybody = server.client()

    def streams() -> float:
        text = anybody.get("/metrics").text
        found = re.search(r"^quartchat_streams(?:{[^}]*})? (\S+)$", text, re.MULTILINE)
        assert found
        return float(found[1])

    ann = server.user("ann")
    room = ann.room()
    harness.eventually(lambda: streams() == 0)
    for path in (f"{ROOMS}/{room['id']}/events", "/api/chat/events"):
        for _ in range(3):
            answer = ann.http.head(path, timeout=HANG_S)
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["content-type"].startswith("text/event-stream")
    harness.eventually(lambda: streams() == 0, within_s=2)


# -- malformed HTTP, by raw socket


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    head = "\r\n".join([line, "Host: quartchat", "Connection: close", *headers])
    return head.encode("latin-1") + b"\r\n\r\n" + body


def exchange(server: Server, raw: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes; return all that comes until the server closes. A hang is a failure."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=HANG_S) as connection:
        with suppress(OSError):  # it may have answered, and closed, before all was sent
            connection.sendall(raw)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(1 << 16):
                answer += piece
    return answer


def status(answer: bytes) -> int:
    """The status of an answer; 0 if the server only closed the connection."""
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    assert found or not answer, answer[:200]
    return int(found[1]) if found else 0


@pytest.mark.parametrize("first", ["", "theme=dark"])
def test_of_two_cookie_headers_one_is_not_taken_for_both(server: Server, first: str) -> None:
    first = f"{first}; n={secrets.token_hex(4)}" if first else first

    def me(*cookies: str) -> bytes:
        return exchange(server, request("GET /api/me HTTP/1.1", *(f"Cookie: {c}" for c in cookies)))

    ann, bob = server.user("ann"), server.user("bob")
    for who in (ann, bob, ann):
        assert who.name.encode() in me(first, who.cookies)
    assert status(me(first)) == 401
    assert status(me()) == 401


@pytest.mark.parametrize("host", [".", "a..b", "a" * 64, "127..0.1"])
@pytest.mark.parametrize("line", ["GET /api/me", "GET /", "POST /api/login", "OPTIONS /api/me"])
def test_a_host_that_is_no_name_is_400(server: Server, line: str, host: str) -> None:
    raw = f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    answer = exchange(server, raw)
    assert status(answer) == 400
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "bad_request"


@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Unmodified-Since", "If-Range"])
@pytest.mark.parametrize("path", ["/login", "/static/favicon.svg", "/docs/swagger-ui.css"])
@pytest.mark.parametrize(
    "value",
    ["Mon, 01 Jan 2020 00:00:00 +99999999999999", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"],
)
def test_a_condition_that_is_no_date_is_ignored(
    server: Server, name: str, path: str, value: str
) -> None:
    raw = request(f"GET {path} HTTP/1.1", f"{name}: {value}", "Range: bytes=0-1")
    assert status(exchange(server, raw)) in {200, 206}


def test_a_body_that_its_client_cuts_short_is_no_failure_of_ours(server: Server) -> None:
    raw = b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    answer = exchange(server, raw + b"Content-Length: 50\r\n\r\n{", half_close=True)
    assert status(answer) in {0, 400}


TARGETS = [
    "*", "", "?", "//", "//x", "/\\", "http://quartchat", "http://[", "https://[::1/api/me", "http://",
    "ftp://x/", "quartchat:443", "/\x00", "/%00", "/%", "/%zz", "/%ff", "/api/me?%ff=%zz&&=", "/;",
    "/" + "a" * 100_000, "/?" + "a" * 100_000, "/\xff",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: repr(target[:24]))
def test_any_request_target_is_answered(server: Server, target: str) -> None:
    answer = exchange(server, request(f"GET {target} HTTP/1.1"))
    assert 300 <= status(answer) < 500


def test_the_absolute_form_of_a_target_is_understood(server: Server) -> None:
    cookie = f"Cookie: {server.user('ann').cookies}"
    line = f"GET http://127.0.0.1:{server.port}/api/me HTTP/1.1"
    assert status(exchange(server, request(line, cookie))) == 200


@pytest.mark.parametrize("target", ["*", "http://[", "?", "/api/me", "quartchat:443"])
@pytest.mark.parametrize("method", ["OPTIONS", "CONNECT", "POST", "PRI", "get", "M" * 4000, "G(T"])
def test_any_method_on_any_target_is_answered(server: Server, method: str, target: str) -> None:
    assert status(exchange(server, request(f"{method} {target} HTTP/1.1"))) < 500


MALFORMED = {
    "garbage": b"\x00\x01\x02\r\n\r\n",
    "a greeting of another protocol": b"EHLO quartchat\r\n\r\n",
    "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(500),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "no host": b"GET /api/me HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /api/me HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no colon": request("GET /api/me HTTP/1.1", "nonsense"),
    "a space before the colon": request("GET /api/me HTTP/1.1", "X : y"),
    "NUL in a header": request("GET /api/me HTTP/1.1", "X: a\0b"),
    "NUL in a header's name": request("GET /api/me HTTP/1.1", "X\0: a"),
    "a long header": request("GET /api/me HTTP/1.1", "X: " + "a" * 200_000),
    "many headers": request("GET /api/me HTTP/1.1", *(f"X-{n}: y" for n in range(20_000))),
    "a length that is no number": request("POST /api/login HTTP/1.1", "Content-Length: x"),
    "a negative length": request("POST /api/login HTTP/1.1", "Content-Length: -1"),
    "two lengths": request(
        "POST /api/login HTTP/1.1", "Content-Length: 2", "Content-Length: 3", body=b"{}x"
    ),
    "an enormous length": request("POST /api/login HTTP/1.1", "Content-Length: " + "9" * 30),
    "an unknown coding": request("POST /api/login HTTP/1.1", "Transfer-Encoding: x"),
    "bad chunks": request(
        "POST /api/login HTTP/1.1",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
        body=b"zz\r\nabc\r\n0\r\n\r\n",
    ),
    "a negative chunk": request(
        "POST /api/login HTTP/1.1",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
        body=b"-5\r\nabc\r\n0\r\n\r\n",
    ),
    "a chunk that is too long": request(
        "POST /api/login HTTP/1.1",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
        body=b"2\r\n{}{}{}\r\n0\r\n\r\n",
    ),
    "a websocket without a key": request(
        "GET /api/me HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http_is_refused(server: Server, name: str) -> None:
    got = status(exchange(server, MALFORMED[name], half_close=True))
    assert got == 0 or 400 <= got < 500 or (got == 501 and name == "an unknown coding")


@pytest.mark.parametrize(
    "header",
    ["Cookie: quartchat=\xff; \xfe=\x80", "Cookie: quartchat=.", "Cookie: " + "a=b; " * 2000,
     "Authorization: Bearer \xff", "Accept: \xff", "If-None-Match: \xff", "If-Modified-Since: x",
     "Last-Event-ID: \xff", "X-Forwarded-For: \xff", "X-Forwarded-Host: [", "Expect: x",
     "Upgrade: x", "Content-Length: 0, 0", "Forwarded: for=["],
    ids=lambda header: header[:24],
)  # fmt: skip
def test_any_header_is_borne(server: Server, header: str) -> None:
    for path in ("/api/me", "/", "/static/favicon.svg", "/api/chat/events"):
        answer = exchange(server, request(f"GET {path} HTTP/1.1", header))
        assert status(answer) in {200, 303, 401}, path


@pytest.mark.parametrize(
    "host", ["", "[", "a b", "x:y", "x:" + "9" * 99, "@", "x/y", "\xff", "::1"]
)
def test_any_host_is_borne(server: Server, host: str) -> None:
    for line in ("GET /api/me", "GET /", "GET //rooms/1", "POST /api/logout"):
        raw = f"{line} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://x\r\nConnection: close\r\n\r\n"
        assert status(exchange(server, raw.encode("latin-1"))) in {303, 308, 400, 401, 403}


@pytest.mark.parametrize(
    "target", ["/", "/api/me", "/api/chat/events", "/nope", "*", "?", "http://[", "//x", "/%00"]
)
def test_a_websocket_is_refused_everywhere(server: Server, target: str) -> None:
    raw = (
        f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert 400 <= status(exchange(server, raw.encode())) < 500


def test_http_2_is_spoken_with_prior_knowledge_or_by_upgrade(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room()
    with httpx.Client(
        base_url=server.url, cookies=ann.http.cookies, http1=False, http2=True, trust_env=False
    ) as http:
        assert http.get("/api/me").json() == {"user": ann.me}
        posted = http.post(f"{ROOMS}/{room['id']}/messages", json={"body": "x"})
        assert (posted.http_version, posted.status_code) == ("HTTP/2", 201)
        with http.stream("GET", f"{ROOMS}/{room['id']}/events?last_event_id=0") as stream:
            text = ""
            for piece in stream.iter_text():
                text += piece
                if "event: message" in text:
                    break
    head = request("GET /api/me HTTP/1.1", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    with socket.create_connection(("127.0.0.1", server.port), timeout=HANG_S) as connection:
        connection.sendall(head.replace(b"close", b"Upgrade, HTTP2-Settings"))
        assert status(connection.recv(1 << 16)) in {101, 401}


def test_a_client_that_goes_away_within_a_request_is_no_failure(server: Server) -> None:
    ann = server.user("ann")
    for raw in (
        b"GET /api/me HTT",
        b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"GET /api/chat/events HTTP/1.1\r\nHost: x\r\nCookie: %b\r\n\r\n" % ann.cookies.encode(),
        b"GET /api/me HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=HANG_S) as connection:
            connection.sendall(raw)


def test_requests_in_a_row_on_one_connection_are_answered_in_order(server: Server) -> None:
    lines = [b"GET /nope", b"GET /api/me", b"GET /healthz/live", b"PUT /api/me"]
    raw = b"".join(line + b" HTTP/1.1\r\nHost: x\r\n\r\n" for line in lines[:-1])
    answer = exchange(server, raw + request("PUT /api/me HTTP/1.1"))
    assert re.findall(rb"HTTP/1.1 (\d{3}) ", answer) == [b"404", b"401", b"200", b"405"]


def test_an_answer_before_the_body_says_whether_the_connection_goes_on(server: Server) -> None:
    head = b"POST /api/chat/rooms HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=HANG_S) as connection:
        connection.sendall(head)
        answer = b""
        while b"unauthenticated" not in answer:
            answer += connection.recv(1 << 16)
        if b"connection: close" in answer.lower():
            return
        # It did not say so, and a client (or a proxy) will use the connection again.
        connection.sendall(b"{}" + request("GET /healthz/live HTTP/1.1"))
        again = b""
        while piece := connection.recv(1 << 16):
            again += piece
    assert b"200" in again.partition(b"\r\n")[0]


def test_made_up_methods_do_not_fill_the_metrics(server: Server) -> None:
    method = "X" + secrets.token_hex(8).upper()
    for path in ("/api/me", "/nope"):
        send(server.client(), method, path)
    assert method not in server.client().get("/metrics").text


# -- other sites' pages


FOREIGN = [
    "https://elsewhere.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "file://", "",
    "http://[", "http://[::1", "http://{host}.elsewhere.example", "http://elsewhere.example#{host}",
    "http://elsewhere.example/{host}", "http://{host}@elsewhere.example", "\xff",
    "http://elsewhere.example?http://{host}", "{host}", "http://elsewhere.example, http://{host}",
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN)
def test_another_sites_page_cannot_act_with_our_cookie(server: Server, origin: str) -> None:
    ann = server.user("ann")
    host = f"127.0.0.1:{server.port}"
    headers = {b"Origin": origin.replace("{host}", host).encode("latin-1")}
    for method, path in (("POST", ROOMS), ("POST", "/api/logout"), ("DELETE", "/api/tokens/1")):
        answer = ann.http.request(method, path, headers=headers)
        assert problem(answer) == (403, "cross_origin"), path
    body = {"username": ann.name, "password": PASSWORD}
    for path in ("/api/login", "/api/register"):
        answer = server.client().post(path, body, headers=headers)
        assert problem(answer) == (403, "cross_origin"), path
    assert ann.get("/api/me").status_code == 200


def test_our_own_page_may_and_so_may_who_only_looks(server: Server) -> None:
    ann = server.user("ann")
    body = {"name": secrets.token_hex(8)}
    assert ann.post(ROOMS, body, headers={"Origin": server.url}).status_code == 201
    foreign = {"Origin": "https://elsewhere.example"}
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = ann.http.request(method, "/api/me", headers=foreign)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_bearer_token_may_act_from_anywhere(server: Server) -> None:
    token = server.user("ann").post("/api/tokens", {"name": "x"}).json()["token"]
    headers = {"Authorization": f"Bearer {token}", "Origin": "https://elsewhere.example"}
    answer = server.client().post(ROOMS, {"name": secrets.token_hex(8)}, headers=headers)
    assert answer.status_code == 201


def test_a_bad_token_does_not_let_the_cookie_in_from_elsewhere(server: Server) -> None:
    headers = {"Authorization": "Bearer x", "Origin": "https://elsewhere.example"}
    assert problem(server.user("ann").post("/api/logout", headers=headers))[0] in {401, 403}


# -- headers


@pytest.mark.parametrize("path", ["/api/me", "/nope", "/openapi.json"])
def test_an_answer_of_data_can_never_be_a_page(server: Server, path: str) -> None:
    headers = server.user("ann").get(path).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_every_page_has_a_strict_policy(server: Server) -> None:
    ann = server.user("ann")
    for path in (
        "/",
        "/login",
        "/static/favicon.svg",
        "/docs",
    ):
        headers = ann.get(path).headers
        policy = dict(
            part.strip().partition(" ")[::2]
            for part in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'", path
        assert policy["script-src"] == "'self'", path
        assert policy["frame-ancestors"] == "'none'", path
        assert policy["base-uri"] == "'none'", path
        assert ("unsafe-inline" in policy["style-src"]) == (path == "/docs")
        assert headers["x-content-type-options"] == "nosniff"
        assert "referrer-policy" in headers
        assert "server" not in headers


def test_what_the_api_answers_is_not_kept(server: Server) -> None:
    ann = server.user("ann")
    for path in ("/api/me", ROOMS, "/api/nope"):
        assert "no-store" in ann.get(path).headers["cache-control"]


def test_json_is_utf_8_as_it_is(server: Server) -> None:
    ann = server.user("ann")
    room = ann.room("ä😀\u2028")
    answer = ann.get(f"{ROOMS}/{room['id']}")
    assert answer.headers["content-type"] == "application/json"
    assert "ä😀".encode() in answer.content


def test_who_is_signed_out_is_sent_to_sign_in(server: Server) -> None:
    ann = server.user("ann")
    for path in ("/", "/rooms/1"):
        answer = server.client().get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert ann.get(path).status_code == 200


# -- documentation


class Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"href", "src"}]


def test_the_docs_load_from_here_alone(server: Server) -> None:
    nobody = server.client()
    answer = nobody.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    links = Links(answer.text).found
    assert any(link.endswith(".js") for link in links)
    for link in links:
        assert re.match(r"/[^/]", link), link
        asset = nobody.get(link)
        assert asset.status_code == 200, link
        kind = asset.headers["content-type"].partition(";")[0]
        assert kind in {"text/css", "text/javascript", "application/javascript", "image/svg+xml"}
        assert len(asset.content) > 50


def document(server: Server) -> Any:
    answer = server.client().get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_document_has_every_endpoint_of_the_contract(server: Server) -> None:
    paths = document(server)["paths"]
    found = {(method, path) for path, operations in paths.items() for method in operations}
    assert found >= ENDPOINTS


def test_the_document_has_every_event_of_the_streams(server: Server) -> None:
    paths = document(server)["paths"]
    for path in ("/api/chat/rooms/{room}/events", "/api/chat/events"):
        described = json.dumps(paths[path]["get"]["responses"]["200"])
        assert {event for event in EVENTS if f'"{event}"' in described} == EVENTS


def test_every_reference_in_the_document_resolves(server: Server) -> None:
    whole = document(server)
    found = set(references(whole))
    assert found
    for reference in found:
        place = whole
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]
        assert place


def descriptions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("description"), str):
            yield value["description"]
        for inner in value.values():
            yield from descriptions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from descriptions(inner)


def test_no_description_is_a_code_block_by_its_indent(server: Server) -> None:
    found = list(descriptions(document(server)))
    assert len(found) > 50
    assert [text for text in found if re.search("^    ", text, re.MULTILINE)] == []


def test_the_streams_tell_of_each_event_in_their_descriptions_as_viewers_show_them(
    server: Server,
) -> None:
    paths = document(server)["paths"]
    for path in ("/api/chat/rooms/{room}/events", "/api/chat/events"):
        operation = paths[path]["get"]
        text = operation["description"]
        [content] = operation["responses"]["200"]["content"].values()
        rows = re.findall(r"^\| `(.+)` \| (.+) \| `(\w+)`: .+ \| (yes|no) \|$", text, re.MULTILINE)
        assert sorted(rows) == [
            (
                name,
                event["description"],
                event["data"]["$ref"].rpartition("/")[2],
                "yes" if event["id"] else "no",
            )
            for name, event in sorted(content["x-events"].items())
        ]


def test_the_document_lists_every_code_with_its_status(server: Server) -> None:
    text = document(server)["info"]["description"]
    listed = {
        (int(status), code)
        for status, code in re.findall(r"^\| (\d+) \| `(\w+)` \| \S", text, re.MULTILINE)
    }
    kinds = [errors.ChatError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert listed >= {(kind.status, kind.code) for kind in kinds[1:]}
    ann = server.user("ann")
    for answer in (
        ann.get("/api/nope"),
        ann.http.put("/docs"),
        ann.http.post(ROOMS, content=b"x" * (BODY_BYTES + 1), headers=JSON),
        ann.http.post(ROOMS, content=b"{", headers=JSON),
        ann.http.post(ROOMS, content=b"{}"),
        server.client().get("/api/me"),
    ):
        assert problem(answer) in listed
    assert "Retry-After" in text


def test_each_query_parameter_says_what_it_is_for(server: Server) -> None:
    found = {
        (path, parameter["name"]): parameter
        for path, methods in document(server)["paths"].items()
        for operation in methods.values()
        for parameter in operation["parameters"]
        if parameter["in"] == "query"
    }
    assert len(found) > 10
    assert all(len(parameter["description"]) > 10 for parameter in found.values())
    assert {place for place, parameter in found.items() if parameter["required"]} == {
        ("/api/search", "q"),
        ("/api/users", "q"),
    }


def test_the_document_and_the_bounds_say_how_often_one_may_try(server: Server) -> None:
    bounds = (harness.ROOT / "docs" / "bounds.md").read_text()
    paths = document(server)["paths"]
    said = [
        (path, found[1])
        for path, methods in paths.items()
        for operation in methods.values()
        for line in operation.get("description", "").splitlines()
        if (found := re.fullmatch(r"At most (.+ per .+)\.", line))
    ]
    assert len(said) > 12
    for path, words in said:
        assert f"| {words}" in bounds, path
    rates = dict(said)
    assert words_of(auth.LOGIN_PER_NAME, auth.LOGIN_PER_ADDRESS) in rates["/api/login"]
    assert words_of(auth.REGISTER_PER_NAME, auth.REGISTER_PER_ADDRESS) in rates["/api/register"]
    assert auth.words(auth.PASSWORD_PER_USER) in rates["/api/me/password"]


def words_of(name: auth.Rate, address: auth.Rate) -> str:
    return f"{auth.words(name)} for one username, and {auth.words(address)} from one address"


def test_the_document_says_what_a_message_must_have(server: Server) -> None:
    post = document(server)["components"]["schemas"]["Post"]
    assert post["required"] == ["body"]
    assert (post["properties"]["body"]["minLength"], post["properties"]["body"]["maxLength"]) == (
        1,
        4000,
    )
    assert post["additionalProperties"] is False


# -- fuzzing by the document


def operations(server: Server) -> Iterator[Operation]:
    for found in schemathesis.openapi.from_dict(document(server)).get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if not operation.path.endswith(("/logout", "/events")):  # these have tests of their own
            yield operation


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_nothing_that_the_document_allows_or_forbids_is_a_failure(
    server: Server, mode: schemathesis.GenerationMode
) -> None:
    real: dict[str, Any] = {}
    seen: Counter[int] = Counter()

    @settings(
        max_examples=20,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def fuzz(ann: harness.Client, operation: Operation, data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        case.headers.pop("Authorization", None)  # it would make ann nobody
        case.cookies.clear()
        if data.draw(st.booleans()):
            known = real.keys() & case.path_parameters.keys()
            case.path_parameters.update({name: real[name] for name in known})
        headers = {"Cookie": ann.cookies, "Connection": "close"}
        answer = case.call(base_url=server.url, headers=headers, timeout=HANG_S)
        seen[answer.status_code] += 1
        assert answer.status_code < 500, (operation.label, answer.text)

    for operation in operations(server):
        ann, bob = server.user("ann"), server.user("bob")
        room = ann.room()
        bob.join(room)
        real |= {"room": room["id"], "user": bob.me["id"], "message": ann.say(room, "hi")["id"]}
        with suppress(Unsatisfiable):  # nothing about it can be wrong
            fuzz(ann, operation)
    assert seen[401] < 100, seen  # wrong passwords, and who ended the own session
    assert seen[422 if mode.is_negative else 200] > 100, seen
