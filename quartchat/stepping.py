"""Coroutines that are stepped in place: most run to their end at once, and wake no task.

A task costs as much as the write of an event, so what nearly never waits is given one only
when it does. That was a third of the cost of a delivery, and of a request.
"""

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any


class Suspended(Awaitable[None]):
    """A coroutine that was stepped once, and the future that it waits for.

    Await it to run the rest, or close it; it must be one of the two.
    """

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        """Run the rest; a future that is done meanwhile is not waited for."""
        waits_for = self._waits_for
        try:
            while True:
                try:
                    value = yield waits_for
                except BaseException as error:  # noqa: BLE001 - handed on, like `yield from` does
                    waits_for = self._coroutine.throw(error)
                else:
                    waits_for = self._coroutine.send(value)
        except StopIteration:
            return
        finally:
            self._coroutine.close()

    def close(self) -> None:
        """Drop the rest."""
        self._coroutine.close()


def step(coroutine: Coroutine[Any, Any, None]) -> Suspended | None:
    """Run a coroutine until it would wait; None if it came to its end. Raises what it raises."""
    try:
        return Suspended(coroutine, coroutine.send(None))
    except StopIteration:
        return None
