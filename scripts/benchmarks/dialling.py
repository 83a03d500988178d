"""Opening thousands of connections: so many at a time, and again where the server says so."""

import os
import select
import socket
import time
from contextlib import suppress

from benchmarks.framing import State

SERVER = "127.0.0.1"
BIND_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)


class Reader:
    """One stream."""

    __slots__ = ("address", "opened", "request", "room", "sampled", "sock", "state")

    def __init__(self, room: int, request: bytes, address: str, state: State) -> None:
        self.room = room
        self.request = request
        self.address = address
        self.sock: socket.socket | None = None
        self.state = state
        self.sampled = False
        self.opened = 0.0  # when it was ready

    def dial(self, port: int) -> int:
        """Begin to connect; return the descriptor."""
        sock = self.sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_IP, BIND_NO_PORT, 1)
        sock.bind((self.address, 0))
        with suppress(BlockingIOError):
            sock.connect((SERVER, port))
        return sock.fileno()

    def ask(self) -> None:
        """Send the request, once connected. Raises OSError."""
        assert self.sock is not None  # noqa: S101 - it was dialled
        if error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        self.sock.sendall(self.request)

    def close(self) -> None:
        """Close the connection, which also takes it out of the epoll set."""
        if self.sock is not None:
            self.sock.close()
        self.sock = None


class Dialler:
    """Those that are not connected yet."""

    def __init__(self, port: int, epoll: select.epoll) -> None:
        self._port = port
        self._epoll = epoll
        self._waiting: list[Reader] = []
        self._connecting: dict[int, Reader] = {}
        self._later: list[tuple[float, Reader]] = []  # told to come again, and when
        self._at_once = 0

    @property
    def busy(self) -> bool:
        """Whether anybody is still to come."""
        return bool(self._waiting or self._connecting or self._later)

    def begin(self, readers: list[Reader], at_once: int) -> None:
        """Take these on; `at_once` may be on their way at the same time."""
        self._waiting = readers[::-1]
        self._connecting.clear()
        self._later.clear()
        self._at_once = at_once

    def dial(self, unready: int) -> None:
        """Begin connections, as many as may be; `unready` are connected and not ready yet."""
        while self._waiting and unready + len(self._connecting) < self._at_once:
            reader = self._waiting.pop()
            fd = reader.dial(self._port)
            self._connecting[fd] = reader
            self._epoll.register(fd, select.EPOLLOUT)

    def connected(self, fd: int) -> Reader | None:
        """Hand over who is connected now, or failed to be."""
        reader = self._connecting.pop(fd, None)
        if reader is not None:
            self._epoll.modify(fd, select.EPOLLIN)
        return reader

    def again(self, reader: Reader, after_s: float) -> None:
        """Dial once more, later."""
        self._later.append((time.perf_counter() + after_s, reader))

    def due(self, now: float) -> list[Reader]:
        """Return those whose time has come, who wait to be dialled from now on."""
        due = [reader for when, reader in self._later if when <= now]
        self._later = [item for item in self._later if item[0] > now]
        self._waiting += due
        return due
