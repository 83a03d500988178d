"""A bounded cache whose entries others may invalidate, also while they are being loaded."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Answers of SQL, least recently used first out.

    Entries are used only while `trusted()`: that is, while this process hears of changes.
    """

    def __init__(self, *, size: int, ttl_s: float, trusted: Callable[[], bool]) -> None:
        self._size = size
        self._ttl_s = ttl_s
        self._trusted = trusted
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._generation = 0

    async def get(self, key: K, load: Callable[[], Awaitable[V | None]]) -> V | None:
        """Return the cached value, or load it; None is never cached."""
        found = self.peek(key)
        if found is not None:
            return found

        async def one() -> dict[K, V]:
            value = await load()
            return {} if value is None else {key: value}

        return (await self.load(one)).get(key)

    async def get_many(
        self, keys: Sequence[K], load: Callable[[list[K]], Awaitable[Mapping[K, V]]]
    ) -> dict[K, V]:
        """Return cached values, and those that `load` finds for all other keys at once."""
        found = {key: value for key in keys if (value := self.peek(key)) is not None}
        missing = [key for key in keys if key not in found]
        if missing:
            found |= await self.load(partial(load, missing))
        return found

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

    def put(self, key: K, value: V) -> None:
        """Keep a value."""
        self._entries[key] = (monotonic() + self._ttl_s, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def discard(self, key: K) -> None:
        """Forget one entry."""
        self._generation += 1
        self._entries.pop(key, None)

    def discard_where(self, matches: Callable[[K, V], bool]) -> None:
        """Forget some entries; looks at all of them, which takes 4 ms where there are 50,000."""
        self._generation += 1
        for key in [key for key, (_, value) in self._entries.items() if matches(key, value)]:
            del self._entries[key]

    def clear(self) -> None:
        """Forget everything."""
        self._generation += 1
        self._entries.clear()
