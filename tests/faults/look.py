"""What SQL alone serves: read by whoever judges, once Valkey is empty."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import msgspec

from faults import readers, record, wire
from faults.record import Audit, Event
from faults.stage import Stage
from faults.system import System
from faults.wire import Connection
from quartchat import events, fold
from quartchat.events import RoomId

CAUGHT_UP_S = 40.0  # what the archive gets for the last row
AUDIT_S = 60.0  # and whoever reads what was acknowledged, in the middle of a run
AGAIN_S = 0.2  # before a request that was not answered is made again
PAGE = 200


async def everything(system: System, stage: Stage) -> None:
    """Read it all at the end: Valkey is emptied, and no process remembers anything."""
    notes = stage.notes
    if not await system.wait_until_archived(CAUGHT_UP_S):
        notes.troubles.append(f"not archived {CAUGHT_UP_S} s after the last send")
        return
    await system.valkeys.flush()
    for node in system.webs:
        node.kill()
    await system.wait_until_ready()
    cookie = stage.cookies["ann"]
    for room in stage.rooms:
        streams = [await _stream(port, cookie, room) for port in system.ports]
        histories = [[event for event, _ in stream] for stream in streams]
        notes.folded[room] = folded(streams[0])
        notes.history[room] = histories[0]
        if histories[0] != histories[1]:
            notes.troubles.append(f"the two web processes tell different histories of room {room}")
        notes.pages[room] = await _pages(system.ports[1], cookie, room)


async def audit(system: System, stage: Stage) -> None:
    """Read the messages since the last audit, while nobody writes and Valkey is empty.

    Pages are not kept in any process's memory, so that these can only come from SQL.
    """
    notes, cookie = stage.notes, stage.cookies["ann"]
    began = stage.clock()
    found: dict[int, list[Event]] = {}
    try:
        async with asyncio.timeout(AUDIT_S):
            await system.wait_until_ready()
            for room in stage.rooms:
                known = max((e.n for a in notes.audits for e in a.found[room][-1:]), default=0)
                found[room] = await _pages(system.ports[0], cookie, room, known)
    except TimeoutError:
        notes.troubles.append(f"what SQL has could not be read in {AUDIT_S} s, at {began} s")
    else:
        notes.audits.append(Audit(began, found))


async def ask(connection: Connection, method: str, path: str, body: Any = None) -> Any:
    """Return the answer of a request that nothing is to go wrong with."""
    status, answer = await connection.request(method, path, body)
    assert status in {200, 201}, (path, status, answer)
    return answer


def folded(stream: list[tuple[Event, Any]]) -> list[Event]:
    """Return what a room's messages have become by its later events."""
    later = [
        events.Event(RoomId(event.room_id), event.n, event.type, json.dumps(data).encode())
        for event, data in stream
    ]
    messages = [msgspec.to_builtins(message) for message in fold.fold([], later)]
    return [record.event("message", message, whole=True) for message in messages]


async def _stream(port: int, cookie: str, room: int) -> list[tuple[Event, Any]]:
    """Return a room's events by its stream from 0, up to the number that it begins with."""
    found: list[tuple[Event, Any]] = []
    last = None
    stream = wire.events(port, f"/api/chat/rooms/{room}/events", cookie, "0", readers.SILENCE_S)
    async with aclosing(stream):
        async for kind, data, id_ in stream:
            if kind == "ready":
                last = data["last_id"]
            elif id_ is not None:
                found.append((record.event(kind, data, whole=True, n=int(id_)), data))
            if last is not None and (found[-1][0].n if found else 0) >= last:
                break
    return found


async def _pages(port: int, cookie: str, room: int, after: int = 0) -> list[Event]:
    """Return a room's messages after a number, by its pages."""
    found: list[Event] = []
    connection = Connection(port, cookie)
    more = True
    try:
        while more:
            path = f"/api/chat/rooms/{room}/messages?after={after}&limit={PAGE}"
            try:
                status, page = await connection.request("GET", path)
            except wire.CLOSED:
                status, page = 0, None
            if status in {0, 503}:  # a connection of a process that was just killed
                await asyncio.sleep(AGAIN_S)
                continue
            assert status == 200, (path, status, page)
            found += [record.event("message", data, whole=True) for data in page["messages"]]
            after = found[-1].n if found else after
            more = page["has_more_after"]
    finally:
        connection.close()
    return found
