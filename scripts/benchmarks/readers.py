"""The readers: a process that holds thousands of streams and checks all that they bring.

Commands come as lines of JSON on stdin, answers go as lines of JSON to stdout; it ends with
its stdin. It reads its sockets also between commands. See `Crowd` for the commands.
"""

import json
import os
import select
import socket
import sys
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from benchmarks.framing import Parser, RefusedError, State, Step

RECEIVE_BYTES = 1 << 16  # taken from a socket at once
TICK_S = 0.02  # how often a goal is looked at
EVENTS_PER_POLL = 512
SAMPLED_READERS = 100  # whose messages' latencies are kept
SAMPLES = 4_000_000  # latencies kept at most
STDIN = 0


class Reader:
    """One stream."""

    __slots__ = (
        "address",
        "began",
        "number",
        "opened",
        "request",
        "room",
        "sampled",
        "sock",
        "state",
    )

    def __init__(self, number: int, room: int, request: bytes, address: str) -> None:
        self.number = number
        self.room = room
        self.request = request
        self.address = address
        self.sock: socket.socket | None = None
        self.state: State | None = None
        self.sampled = False
        self.began = 0.0
        self.opened = 0.0


class Crowd:
    """All readers, and what may be asked of them."""

    def __init__(self, port: int, ready: str, *, numbered: bool) -> None:
        self._port = port
        self._parser = Parser(ready.encode(), numbered=numbered)
        self._epoll = select.epoll()
        self._epoll.register(STDIN, select.EPOLLIN)
        self._readers: list[Reader] = []
        self._open: dict[int, Reader] = {}
        self._connecting: dict[int, Reader] = {}
        self._waiting: list[Reader] = []
        self._later: list[tuple[float, Reader]] = []  # told to come again, and when
        self._at_once = 0
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
        every = max(1, len(readers) // SAMPLED_READERS)
        for number, (room, request) in enumerate(readers):
            # A few hundred of the addresses that are this machine's own, so that ports suffice.
            address = f"127.0.{1 + (first_address + number) % 8}.{1 + number % 64}"
            reader = Reader(number, room, request.encode(), address)
            reader.sampled = number % every == 0
            reader.state = self._parser.start(last_id)
            self._readers.append(reader)
        self._waiting = self._readers[::-1]
        self._at_once = at_once
        self._last_id = last_id
        began = time.perf_counter()
        self._start_some()
        done = self._run(lambda: self._all_ready(goal), timeout_s)
        took = sorted(r.opened - began for r in self._readers if r.opened)
        finished = self._last if goal and self._last else (took[-1] if took else 0.0) + began
        return {
            "done": done,
            "ready": self._ready,
            "seconds": finished - began,
            "opened_s": took[-1] if took else None,
            "opened_p50_s": took[len(took) // 2] if took else None,
            **self._report(goal),
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
        goals = {int(room): count for room, count in goal.items()}

        def done() -> bool:
            return self._delivered >= deliveries and all(
                reader.state is not None
                and reader.state.tally.messages >= goals.get(reader.room, 0)
                for reader in self._readers
            )

        began = time.perf_counter()
        finished = self._run(done, timeout_s)
        ended = self._last if finished else time.perf_counter()
        return {"done": finished, "seconds": ended - began, **self._report(goals)}

    def tell(self) -> dict[str, Any]:
        """Say where the readers stand, without waiting."""
        return self._report(None)

    def close(self) -> dict[str, Any]:
        """End all streams."""
        for reader in self._readers:
            if reader.sock is not None:
                reader.sock.close()  # which also takes it out of the epoll set
        self._readers, self._waiting, self._later = [], [], []
        self._open.clear()
        self._connecting.clear()
        self._ready = 0
        self._errors.clear()
        return self.mark()

    # -- the loop

    def serve(self) -> None:
        """Do what stdin asks for until it ends."""
        answer({"pid": os.getpid()})
        while True:
            self._run(lambda: self._asked, float("inf"))
            self._asked = False
            line = sys.stdin.buffer.readline()
            if not line:
                return
            command = json.loads(line)
            answer(getattr(self, command.pop("do"))(**command))

    def _run(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Read until `done`, which is asked every `TICK_S`; False if that takes too long."""
        deadline = time.perf_counter() + timeout_s
        tick = 0.0
        poll, opened, receive, connected = (
            self._epoll.poll, self._open, self._receive, self._connected
        )  # fmt: skip
        while True:
            for fd, _ in poll(TICK_S, EVENTS_PER_POLL):
                reader = opened.get(fd)
                if reader is not None:
                    receive(fd, reader)
                elif fd == STDIN:
                    self._asked = True
                else:
                    connected(fd)
            now = time.perf_counter()
            if now >= tick or self._asked:
                if done():
                    return True
                if now > deadline:
                    return False
                tick = now + TICK_S
                if self._later:
                    self._come_again(now)

    def _receive(self, fd: int, reader: Reader) -> None:
        state, sock = reader.state, reader.sock
        assert state is not None  # noqa: S101 - it is open
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
            step = self._parser.step(state, data)
        except RefusedError as error:
            self._lost(fd, reader, f"refused: {error}")
            if error.again_s is not None:
                self._later.append((time.perf_counter() + error.again_s, reader))
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
            self._start_some()

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
        if reader.sock is not None:
            reader.sock.close()
        reader.sock = None
        self._start_some()

    def _start_some(self) -> None:
        """Begin connections, so many at once that `at_once` are not ready yet."""
        opening = len(self._connecting) + len(self._open) - self._ready
        while self._waiting and opening < self._at_once:
            reader = self._waiting.pop()
            sock = reader.sock = socket.socket()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
            sock.bind((reader.address, 0))
            with suppress(BlockingIOError):
                sock.connect(("127.0.0.1", self._port))
            reader.began = time.perf_counter()
            self._connecting[sock.fileno()] = reader
            self._epoll.register(sock.fileno(), select.EPOLLOUT)
            opening += 1

    def _connected(self, fd: int) -> None:
        reader = self._connecting.pop(fd, None)
        if reader is None or reader.sock is None:
            return
        error = reader.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._open[fd] = reader
        if error:
            self._lost(fd, reader, os.strerror(error))
            return
        try:
            reader.sock.sendall(reader.request)
        except OSError as failure:
            self._lost(fd, reader, type(failure).__name__)
            return
        self._epoll.modify(fd, select.EPOLLIN)

    def _come_again(self, now: float) -> None:
        """Start those anew whose time has come."""
        for _, reader in (item for item in self._later if item[0] <= now):
            reader.state = self._parser.start(self._last_id)
            self._waiting.append(reader)
        self._later = [item for item in self._later if item[0] > now]
        self._start_some()

    def _all_ready(self, goal: int) -> bool:
        if self._waiting or self._connecting or self._later:
            return False
        if self._ready < len(self._readers):
            return self._ready == len(self._open)  # the others were refused for good
        return not goal or all(
            reader.state is not None and reader.state.tally.messages >= goal
            for reader in self._readers
        )

    def _report(self, goal: dict[int, int] | int | None) -> dict[str, Any]:
        orders: defaultdict[int, set[int]] = defaultdict(set)
        totals: Counter[str] = Counter()
        short = 0
        for reader in self._readers:
            assert reader.state is not None  # noqa: S101 - set by connect
            tally = reader.state.tally
            orders[reader.room].add(tally.order)
            for name in (
                "messages",
                "bytes",
                "missing",
                "repeated",
                "holes",
                "heartbeats",
                "resets",
            ):
                totals[name] += getattr(tally, name)
            wanted = goal.get(reader.room, 0) if isinstance(goal, dict) else goal or 0
            short += tally.messages != wanted if goal is not None else 0
        return {
            "readers": len(self._readers),
            "open": len(self._open),
            "delivered": self._delivered,
            "short": short,  # readers that have not exactly what they should
            "orders": sum(len(found) for found in orders.values()) - len(orders),  # beyond one
            "latencies": percentiles(self._latencies),
            "since_sent": percentiles(self._since_sent),
            "errors": dict(self._errors),
            "parsed": self._parser.parsed,
            **totals,
        }


def percentiles(nanoseconds: "array[int]") -> dict[str, float]:
    """Return p50, p99 and the longest, in ms."""
    ordered = sorted(nanoseconds)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {
        "count": len(ordered),
        "p50_ms": ordered[round(last * 0.5)] / 1e6,
        "p99_ms": ordered[round(last * 0.99)] / 1e6,
        "max_ms": ordered[-1] / 1e6,
    }


def answer(value: dict[str, Any]) -> None:
    """Write one line to the process that asks."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read what to connect to from the first line, then the commands."""
    setting = json.loads(sys.stdin.buffer.readline())
    Crowd(setting["port"], setting["ready"], numbered=setting["numbered"]).serve()


if __name__ == "__main__":
    main()
