"""A bounded cache whose entries others may invalidate, also while they are being loaded."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Generic, TypeVar

STALE_S = 3600  # as long past its time a value is used where its source is away,
REST_S = 5.0  # and how often it is asked then, while nobody waits for the answer

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Answers of SQL, least recently used first out.

    Entries are used only while `trusted()`: that is, while this process hears of changes.
    Then they may also be used past their time where a load raises one of `away`, and from then
    on without waiting for a load: what cannot be asked for cannot change either.
    """

    def __init__(
        self,
        *,
        size: int,
        ttl_s: float,
        trusted: Callable[[], bool],
        away: tuple[type[Exception], ...] = (),
        weigh: Callable[[V], int] = lambda _: 1,
    ) -> None:
        self._size = size
        self._weigh = weigh  # values take as much of the size
        self._weight = 0
        self._ttl_s = ttl_s
        self._trusted = trusted
        self._away = away
        self._rests = float("-inf")  # until when a source that was away is not asked
        self._look: asyncio.Task[None] | None = None
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._generation = 0

    async def get(self, key: K, load: Callable[[], Awaitable[V | None]]) -> V | None:
        """Return the cached value, or load it; None is never cached."""
        found = self.peek(key)
        if found is not None:
            return found

        async def one(_: list[K]) -> dict[K, V]:
            value = await load()
            return {} if value is None else {key: value}

        return (await self._ask([key], one)).get(key)

    async def get_many(
        self, keys: Sequence[K], load: Callable[[list[K]], Awaitable[Mapping[K, V]]]
    ) -> dict[K, V]:
        """Return cached values, and those that `load` finds for all other keys at once."""
        found = {key: value for key in keys if (value := self.peek(key)) is not None}
        missing = [key for key in keys if key not in found]
        return {**found, **await self._ask(missing, load)} if missing else found

    async def _ask(
        self, keys: list[K], load: Callable[[list[K]], Awaitable[Mapping[K, V]]]
    ) -> Mapping[K, V]:
        """Return what the source says, or where it is away what it said last."""
        looks = self._look is not None and not self._look.done()
        if looks or monotonic() < self._rests + REST_S:  # it was away a moment ago
            last = self._held(keys)
            if len(last) == len(keys):
                if not looks and monotonic() >= self._rests:
                    self._look = asyncio.create_task(self._look_again(keys, load))
                return last
        try:
            return await self._fresh(keys, load)
        except self._away:
            last = self._held(keys)  # not what was dropped meanwhile
            if len(last) < len(keys):
                raise
            return last

    async def _look_again(
        self, keys: list[K], load: Callable[[list[K]], Awaitable[Mapping[K, V]]]
    ) -> None:
        """Find out whether the source is back; it may hang, and nobody waits for this."""
        with suppress(Exception):
            await self._fresh(keys, load)

    async def _fresh(
        self, keys: list[K], load: Callable[[list[K]], Awaitable[Mapping[K, V]]]
    ) -> Mapping[K, V]:
        """Return what the source says, and forget what it denies."""
        try:
            found = await self.load(partial(load, keys))
        except self._away:
            self._rests = monotonic() + REST_S
            raise
        except Exception:
            self._rests = float("-inf")
            self._forget(keys)  # it has said no
            raise
        self._rests = float("-inf")
        self._forget([key for key in keys if key not in found])
        return found

    def _forget(self, keys: list[K]) -> None:
        for key in keys:
            self._drop(key)

    def _drop(self, key: K) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._weight -= self._weigh(entry[1])

    async def load(self, load: Callable[[], Awaitable[Mapping[K, V]]]) -> Mapping[K, V]:
        """Return what `load` finds, and keep it."""
        generation = self._generation
        found = await load()
        # What was dropped while we loaded may have made these very values stale.
        if generation == self._generation:
            for key, value in found.items():
                self.put(key, value)
        return found

    def peek(self, key: K) -> V | None:
        """Return the cached value, if it may be used."""
        entry = self._entries.get(key)
        if entry is None or entry[0] <= monotonic() or not self._trusted():
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def _held(self, keys: list[K]) -> dict[K, V]:
        """Return those values that are cached, also if they are past their time."""
        if not self._trusted():
            return {}
        entries = {key: self._entries[key] for key in keys if key in self._entries}
        now = monotonic()
        return {key: value for key, (ends, value) in entries.items() if now < ends + STALE_S}

    def put(self, key: K, value: V) -> None:
        """Keep a value."""
        self._drop(key)
        self._entries[key] = (monotonic() + self._ttl_s, value)
        self._weight += self._weigh(value)
        while self._weight > self._size:
            self._drop(next(iter(self._entries)))

    def discard(self, key: K) -> None:
        """Forget one entry."""
        self._generation += 1
        self._drop(key)

    def discard_where(self, matches: Callable[[K, V], bool]) -> None:
        """Forget some entries; looks at all of them, which takes 4 ms where there are 50,000."""
        self._generation += 1
        for key in [key for key, (_, value) in self._entries.items() if matches(key, value)]:
            self._drop(key)

    def clear(self) -> None:
        """Forget everything."""
        self._generation += 1
        self._entries.clear()
        self._weight = 0
