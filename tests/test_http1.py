"""Plain requests and others on one connection, as a client's sockets bring them."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from harness import Server

HANG_S = 5.0
LIVE = b"GET /healthz/live HTTP/1.1\r\nHost: x\r\n\r\n"
ODD_LIVE = b"GET /healthz/live HTTP/1.1\r\nHost: x\r\nConnection: close, x\r\n\r\n"


class Wire:
    """A connection, and the responses that it brings one after the other."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=HANG_S)
        self.buffer = b""

    def send(self, *pieces: bytes) -> None:
        """Send each piece in a packet of its own."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            self.socket.sendall(piece)
            time.sleep(0.02)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            piece = self.socket.recv(1 << 16)
            assert piece, self.buffer
            self.buffer += piece
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def response(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Read one response of a known length."""
        first, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines)
        length = int(fields.get(b"content-length", b"0"))
        while len(self.buffer) < length:
            piece = self.socket.recv(1 << 16)
            assert piece
            self.buffer += piece
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(first.split()[1]), fields, body

    def is_closed(self) -> bool:
        return self.socket.recv(1) == b""


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    it = Wire(server)
    with it.socket:
        yield it


def login(server: Server, *, length: int | None = None) -> tuple[bytes, bytes]:
    """The head and the body of a request that is refused for its password."""
    ann = server.user("ann")
    body = json.dumps({"username": ann.me["username"], "password": "not that one"}).encode()
    head = (
        b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length)
    )
    return head, body


def test_a_body_may_come_in_pieces(server: Server, wire: Wire) -> None:
    head, body = login(server)
    for pieces in ([head + body], [head, body], [head + body[:5], body[5:9], body[9:]]):
        wire.send(*pieces)
        assert wire.response()[0] == 401
    wire.send(head[:30], head[30:] + body)  # a head in pieces is h11's
    assert wire.response()[0] == 401
    wire.send(LIVE)
    assert wire.response()[0] == 200


@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
def test_requests_in_a_row_are_answered_in_order_however_they_are_cut(
    server: Server, wire: Wire, step: int
) -> None:
    head, body = login(server)
    row = (
        LIVE + head + body + LIVE + b"PUT /api/me HTTP/1.1\r\nHost: x\r\n\r\n" + head + body + LIVE
    )
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(row), step):
        wire.socket.sendall(row[start : start + step])
    assert [wire.response()[0] for _ in range(6)] == [200, 401, 200, 405, 401, 200]


def test_a_chunked_request_between_plain_ones_is_served(server: Server, wire: Wire) -> None:
    head, body = login(server)
    chunked = b"".join(
        [head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked"),
         b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)]
    )  # fmt: skip
    wire.send(LIVE, chunked, LIVE, head + body)
    assert [wire.response()[0] for _ in range(4)] == [200, 401, 200, 401]


def test_a_client_may_ask_for_the_end_of_the_connection(wire: Wire) -> None:
    wire.send(LIVE, ODD_LIVE)
    assert [wire.response()[0] for _ in range(2)] == [200, 200]
    assert wire.is_closed()


def test_an_answer_to_half_a_request_ends_the_connection_and_says_so(wire: Wire) -> None:
    wire.send(b"POST /api/chat/rooms HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    status, fields, _ = wire.response()
    assert (status, fields[b"connection"]) == (401, b"close")
    assert wire.is_closed()


def test_head_has_the_length_and_no_body(wire: Wire) -> None:
    wire.send(LIVE.replace(b"GET", b"HEAD"), LIVE)
    first, *lines = wire._until(b"\r\n\r\n").split(b"\r\n")
    assert first == b"HTTP/1.1 200 OK"
    assert any(line.lower().startswith(b"content-length: ") for line in lines)
    assert wire.response()[0] == 200
