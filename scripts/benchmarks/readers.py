"""The readers: a process that holds thousands of streams and checks all that they bring.

Commands come as lines of JSON on stdin, answers go as lines of JSON to stdout; it ends with
its stdin. It reads its sockets also between commands. See `Crowd` for the commands.
"""

import json
import os
import select
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import checks, load
from benchmarks.dialling import Dialler, Reader
from benchmarks.figures import percentiles
from benchmarks.framing import Parser, RefusedError, Step

RECEIVE_BYTES = 1 << 16  # taken from a socket at once
TICK_S = 0.02  # how often a goal is looked at
EVENTS_PER_POLL = 512
SAMPLED_READERS = 100  # whose messages' latencies are kept
SAMPLES = 4_000_000  # latencies kept at most
STDIN = 0


class Crowd:
    """All readers, and what may be asked of them."""

    def __init__(self, port: int, ready: str, *, numbered: bool) -> None:
        self._parser = Parser(ready.encode(), numbered=numbered)
        self._epoll = select.epoll()
        self._epoll.register(STDIN, select.EPOLLIN)
        self._dialler = Dialler(port, self._epoll)
        self._readers: list[Reader] = []
        self._open: dict[int, Reader] = {}
        self._last_id = -1
        self._ready = 0
        self._delivered = 0
        self._last = 0.0  # when the last message arrived
        self._latencies = array("q")
        self._since_sent = array("q")
        self._errors: Counter[str] = Counter()
        self._asked = False

    # -- the commands

    def connect(
        self,
        *,
        readers: list[tuple[int, str]],
        at_once: int,
        first_address: int,
        timeout_s: float,
        last_id: int = -1,
        goal: int = 0,
    ) -> dict[str, Any]:
        """Open a stream for each (room, request); wait until each is ready and has `goal`."""
        self.close()
        self._last_id = last_id
        every = max(1, len(readers) // SAMPLED_READERS)
        for number, (room, request) in enumerate(readers):
            # A few hundred of the addresses that are this machine's own, so that ports suffice.
            address = f"127.0.{1 + (first_address + number) % 8}.{1 + number % 64}"
            reader = Reader(room, request.encode(), address, self._parser.start(last_id))
            reader.sampled = number % every == 0
            self._readers.append(reader)
        self._dialler.begin(self._readers, at_once)
        began = time.perf_counter()
        self._dial()
        done = self._run(lambda: self._all_ready(goal), timeout_s)
        took = sorted(r.opened - began for r in self._readers if r.opened)
        finished = self._last if goal and self._last else (took[-1] if took else 0.0) + began
        return {
            "done": done,
            "ready": self._ready,
            "seconds": finished - began,
            "opened_s": took[-1] if took else None,
            "opened_p50_s": took[len(took) // 2] if took else None,
            **self._report({reader.room: goal for reader in self._readers}),
        }

    def mark(self) -> dict[str, Any]:
        """Forget the latencies so far, and count deliveries from here."""
        self._latencies = array("q")
        self._since_sent = array("q")
        self._delivered = 0
        self._last = time.perf_counter()
        return {}

    def expect(self, goal: dict[str, int], deliveries: int, timeout_s: float) -> dict[str, Any]:
        """Wait until each reader has had the messages of its room, `goal` by room."""
        goals = {reader.room: goal.get(str(reader.room), 0) for reader in self._readers}

        def done() -> bool:
            return self._delivered >= deliveries and all(
                reader.state.tally.messages >= goals[reader.room] for reader in self._readers
            )

        began = time.perf_counter()
        finished = self._run(done, timeout_s)
        ended = self._last if finished else time.perf_counter()
        return {"done": finished, "seconds": ended - began, **self._report(goals)}

    def tell(self) -> dict[str, Any]:
        """Say where the readers stand, without waiting."""
        return self._report({})

    def close(self) -> dict[str, Any]:
        """End all streams."""
        for reader in self._readers:
            reader.close()
        self._readers = []
        self._dialler.begin([], 0)
        self._open.clear()
        self._ready = 0
        self._errors.clear()
        return self.mark()

    # -- the loop

    def serve(self) -> None:
        """Do what stdin asks for until it ends."""
        load.say({"pid": os.getpid()})
        while True:
            self._run(lambda: self._asked, float("inf"))
            self._asked = False
            line = sys.stdin.buffer.readline()
            if not line:
                return
            command = json.loads(line)
            load.say(getattr(self, command.pop("do"))(**command))

    def _run(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Read until `done`, which is asked every `TICK_S`; False if that takes too long."""
        deadline = time.perf_counter() + timeout_s
        tick = 0.0
        poll, opened, receive = self._epoll.poll, self._open, self._receive
        while True:
            for fd, _ in poll(TICK_S, EVENTS_PER_POLL):
                reader = opened.get(fd)
                if reader is not None:
                    receive(fd, reader)
                elif fd == STDIN:
                    self._asked = True
                else:
                    self._connected(fd)
            now = time.perf_counter()
            if now >= tick or self._asked:
                if done():
                    return True
                if now > deadline:
                    return False
                tick = now + TICK_S
                self._come_again(now)

    def _receive(self, fd: int, reader: Reader) -> None:
        sock = reader.sock
        assert sock is not None  # noqa: S101 - it is open
        try:
            data = sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(fd, reader, type(error).__name__)
            return
        if not data:
            self._lost(fd, reader, "closed by the server")
            return
        try:
            step = self._parser.step(reader.state, data)
        except RefusedError as error:
            self._lost(fd, reader, f"refused: {error}")
            if error.again_s is not None:
                self._dialler.again(reader, error.again_s)
            return
        except ValueError as error:
            self._lost(fd, reader, f"not understood: {error}"[:300])
            return
        reader.state = step.state
        if step.count:
            self._note(reader, step)
        if step.reply:
            sock.send(step.reply)
        if not reader.opened and step.state.tally.ready:
            reader.opened = time.perf_counter()
            self._ready += 1
            self._dial()

    def _note(self, reader: Reader, step: Step) -> None:
        self._delivered += step.count
        self._last = time.perf_counter()
        if reader.sampled and len(self._latencies) < SAMPLES:
            now = time.monotonic_ns()
            self._latencies.extend([now - due for due in step.due])
            self._since_sent.extend([now - sent for sent in step.sent])

    def _lost(self, fd: int, reader: Reader, why: str) -> None:
        self._errors[why] += 1
        del self._open[fd]
        reader.close()
        self._dial()

    def _dial(self) -> None:
        self._dialler.dial(len(self._open) - self._ready)

    def _connected(self, fd: int) -> None:
        reader = self._dialler.connected(fd)
        if reader is None:
            return
        self._open[fd] = reader
        try:
            reader.ask()
        except OSError as error:
            self._lost(fd, reader, error.strerror or type(error).__name__)

    def _come_again(self, now: float) -> None:
        """Start those anew whose time has come."""
        for reader in self._dialler.due(now):
            reader.state = self._parser.start(self._last_id)
        self._dial()

    def _all_ready(self, goal: int) -> bool:
        if self._dialler.busy:
            return False
        if self._ready < len(self._readers):
            return self._ready == len(self._open)  # the others were refused for good
        return not goal or all(reader.state.tally.messages >= goal for reader in self._readers)

    def _report(self, goal: Mapping[int, int]) -> dict[str, Any]:
        return {
            "readers": len(self._readers),
            "open": len(self._open),
            "delivered": self._delivered,
            "latencies": percentiles(self._latencies),
            "since_sent": percentiles(self._since_sent),
            "errors": dict(self._errors),
            "parsed": self._parser.parsed,
            **checks.summary(((r.room, r.state.tally) for r in self._readers), goal),
        }


def main() -> None:
    """Read what to connect to from the first line, then the commands."""
    setting = json.loads(sys.stdin.buffer.readline())
    Crowd(setting["port"], setting["ready"], numbered=setting["numbered"]).serve()


if __name__ == "__main__":
    main()
