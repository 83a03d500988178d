"""Hypercorn's connection, with less work for each request.

What is replaced, in Hypercorn 0.18: the idle timer, which is two tasks a request, and the
lock around every write. A kept-alive connection is also closed when its client closes it;
Hypercorn waits for its timer first, and keeps the descriptor for that long.
When the process ends, a connection in use is closed by its next answer, which says so: were
it closed between two requests, the second might be on its way, and lost.
"""

import asyncio
import math
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, cast

import hypercorn.asyncio.run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import AsyncioSingleTask
from hypercorn.events import Closed, Event, RawData
from hypercorn.typing import TaskGroup

from quartchat import errors, http_heads, problems

HIGH_WATER = 64 << 10  # bytes in the transport's buffer, from which on a write waits
LATE_PROBLEM = problems.of(errors.Unavailable())
LATE_HEADERS = [
    (b"content-type", b"application/problem+json"),
    (b"retry-after", b"1"),
    (b"content-length", b"%d" % len(LATE_PROBLEM)),
    (b"connection", b"close"),
]
LINGER_S = 1.0  # who asks for nothing for so long while the process ends is not in use


class Connections:
    """Those of a process: how long each may wait for a request, and how all of them end."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()  # one for each
        self._timers: set[IdleTimer] = set()  # of those that wait
        self._longest_s = math.inf  # what a connection may wait, whatever the settings say

    async def end(self) -> None:
        """From now on let none wait for longer than `LINGER_S`; return when that is over."""
        self._longest_s = LINGER_S
        left = [timer.count() for timer in list(self._timers)]
        await asyncio.sleep(max(left, default=0.0))

    def cut(self) -> None:
        """End those that are left; what is not answered is told when to come back."""
        for task in self.tasks:
            task.cancel()

    def add(self, timer: "IdleTimer") -> None:
        """Begin to wait."""
        self._timers.add(timer)

    def patience_s(self, connection: "Connection") -> float:
        """Return how long a connection may wait."""
        return min(connection.config.keep_alive_timeout, self._longest_s)

    def discard(self, timer: "IdleTimer") -> None:
        """Wait no more."""
        self._timers.discard(timer)


class IdleTimer(AsyncioSingleTask):
    """Closes a connection that waits for too long; takes the place of Hypercorn's task."""

    def __init__(self, connection: "Connection") -> None:
        super().__init__()
        self._connection = connection
        self._timer: asyncio.Handle | None = None
        self._since = 0.0  # on the loop's clock

    async def restart(self, _group: TaskGroup, _action: Callable[..., Any]) -> None:
        """Count from now on; what is to be done at the end we know."""
        await self.stop()
        self._connection.connections.add(self)
        self._since = self._connection.loop.time()
        self.count()

    def count(self) -> float:
        """Expire when the connection has waited for as long as it may; return what is left."""
        if self._timer is not None:
            self._timer.cancel()
        loop = self._connection.loop
        patience_s = self._connection.connections.patience_s(self._connection)
        left = max(0.0, self._since + patience_s - loop.time())
        self._timer = loop.call_later(left, self.expire)
        return left

    async def stop(self) -> None:
        """Count no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._connection.connections.discard(self)

    def expire(self) -> None:
        """Close the connection, once what was read of it before is heeded."""
        self._timer = self._connection.loop.call_soon(self._close)

    def _close(self) -> None:
        if self._connection.has_news:  # it came while the process was busy
            self._since = self._connection.loop.time()
            self.count()
        else:
            self._connection.writer.close()


class Connection(TCPServer):
    """One client's connection.

    What is written in one turn of the event loop goes out together: the head and the body of
    an answer would otherwise be two system calls, and wake the client twice.
    """

    connections: ClassVar[Connections]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.idle_task = IdleTimer(self)
        self._held = bytearray()

    async def run(self) -> None:
        """Serve the connection to its end, and leave no cycle behind.

        What ten thousand closed connections held would wait for the collector, which comes the
        later the more there is, and meanwhile new ones would need memory of their own.
        """
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self.connections.tasks.add(task)
        try:
            if self.context.terminated.is_set():
                await self._refuse()
            else:
                await super().run()
        except asyncio.CancelledError:
            if not self.context.terminated.is_set():  # else it was cut, and this is its end
                raise
        finally:
            self.connections.tasks.discard(task)
            for name in ("protocol", "idle_task", "_task_group"):
                self.__dict__.pop(name, None)

    async def _refuse(self) -> None:
        """Say when to come back: for what is accepted while the listener closes nobody waits.

        Its request would be cancelled with the loop, and answered by Hypercorn with a 500.
        """
        self.writer.write(http_heads.response(503, LATE_HEADERS) + LATE_PROBLEM)
        try:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(LINGER_S):
                    await self.reader.read(HIGH_WATER)  # or the answer is lost with a reset
        finally:
            self.writer.close()

    async def protocol_send(self, event: Event) -> None:
        """Write; nearly always there is room, and then there is nothing to wait for."""
        if (
            type(event) is RawData
            and len(self._held) + len(event.data) < HIGH_WATER
            and not self.send_lock.locked()
            and self.has_room
        ):
            if not self._held:
                self.loop.call_soon(self.flush)
            self._held += event.data
        else:
            self.flush()
            await super().protocol_send(event)

    @property
    def has_room(self) -> bool:
        """Whether a write would not have to wait."""
        transport = self.writer.transport
        return not transport.is_closing() and transport.get_write_buffer_size() < HIGH_WATER

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            if not self.writer.transport.is_closing():
                self.writer.transport.write(bytes(self._held))
            self._held.clear()

    async def write(self, data: bytes) -> None:
        """Write, and wait until there is room for more; tell the protocol if nobody reads."""
        self.flush()
        try:
            if self.writer.transport.is_closing():
                raise ConnectionResetError
            self.writer.write(data)
            if not self.has_room:
                await self.writer.drain()
        except ConnectionError:
            await self.protocol.handle(Closed())

    @property
    def has_news(self) -> bool:
        """Whether the client has sent something, or hung up, and nobody has read that yet."""
        descriptor = self.writer.get_extra_info("socket").fileno()
        if descriptor < 0:
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()

    async def _close(self) -> None:
        self.flush()
        await super()._close()


def install() -> Connections:
    """Make Hypercorn serve with connections like these; return them all."""
    connections = Connections()
    connection = type("Connection", (Connection,), {"connections": connections})
    hypercorn.asyncio.run.TCPServer = connection  # type: ignore[attr-defined,assignment]
    return connections
