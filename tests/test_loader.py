"""The loader: few queries for many look-ups, and nobody gets an answer from before."""

import asyncio
from collections.abc import Mapping

import pytest
from rolling import until

from quartchat import loader
from quartchat.loader import Loader

MOST = 3


class Source:
    """Values by key; a query takes a turn of the loop, and is noted."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.queries: list[list[str]] = []
        self.away = False

    async def load(self, keys: list[str]) -> Mapping[str, str]:
        self.queries.append(keys)
        found = {key: self.values[key] for key in keys if key in self.values}
        await asyncio.sleep(0.01)
        if self.away:
            raise ConnectionError
        return found


def test_what_is_asked_for_at_once_shares_a_query_of_so_many_and_no_more() -> None:
    async def scenario() -> None:
        source = Source(a="1", b="2", c="3", d="4")
        names: Loader[str, str] = Loader(source.load, most=MOST)
        found = await asyncio.gather(*(names.get(key) for key in "abcdxa"))
        assert found == ["1", "2", "3", "4", None, "1"]
        assert source.queries == [["a", "b", "c"], ["d", "x"]]

    asyncio.run(scenario())


def test_who_asks_while_a_query_runs_gets_what_the_next_one_finds() -> None:
    async def scenario() -> None:
        source = Source(a="old")
        names: Loader[str, str] = Loader(source.load, most=MOST)
        first = asyncio.create_task(names.get("a"))
        await until(lambda: bool(source.queries))
        source.values["a"] = "new"
        assert await names.get("a") == "new"
        assert await first == "old"

    asyncio.run(scenario())


def test_a_failed_query_fails_for_those_who_asked_and_for_nobody_else() -> None:
    async def scenario() -> None:
        source = Source(a="1", b="2")
        names: Loader[str, str] = Loader(source.load, most=MOST)
        source.away = True
        failed = await asyncio.gather(names.get("a"), names.get("b"), return_exceptions=True)
        assert [type(error) for error in failed] == [ConnectionError, ConnectionError]
        source.away = False
        assert await names.get("a") == "1"

    asyncio.run(scenario())


def test_who_goes_away_leaves_the_others_their_answer() -> None:
    async def scenario() -> None:
        source = Source(a="1")
        names: Loader[str, str] = Loader(source.load, most=MOST)
        first, second = (asyncio.create_task(names.get("a")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "1"
        assert first.cancelled()

    asyncio.run(scenario())


def test_look_ups_that_wait_for_a_query_are_so_many_and_no_more() -> None:
    async def scenario() -> None:
        source = Source()
        names: Loader[str, str] = Loader(source.load, most=loader.WAITING)
        asking = [asyncio.create_task(names.get(str(n))) for n in range(loader.WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await names.get("one more")
        await asyncio.gather(*asking)
        assert await names.get("later") is None

    asyncio.run(scenario())
