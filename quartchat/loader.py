"""Look-ups that share queries: what is asked for while one runs goes together into the next.

Alone, a look-up is as fast as its query. When thousands come at once, as after a deploy,
hundreds share one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

WAITING = 10_000  # keys that wait for the next query; past it the source is away at once


class Loader(Generic[K, V]):
    """One source; `load` returns what it finds of at most `most` keys."""

    def __init__(self, load: Callable[[list[K]], Awaitable[Mapping[K, V]]], *, most: int) -> None:
        self._load = load
        self._most = most
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """Return a key's value, of a query that begins after this call.

        Raises what `load` raises, and TimeoutError where too many wait.
        """
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= WAITING:
                raise TimeoutError("too many look-ups wait for a query")
            waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run())
        return await asyncio.shield(waiting)

    async def _run(self) -> None:
        while self._waiting:
            keys = list(islice(self._waiting, self._most))
            asked = {key: self._waiting.pop(key) for key in keys}
            try:
                found = await self._load(keys)
            except Exception as error:  # noqa: BLE001 - theirs who asked
                for waiting in asked.values():
                    waiting.set_exception(error)
                    waiting.exception()  # whoever asked may be gone
            else:
                for key, waiting in asked.items():
                    waiting.set_result(found.get(key))
