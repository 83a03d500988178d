"""What loops of our own need: to wait before they try again, their turn, and to end for sure."""

import asyncio
import random

TURN_S = 10.0  # what anybody waits for a turn
AGAIN_S = 0.1  # redis-py 8 swallows about one cancellation in a hundred while it connects


class Turns:
    """Lets so many in at once; the others wait, but not for ever. Raises TimeoutError."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    async def __aenter__(self) -> None:
        async with asyncio.timeout(TURN_S):
            await self._free.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._free.release()


async def end(*tasks: "asyncio.Task[None]") -> None:
    """Cancel tasks until they are done."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)


def heed() -> None:
    """Raise a cancellation of this task that was swallowed on its way.

    Python 3.11's `asyncio.wait_for` loses one that comes as its work ends (gh-86296), and
    redis-py 8 writes every command with it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def back_off(tries: int) -> None:
    """Wait before trying again: 0.1 s doubled up to 5 s, with full jitter after the cap."""
    await asyncio.sleep(random.uniform(0.5, 1) * min(5.0, 0.1 * 2 ** min(tries, 10)))  # noqa: S311
