"""Those who send: one message after the other, each again until it is acknowledged."""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import crowd

from faults import record
from faults.record import Answer, Send
from faults.stage import Stage
from faults.wire import CLOSED, Connection

REQUEST_S = 30.0  # no request may hang; past this it is a violation
AGAIN_S = (0.02, 0.2)  # before the next attempt
PACE_S = (0.01, 0.08)  # between two messages of one writer
LONG = 0.2  # the part of the messages that are long, so that sockets fill,
LONG_CHARS = 3000  # namely so long
CHANGES = 0.15  # the part of the messages that are then edited, deleted or reacted to
EMOJI = "\U0001f44d"
REPEATS = 0.05  # the part of the sends that are sent again after their acknowledgement,
REPEAT_S = (0.0, 15.0)  # so much later


class Writer:
    """One account in one room; each attempt may go to another process."""

    def __init__(
        self,
        name: str,
        account: tuple[str, str],
        room_id: int,
        ports: Sequence[int],
        *,
        plain: bool = False,
        changes: bool = False,
    ) -> None:
        self.name = name
        self.author, cookie = account
        self.room_id = room_id
        self._plain = plain  # its client_ids are no UUIDv7, so that SQL is asked for each
        self._changes = changes
        self._changed: set[tuple[int, str]] = set()
        self._path = f"/api/chat/rooms/{room_id}/messages"
        self._connections = [Connection(port, cookie) for port in ports]
        self._chance = random.Random(name)
        self._again: deque[tuple[float, Send]] = deque()

    async def run(self, stage: Stage, stop: asyncio.Event) -> None:
        """Send until `stop`; what was begun is sent to its end."""
        number = 0
        try:
            while not stop.is_set():
                async with stage.gate:
                    send = self._due(stage.clock())
                    if send is None:
                        number += 1
                        send = self._new(f"{self.name} {number}", stage.clock())
                        stage.notes.sends.append(send)
                    await self._deliver(send, stage)
                    if self._changes and self._chance.random() < CHANGES:
                        await self._change(send, stage)
                await asyncio.sleep(self._chance.uniform(*PACE_S))
        finally:
            for connection in self._connections:
                connection.close()

    def _new(self, body: str, now: float) -> Send:
        client_id = body if self._plain else crowd.uuid7()
        if self._chance.random() < LONG:
            body += " " + "long " * (LONG_CHARS // 5)
        send = Send(self.room_id, self.author, client_id, body.strip(), now)
        if self._chance.random() < REPEATS:
            self._again.append((now + self._chance.uniform(*REPEAT_S), send))
        return send

    def _due(self, now: float) -> Send | None:
        if self._again and self._again[0][0] <= now and self._again[0][1].answers:
            return self._again.popleft()[1]
        return None

    async def _deliver(self, send: Send, stage: Stage) -> None:
        notes, clock = stage.notes, stage.clock
        body = {"body": send.body, "client_id": send.client_id}
        while True:
            began = clock()
            try:
                status, answer = await self._attempt(body)
            except CLOSED as error:
                status, answer = 0, None
                if isinstance(error, TimeoutError):
                    notes.troubles.append(f"a POST at {began} s hung for {clock() - began:.0f} s")
            notes.slowest_s = max(notes.slowest_s, clock() - began)
            notes.statuses[f"POST {status or 'cut'}"] += 1
            if status in {200, 201}:
                send.answers.append(_answer(answer, clock()))
                return
            if status not in {0, 503}:
                notes.troubles.append(f"a POST at {began} s got {status}: {answer}")
                return
            if send.answers:  # it was acknowledged before: a repeat can wait
                self._again.append((clock() + self._chance.uniform(*AGAIN_S), send))
                return
            await asyncio.sleep(self._chance.uniform(*AGAIN_S))

    async def _change(self, send: Send, stage: Stage) -> None:
        """Change a message that was acknowledged, and repeat that until it is, too."""
        n = send.answers[0].n
        path = f"{self._path}/{n}"
        kind, method, body = self._chance.choice(
            [
                ("message.update", "PATCH", f"edit {crowd.uuid7()}"),
                ("message.delete", "DELETE", ""),
                ("reaction.add", "PUT", EMOJI),
            ]
        )
        if kind != "message.update" and (n, kind) in self._changed:
            return
        self._changed.add((n, kind))
        payload = {"body": body, "client_id": crowd.uuid7()} if method == "PATCH" else None
        if method == "PUT":
            path += f"/reactions/{quote(EMOJI)}"
        while True:
            try:
                status, answer = await self._attempt(payload, method, path)
            except CLOSED:
                status, answer = 0, None
            stage.notes.statuses[f"{method} {status or 'cut'}"] += 1
            if status in {200, 204}:
                stage.notes.changes.append(record.Change(self.room_id, n, kind, body))
            elif status in {0, 503}:
                await asyncio.sleep(self._chance.uniform(*AGAIN_S))
                continue
            elif status != 404 or (n, "message.delete") not in self._changed:
                stage.notes.troubles.append(f"{method} {path} got {status}: {answer}")
            return

    async def _attempt(
        self, body: dict[str, str] | None, method: str = "POST", path: str = ""
    ) -> tuple[int, Any]:
        connection = self._chance.choice(self._connections)
        async with asyncio.timeout(REQUEST_S):
            return await connection.request(method, path or self._path, body)


def _answer(data: Any, at: float) -> Answer:
    return Answer(at, data["id"], record.fingerprint(data))
