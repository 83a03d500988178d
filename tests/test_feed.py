"""The feed's tail, over a Redis that is played: what a process misses while it sleeps."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from quartchat import feed as feeds
from quartchat.events import Control, Event, FeedId, Position, RoomId
from quartchat.signals import Signal

LANE = (0,)


def event(n: int) -> Event:
    return Event(RoomId(1), n, "message", b"{}", FeedId(n), n)


class Played:
    """One partition whose entries are numbered 1, 2, …; `cut` of them are gone."""

    lanes = (LANE,)

    def __init__(self, last: int) -> None:
        self.last, self.cut = last, 0
        self.cut_meanwhile = 0  # once what was read is looked at again
        self.asleep = asyncio.Event()
        self.awake = asyncio.Event()

    @property
    def live(self) -> "Played":
        return self

    @property
    def group(self) -> "Played":
        return self

    async def kept(self, ends: dict[int, FeedId]) -> set[int]:
        """What is cut is not there to be confirmed."""
        if ends and self.cut_meanwhile:
            self.last, self.cut = self.cut_meanwhile + 2, self.cut_meanwhile
        return {p for p, end in ends.items() if end > self.cut}

    async def ends(self, _partition: int) -> tuple[FeedId, FeedId]:
        return FeedId(0), FeedId(0)

    async def tail(
        self, position: Position, _heard: dict[int, FeedId], _lane: Any
    ) -> tuple[list[tuple[int, Event | Control]], list[Signal]]:
        after = max(position[0], self.cut)
        if self.last == position[0]:
            self.asleep.set()
            await self.awake.wait()
            await asyncio.sleep(0.01)
            after = max(position[0], self.cut)
        return [(0, event(n)) for n in range(after + 1, self.last + 1)], []

    async def position(self, _lane: Any = None, *, kept: bool = False) -> Position:
        del kept
        return (FeedId(self.last),)

    async def trimmed(self, _partition: int) -> FeedId:
        return FeedId(self.cut)


def told_by(redis: Played, meanwhile: Callable[[], None]) -> list[Any]:
    """What a feed says, while something happens as it waits for news."""

    async def scenario() -> list[Any]:
        feed = feeds.Feed(redis)  # type: ignore[arg-type]
        told: list[Any] = []
        feed.listen(
            lambda entries: told.extend(entry.n for _, entry in entries),
            lambda position: told.append(f"from {position[0]}"),
        )
        feed.start()
        await redis.asleep.wait()
        meanwhile()
        redis.awake.set()
        await asyncio.sleep(0.1)
        await feed.stop()
        return told

    return asyncio.run(scenario())


@pytest.mark.parametrize(("cut", "expected"), [(7, ["from 7", 8, 9]), (2, [4, 5, 6, 7, 8, 9])])
def test_what_comes_after_a_sleep_is_looked_at_before_it_is_believed(
    monkeypatch: pytest.MonkeyPatch, cut: int, expected: list[Any]
) -> None:
    now = [1000.0]
    monkeypatch.setattr(feeds, "monotonic", lambda: now[0])
    redis = Played(last=3)

    def stopped() -> None:
        now[0] += 10  # while others wrote, and a worker cut
        redis.last, redis.cut = 9, cut

    assert told_by(redis, stopped) == ["from 3", *expected]


def test_what_is_cut_before_a_replica_has_confirmed_it_is_a_gap() -> None:
    redis = Played(last=3)

    def cut() -> None:
        redis.last, redis.cut_meanwhile = 5, 5

    assert told_by(redis, cut) == ["from 3", "from 5", 6, 7]
