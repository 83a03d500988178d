"""The cache: bounded, short-lived, and never the keeper of what was dropped meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic, sleep

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartchat.cache import Cache

SIZE = 3


class Source:
    """What the cache stands in front of; it counts how often it is asked."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.asked: list[str] = []

    def load(self, key: str) -> Callable[[], Awaitable[str | None]]:
        async def load() -> str | None:
            self.asked.append(key)
            return self.values.get(key)

        return load


def make(*, ttl_s: float = 60, trusted: Callable[[], bool] = lambda: True) -> Cache[str, str]:
    return Cache(size=SIZE, ttl_s=ttl_s, trusted=trusted)


def get(cache: Cache[str, str], source: Source, *keys: str) -> list[str | None]:
    async def each() -> list[str | None]:
        return [await cache.get(key, source.load(key)) for key in keys]

    return asyncio.run(each())


def test_a_value_is_loaded_once() -> None:
    cache, source = make(), Source(ann="1")
    assert get(cache, source, "ann", "ann") == ["1", "1"]
    assert source.asked == ["ann"]


def test_what_is_not_there_is_asked_for_again() -> None:
    cache, source = make(), Source()
    assert get(cache, source, "ann", "ann") == [None, None]
    assert source.asked == ["ann", "ann"]


def test_the_least_recently_used_goes_first() -> None:
    cache, source = make(), Source(a="1", b="2", c="3", d="4")
    get(cache, source, "a", "b", "c", "a", "d")
    source.asked.clear()
    get(cache, source, "a", "c", "d")
    assert source.asked == []
    get(cache, source, "b")
    assert source.asked == ["b"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abcdefg")))
def test_it_holds_no_more_than_its_size(keys: list[str]) -> None:
    cache, source = make(), Source(**{key: key for key in "abcdefg"})
    assert get(cache, source, *keys) == keys
    assert len(cache._entries) == min(SIZE, len(set(keys)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abcdefg")), st.booleans())
def test_heavy_values_leave_room_for_fewer(keys: list[str], drop: bool) -> None:
    cache: Cache[str, str] = Cache(size=SIZE, ttl_s=60, trusted=lambda: True, weigh=len)
    source = Source(**{key: "x" * number for number, key in enumerate("abcdefg", 1)})
    for key in keys:
        assert get(cache, source, key) == [source.values[key]]
        if drop:
            cache.discard_where(lambda key, _: key == "b")
            cache.discard("a")
        held = sum(len(value) for _, value in cache._entries.values())
        assert held == cache._weight <= SIZE


def test_a_value_is_not_used_beyond_its_time() -> None:
    cache, source = make(ttl_s=0), Source(ann="1")
    get(cache, source, "ann", "ann")
    assert source.asked == ["ann", "ann"]


def test_nothing_is_used_while_nobody_would_tell_of_changes() -> None:
    heard = [True]
    cache, source = make(trusted=lambda: heard[0]), Source(ann="1")
    get(cache, source, "ann")
    heard[0], source.values["ann"] = False, "2"
    assert get(cache, source, "ann") == ["2"]
    heard[0] = True
    assert get(cache, source, "ann") == ["2"]


def test_what_is_dropped_is_loaded_again_and_the_rest_is_not() -> None:
    cache, source = make(), Source(ann="1", bob="2")
    get(cache, source, "ann", "bob")
    cache.discard("ann")
    get(cache, source, "ann", "bob")
    cache.discard("bob")
    cache.discard("nobody")
    get(cache, source, "ann", "bob")
    cache.clear()
    get(cache, source, "ann", "bob")
    assert source.asked == ["ann", "bob", "ann", "bob", "ann", "bob"]


def test_an_entry_dropped_while_it_is_loaded_is_not_kept() -> None:
    for drop in (
        lambda cache: cache.discard("ann"),
        lambda cache: cache.clear(),
    ):
        cache, source = make(), Source(ann="new")

        async def stale(cache: Cache[str, str] = cache, drop: Callable[..., None] = drop) -> str:
            await asyncio.sleep(0)
            drop(cache)
            return "old"

        assert asyncio.run(cache.get("ann", stale)) == "old"
        assert get(cache, source, "ann") == ["new"]


class AwayError(Exception):
    """What a source raises that cannot be reached."""


def ask_in_vain(cache: Cache[str, str], *keys: str) -> list[str | None]:
    """Ask while the source is away, for each alone and for all at once."""

    async def away(*_: object) -> dict[str, str]:
        raise AwayError

    async def each() -> list[str | None]:
        alone = [await cache.get(key, away) for key in keys]  # type: ignore[arg-type]
        together = await cache.get_many(keys, away)
        assert [together[key] for key in keys] == alone
        return alone

    return asyncio.run(each())


def test_where_the_source_is_away_a_value_is_used_past_its_time_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quartchat.cache.REST_S", 0)
    heard = [True]
    cache: Cache[str, str] = Cache(size=SIZE, ttl_s=0, trusted=lambda: heard[0], away=(AwayError,))
    get(cache, Source(ann="1", bob="2"), "ann", "bob")
    assert ask_in_vain(cache, "ann", "bob") == ["1", "2"]
    assert get(cache, Source(ann="3"), "ann") == ["3"]  # it is back
    for unknown in ("carol", "bob"):
        cache.discard("bob")
        with pytest.raises(AwayError):
            ask_in_vain(cache, "ann", unknown)
    heard[0] = False  # of changes nobody would tell
    with pytest.raises(AwayError):
        ask_in_vain(cache, "ann")
    heard[0] = True
    assert ask_in_vain(cache, "ann") == ["3"]
    monkeypatch.setattr("quartchat.cache.STALE_S", 0)
    with pytest.raises(AwayError):
        ask_in_vain(cache, "ann")


class DeniedError(Exception):
    """What a source raises that says no."""


def test_what_the_source_has_denied_since_is_not_used_while_it_is_away() -> None:
    async def denied() -> str | None:
        raise DeniedError

    async def nobody() -> str | None:
        return None

    async def nothing(_: list[str]) -> dict[str, str]:
        return {}

    cache: Cache[str, str] = Cache(size=SIZE, ttl_s=0, trusted=lambda: True, away=(AwayError,))
    get(cache, Source(ann="1", bob="2", cyd="3"), "ann", "bob", "cyd")
    with pytest.raises(DeniedError):
        asyncio.run(cache.get("ann", denied))
    assert asyncio.run(cache.get("bob", nobody)) is None
    assert asyncio.run(cache.get_many(["cyd"], nothing)) == {}
    for name in ("ann", "bob", "cyd"):
        with pytest.raises(AwayError):
            ask_in_vain(cache, name)


def test_for_a_source_that_hangs_one_waits_and_then_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quartchat.cache.REST_S", 60)
    cache: Cache[str, str] = Cache(size=SIZE, ttl_s=0, trusted=lambda: True, away=(AwayError,))
    asked: list[asyncio.Future[str]] = []

    def source() -> asyncio.Future[str]:
        asked.append(asyncio.get_running_loop().create_future())
        return asked[-1]

    async def fail(hanging: "asyncio.Future[str]") -> None:
        hanging.set_exception(AwayError())
        await asyncio.sleep(0.01)

    async def scenario() -> None:
        first = asyncio.create_task(cache.get("ann", source))
        await asyncio.sleep(0.01)
        assert not first.done()
        await fail(asked[0])
        assert await first == "1"
        cache._rests = monotonic()  # its rest is over
        for _ in range(3):  # would hang for ever if anybody waited
            assert await asyncio.wait_for(cache.get("ann", source), 5) == "1"
            await asyncio.sleep(0)
        assert len(asked) == 2  # one looks again, behind everybody
        await fail(asked[1])
        assert await asyncio.wait_for(cache.get("ann", source), 5) == "1"
        assert len(asked) == 2  # it rests
        cache._rests = monotonic()
        assert await asyncio.wait_for(cache.get("ann", source), 5) == "1"
        await asyncio.sleep(0)
        asked[2].set_result("2")
        await asyncio.sleep(0.01)
        again = asyncio.create_task(cache.get("ann", source))
        await asyncio.sleep(0.01)
        assert not again.done()  # it is back, so its word is waited for
        asked[3].set_result("3")
        assert await again == "3"

    get(cache, Source(ann="1"), "ann")
    asyncio.run(scenario())


def test_a_source_that_is_not_asked_for_a_while_is_believed_to_be_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quartchat.cache.REST_S", 0.02)
    cache: Cache[str, str] = Cache(size=SIZE, ttl_s=0, trusted=lambda: True, away=(AwayError,))
    get(cache, Source(ann="1"), "ann")
    assert ask_in_vain(cache, "ann") == ["1"]
    sleep(0.05)
    assert get(cache, Source(ann="2"), "ann") == ["2"]


def test_what_is_dropped_while_the_source_fails_is_not_used_and_not_taken_for_a_no() -> None:
    cache: Cache[str, str] = Cache(size=SIZE, ttl_s=0, trusted=lambda: True, away=(AwayError,))
    get(cache, Source(ann="1"), "ann")

    async def away() -> str:
        cache.discard("ann")
        raise AwayError

    with pytest.raises(AwayError):
        asyncio.run(cache.get("ann", away))
