"""Heads of HTTP/1.1: what is read here, h11 reads likewise; what is not plain is left to it."""

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quartchat import http_heads as heads

HOST = b"Host: chat.example\r\n"


def request(first: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([first, *lines, b"", b""])


def by_h11(data: bytes) -> tuple[str, bytes, list[tuple[bytes, bytes]], bytes]:
    """What h11 makes of a request: method, target, headers, body."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    head = connection.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return head.method.decode(), head.target, list(head.headers), body


TOKENS = st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1, max_size=8).map(str.encode)
ODD_BYTES = st.binary(max_size=6)
TEXTS = st.text(' \tabc:;,="()/\u00e9', max_size=12).map(lambda text: text.encode("latin-1"))
NAMES = TOKENS | st.sampled_from(
    [b"Content-Length", b"content-length", b"Connection", b"Host", b"Transfer-Encoding", b"Expect",
     b"Cookie", b"Upgrade", b"Accept"]
)  # fmt: skip
VALUES = TEXTS | ODD_BYTES | st.sampled_from(
    [b"0", b"3", b"03", b"+3", b"3, 3", b"70000", b"close", b"keep-alive", b"chunked", b"x"]
)  # fmt: skip
LINES = st.builds(lambda name, gap, value: name + gap + value, NAMES, st.sampled_from(
    [b":", b": ", b":\t", b" :", b""]
), VALUES)  # fmt: skip
FIRST = st.sampled_from(
    [b"GET / HTTP/1.1", b"POST /a?b=c HTTP/1.1", b"get / HTTP/1.1", b"GET / HTTP/1.0",
     b"GET http://x/ HTTP/1.1", b"GET * HTTP/1.1", b"GET  / HTTP/1.1", b"GET /\xff HTTP/1.1",
     b"PRI * HTTP/2.0", b"GET / HTTP/1.1 ", b"OPTIONS /x HTTP/1.1"]
)  # fmt: skip


@given(FIRST, st.lists(LINES, max_size=5), st.booleans(), st.sampled_from([b"\r\n", b"\n"]))
@example(b"POST / HTTP/1.1", [b"Content-Length: 3"], True, b"\r\n")
@example(b"POST / HTTP/1.1", [b"Content-Length: 3", b"Content-Length: 3"], True, b"\r\n")
@example(b"POST / HTTP/1.1", [b"A: b", b" folded"], True, b"\r\n")
def test_what_is_plain_is_read_as_h11_reads_it(
    first: bytes, lines: list[bytes], host: bool, end: bytes
) -> None:
    data = end.join([first, *([HOST.strip()] if host else []), *lines, b"", b""])
    found = heads.plain(data + b"xyz")
    if found is None:
        return
    head, rest = found
    method, target, headers, body = by_h11(data + b"xyz" + b"0" * 65_536)
    assert (head.method, head.target, list(head.headers)) == (method, target, headers)
    assert rest == b"xyz"
    assert len(body) == head.length


@pytest.mark.parametrize(
    "lines",
    [[b"Transfer-Encoding: chunked"], [b"Expect: 100-continue"], [b"Connection: close"],
     [b"Connection: Upgrade", b"Upgrade: websocket"], [b"Host: other"], [b"Content-Length: 65537"],
     [b"Content-Length: 1", b"Content-Length: 2"], [b"X : y"], [b"X: a\0b"],
     [b"X: " + b"a" * 20_000]],
    ids=lambda lines: lines[0][:24].decode(),
)  # fmt: skip
def test_what_means_something_for_the_connection_is_not_plain(lines: list[bytes]) -> None:
    assert heads.plain(request(b"POST / HTTP/1.1", HOST.strip(), *lines)) is None


def test_a_head_that_is_not_complete_is_not_plain() -> None:
    whole = request(b"GET / HTTP/1.1", HOST.strip())
    assert heads.plain(whole) is not None
    for end in range(len(whole)):
        assert heads.plain(whole[:end]) is None


def test_a_response_is_read_by_h11() -> None:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(heads.response(201, [(b"content-length", b"2"), (b"x", b"y")]) + b"{}")
    head = client.next_event()
    assert isinstance(head, h11.Response)
    assert (head.status_code, head.reason) == (201, b"Created")
    fields = dict(head.headers)
    assert fields[b"x"] == b"y"
    assert fields[b"date"].endswith(b"GMT")


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb"])
def test_a_header_cannot_become_two(value: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        heads.response(200, [(b"location", value)])
