"""Clients that ask for much and take nothing: what a web process holds for them is little."""

import asyncio
import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack

import churn
import harness
import pytest
import sockets
from faults import wire

StartServer = Callable[..., harness.Server]

DEAF = 40  # half of them of all rooms
LONG, COUNT = "\N{GREEK SMALL LETTER OMEGA}" * 4000, 400  # 16 KB each with the HTML: 6 MB
# For each of them a chunk, the same framed, and what the allocator makes of it; without bounds
# it was 12 MB.
HELD_MB = 1.5
PIPELINED = 200_000  # requests in a row, whose answers are not read
SPARE = 20  # descriptors


def test_readers_that_take_nothing_cost_a_chunk_each_however_much_there_is_to_read(
    start_server: StartServer,
) -> None:
    server = start_server()
    ann = server.user("ann")
    room = ann.room()
    for _ in range(COUNT):
        ann.say(room, LONG)
    server.web.restart()  # so that memory holds nothing of it, and all comes from pages
    server.wait_until_ready()
    path = f"/api/chat/rooms/{room['id']}/events"

    async def listen() -> float:
        before = churn.sample(server.web.pid).rss_mb
        writers = []
        for number in range(DEAF):
            _, writer = await wire.open_narrow(server.port)
            assert isinstance(writer.transport, asyncio.Transport)
            writer.transport.pause_reading()
            where = path if number % 2 else "/api/chat/events"
            head = f"GET {where} HTTP/1.1\r\nHost: x\r\nCookie: {ann.cookies}\r\n"
            writer.write(f"{head}Last-Event-ID: 0\r\n\r\n".encode())
            writers.append(writer)
        await asyncio.sleep(3)
        after = churn.sample(server.web.pid).rss_mb
        for writer in writers:
            writer.transport.abort()
        return after - before

    kept_mb = 6 * 2  # the room's pages, once for all, and what SQLite keeps of them
    assert asyncio.run(listen()) < kept_mb + DEAF * HELD_MB


def test_requests_in_a_row_are_read_as_their_answers_are(start_server: StartServer) -> None:
    server = start_server()
    ann = server.user("ann")
    request = f"GET /login HTTP/1.1\r\nHost: x\r\nCookie: {ann.cookies}\r\n\r\n".encode()
    before = churn.sample(server.web.pid).rss_mb
    with socket.create_connection(("127.0.0.1", server.port), timeout=1) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with pytest.raises(TimeoutError):
            client.sendall(request * PIPELINED)
        assert churn.sample(server.web.pid).rss_mb - before < 4
    assert ann.get("/api/me").status_code == 200


def test_more_connections_than_descriptors_are_refused_and_the_others_go_on(
    start_server: StartServer,
) -> None:
    server = start_server()
    ann = server.user("ann")
    room = ann.room()
    with ann.stream(f"/api/chat/rooms/{room['id']}/events") as stream, ExitStack() as many:
        stream.next("ready")
        most = len(sockets.descriptors(server.web.pid)) + SPARE
        resource.prlimit(server.web.pid, resource.RLIMIT_NOFILE, (most, most))
        clients = [many.enter_context(socket.socket()) for _ in range(2 * SPARE)]
        for client in clients:
            client.settimeout(1)
            client.connect(("127.0.0.1", server.port))
        ann.say(room, "still here")
        assert stream.next("message")["body"] == "still here"
        # Who was refused finds the connection closed: there is an end to be read.
        harness.eventually(lambda: len(sockets.readable(*clients)) > SPARE / 2)
        many.close()
        # Until the process has closed as many, a new connection may be refused as well.
        harness.eventually(server.is_ready)
    assert server.web.running
