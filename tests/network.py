"""A network between a browser and a server that fails without a word: it goes silent, or loses
one event of a stream and nothing else."""

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Self

from harness import free_port

CHUNK = 64 << 10  # bytes read at once
WAIT_S = 30.0  # for the end of its threads


class Network:
    """Listens on a port of its own and forwards to a server on this machine."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lost: list[bytes] = []  # the events that were lost
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._speaking = threading.Event()
        self._speaking.set()
        self._changing = threading.Lock()  # of what is silent
        self._needle: re.Pattern[bytes] | None = None
        self._links: list[_Link] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._speaking.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in list(self._links):
            link.shut()
        for thread in list(self._threads):
            thread.join(WAIT_S)
        for link in self._links:
            link.client.close()
            link.server.close()

    def silence(self) -> None:
        """Nothing comes through any more, and neither end hears of it.

        Connections that are there are dead for good, as those of a machine that slept; new ones
        wait until the network speaks again.
        """
        with self._changing:
            self._speaking.clear()
            for link in self._links:
                link.dead = True

    def speak(self) -> None:
        """Let new connections through again, and tell who says something on a dead one."""
        self._speaking.set()
        for link in self._links:
            if link.swallowed:
                link.shut()

    def lose(self, pattern: str) -> None:
        """Lose the next event of a stream that has this in it."""
        self._needle = re.compile(pattern.encode())

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="network", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._start(partial(self._connect, client))

    def _connect(self, client: socket.socket) -> None:
        try:
            self._speaking.wait()
            server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            client.close()
            return
        link = _Link(client, server, self._speaking)
        with self._changing:
            link.dead = not self._speaking.is_set()  # it came too late
            self._links.append(link)
        self._start(partial(link.pump, server, client, self._without))
        link.pump(client, server)

    def _without(self, chunk: bytes) -> bytes:
        """Make a comment of the event that is to be lost: as many bytes, so that nobody sees."""
        found = self._needle and self._needle.search(chunk)
        if not found or b"event: " not in chunk:
            return chunk
        self._needle = None
        start = max(chunk.rfind(end, 0, found.start()) + len(end) for end in (b"\n\n", b"\r\n"))
        end = chunk.index(b"\n\n", found.end())
        self.lost.append(chunk[start:end])
        return chunk[:start] + re.sub(rb"[^\n]", b":", chunk[start:end]) + chunk[end:]


class _Link:
    """One connection, through; both ends stay open for as long as the client has it."""

    def __init__(
        self, client: socket.socket, server: socket.socket, speaking: threading.Event
    ) -> None:
        self.client, self.server = client, server
        self._speaking = speaking
        self.dead = False  # it takes what comes, and passes nothing on
        self.swallowed = False  # something that the client said

    def pump(
        self,
        source: socket.socket,
        target: socket.socket,
        change: Callable[[bytes], bytes] = lambda chunk: chunk,
    ) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK):
                if not self.dead:
                    target.sendall(change(chunk))
                elif source is self.client:
                    self.swallowed = True
                    if self._speaking.is_set():
                        break
        if source is self.client or not self.dead:
            self.shut()

    def shut(self) -> None:
        """Let both ends hear that it is over, and both threads."""
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
