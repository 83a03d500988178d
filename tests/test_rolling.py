"""Rolling restarts: two web processes behind one port, ended in turn under load."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import harness
import pytest
import pythons
import sockets
from faults import wire
from rolling import Caller, Reader, Scene, until

READERS = 500  # with the Python of the tests; half of them of all rooms
FEWER = 100  # with each other Python
WRITERS, ASKING = 4, 12  # half of them keep their connections
ROOMS = 2
DEAF = 10  # readers that never read, at each restart
FILL = 200  # messages of 4,000 characters: more than the sockets of such a reader hold
EXIT_S = 5.0  # from SIGTERM to the end
BACK_S = 15.0  # what the readers get to come back: `retry:` is 5 s at most
SECONDS = (1, 2, 3, 4)  # of `retry:`, each with a quarter of the readers;
SHARE = 0.12  # of half of `READERS`, by chance none has less than this,
MOST = 0.6  # and on a slow machine, where many wait for too long, no more come in one second
BOUND_S = 120.0  # what the whole may take on a machine that does other things


@pytest.mark.parametrize("python", pythons.installed())
def test_two_that_are_restarted_in_turn_lose_no_event_and_fail_no_request(
    python: str, start_server: Callable[..., harness.Server]
) -> None:
    server = start_server(WEB_CONCURRENCY="2", QUARTCHAT_HEARTBEAT_S="1")
    if python != sys.executable:
        server.web.python = pythons.with_requirements(python)
        server.web.restart()
        server.wait_until_ready()
    ann = server.user("ann")
    rooms = [ann.room()["id"] for _ in range(ROOMS)]
    partitions = int(server.env.get("QUARTCHAT_PARTITIONS", "1"))
    scene = Scene(server.port, ann.cookies, rooms, partitions)
    count = READERS if python == sys.executable else FEWER
    targets = [None, scene.rooms[0], None, scene.rooms[1]]
    readers = [Reader(scene, targets[number % len(targets)]) for number in range(count)]

    took = asyncio.run(scenario(server, scene, readers))

    assert max(took) < EXIT_S
    assert not scene.troubles, scene.troubles[:10]
    assert set(scene.answers) <= {200, 201, 503}, scene.answers
    history = {room: messages(ann, room) for room in scene.rooms}
    for reader in readers:
        for room in reader.rooms:
            assert reader.numbers(room) == list(range(1, scene.sent[room] + 1)), reader.path
    shown = {(m["room_id"], m["id"]): m for room in scene.rooms for m in history[room]}
    assert len(shown) == len(scene.data) == scene.sent.total()  # nobody was told anything else
    for data in scene.data:
        told = json.loads(data)
        assert told == shown[told["room_id"], told["id"]]
    told_s = Counter(int(told) for reader in readers for told, _ in reader.away)
    came_s = Counter(int(waited) for reader in readers for _, waited in reader.away)
    assert told_s.total() >= count // 2, "hardly anybody was sent away"
    print(f"ended after {took} s, came back in second {sorted(came_s.items())}")  # noqa: T201
    if count == READERS:
        assert all(told_s[second] >= SHARE * told_s.total() for second in SECONDS), told_s
        assert max(came_s.values()) <= MOST * came_s.total(), came_s


def test_a_connection_in_use_is_not_closed_under_a_request_but_told_that_it_ends(
    start_server: Callable[..., harness.Server],
) -> None:
    server = start_server()
    ann = server.user("ann")
    with socket.create_connection(("127.0.0.1", server.port)) as kept:
        kept.settimeout(harness.WAIT_S)
        kept.sendall(
            request := f"GET /api/me HTTP/1.1\r\nHost: x\r\nCookie: {ann.cookies}\r\n\r\n".encode()
        )
        assert b"connection: close" not in kept.recv(1 << 16).lower()
        server.web.kill(signal.SIGTERM)
        harness.eventually(lambda: "event=draining" in server.web.output())
        kept.sendall(request)
        answer = kept.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in answer.lower()
        assert kept.recv(1) == b""
    assert server.web.wait(EXIT_S) == 0


async def scenario(server: harness.Server, scene: Scene, readers: list[Reader]) -> list[float]:
    """Restart each process while everybody is at work; return how long each took to end."""
    took = []
    cyd = server.user("cyd")
    noise = cyd.room("noise")
    for _ in range(FILL):
        cyd.say(noise, "\N{GREEK SMALL LETTER OMEGA}" * 4000)
    async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as group:
        for reader in readers:
            group.create_task(reader.follow())
        await until(lambda: all(reader.is_open for reader in readers))
        writers = [Caller(scene, keeps=number % 2 == 0).write() for number in range(WRITERS)]
        asking = [Caller(scene, keeps=number % 2 == 0).look() for number in range(ASKING)]
        calling = [group.create_task(work) for work in writers + asking]
        for pid in sorted(children(server.web.pid)):
            silent = [await deaf(server.port, cyd.cookies, noise["id"]) for _ in range(DEAF)]
            await asyncio.sleep(1)  # their sockets fill
            took.append(await restart(server, pid))
            await until(lambda: all(reader.is_open for reader in readers), BACK_S)
            for writer in silent:
                writer.transport.abort()
        scene.over.set()
        await asyncio.gather(*calling)
        scene.silent.set()
    return took


async def restart(server: harness.Server, pid: int) -> float:
    """End one web process, wait until another serves in its place; return how long it took."""
    before = children(server.web.pid)
    os.kill(pid, signal.SIGTERM)
    took = await until(lambda: pid not in children(server.web.pid))
    await until(lambda: len(children(server.web.pid)) == len(before))
    [new] = children(server.web.pid) - before
    await until(lambda: serves(new, server.port))
    return took


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def serves(pid: int, port: int) -> bool:
    """Whether a process has accepted a connection on a port."""
    mine = {f"socket:[{row.inode}]" for row in sockets.accepted(port)}
    with suppress(FileNotFoundError):
        return not mine.isdisjoint(sockets.descriptors(pid))
    return False


async def deaf(port: int, cookie: str, room: int) -> asyncio.StreamWriter:
    """Ask for everything that was said in a room, and never read a byte of it."""
    _, writer = await wire.open_narrow(port)
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()
    head = f"GET /api/chat/rooms/{room}/events HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n"
    writer.write(f"{head}Last-Event-ID: 0\r\n\r\n".encode())
    return writer


def messages(client: harness.Client, room: int) -> list[dict[str, Any]]:
    """All messages of a room, page by page."""
    found: list[dict[str, Any]] = []
    more = True
    while more:
        last = found[-1]["id"] if found else 0
        page = client.get(f"/api/chat/rooms/{room}/messages", after=last, limit=200).json()
        found += page["messages"]
        more = page["has_more_after"]
    return found
