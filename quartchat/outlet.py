"""The writing end of one stream: a write that never waits, and the wait when it must.

A write is the coroutine of an ASGI `send`, which suspends only when the socket is full; so
it is stepped in place. Where there is a `Lane`, chunks take that.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from quartchat.stepping import Suspended, step

Send = Callable[[Any], Coroutine[Any, Any, None]]

STALL_S = 15.0  # a reader that takes nothing for so long is dropped; it resumes by its cursor
HURRY_S = 0.5  # what a stream that must end leaves a reader for what it has not yet taken


class StalledError(TimeoutError):
    """The reader takes nothing."""


class Lane(Protocol):
    """A shorter way for chunks, see `exchange`."""

    def write(self, chunk: bytes) -> bool:
        """Write a chunk; False if `drain` must be awaited. May raise."""

    def drain(self) -> Coroutine[Any, Any, None]:
        """Wait until there is room."""

    def abort(self) -> None:
        """Cut the connection, with all that is not yet sent."""


class Outlet:
    """Writes chunks of one response body, one after the other."""

    __slots__ = ("_error", "_hurry", "_lane", "_rest", "_send", "_timeout")

    def __init__(self, send: Send, lane: Lane | None = None) -> None:
        self._send = send
        self._lane = lane
        self._rest: Suspended | Coroutine[Any, Any, None] | None = None
        self._error: Exception | None = None
        self._timeout: asyncio.Timeout | None = None
        self._hurry = False

    def write(self, chunk: bytes, *, last: bool = False) -> bool:
        """Write a chunk; False if it is not all out and `finish` must be awaited.

        Never raises: what goes wrong with one stream is no matter of who writes to many.
        """
        try:
            if self._lane is not None and not last:
                if self._lane.write(chunk):
                    return True
                self._rest = self._lane.drain()
            else:
                body = {"type": "http.response.body", "body": chunk, "more_body": not last}
                self._rest = step(self._send(body))
        except Exception as error:  # noqa: BLE001 - `finish` raises it
            self._error = error
        return self._rest is None and self._error is None

    async def finish(self) -> None:
        """Wait until the last chunk is out.

        Raises StalledError if the reader takes nothing, and what `send` raised.
        """
        if self._error is not None:
            raise self._error
        if self._rest is None:
            return
        rest, self._rest = self._rest, None
        try:
            async with asyncio.timeout(HURRY_S if self._hurry else STALL_S) as self._timeout:
                await rest
        except TimeoutError:
            raise StalledError from None
        finally:
            self._timeout = None

    def cut(self) -> None:
        """Cut the connection: a reader that takes nothing would hold it, and what it was sent."""
        if self._lane is not None:
            self._lane.abort()

    async def put(self, chunk: bytes, *, last: bool = False) -> None:
        """Write a chunk and wait until it is out. Raises as `finish` does."""
        if not self.write(chunk, last=last):
            await self.finish()

    def hurry(self) -> None:
        """Stop being patient with a reader that does not read: the stream must end."""
        self._hurry = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time() + HURRY_S)

    def abandon(self) -> None:
        """Drop what is not out."""
        if self._rest is not None:
            self._rest.close()
            self._rest = None
