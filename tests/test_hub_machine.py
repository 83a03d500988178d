"""The hub in any order: whatever comes, lags, leaves, is trimmed or is missed in between."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import harness
import pytest
from hub_model import Client
from hub_world import WIDE, Hearing, Thing, World, worlds
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from quartchat import flush, history, pages, recent
from quartchat.events import FeedId, cursor

# A process that ends while redis-py connects leaves a socket to the garbage collector (3.11).
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

rooms = st.integers(0, 2)
messages = st.tuples(rooms, st.sampled_from([0, 10, 60]))
things = messages | messages | st.sampled_from(["session", "move"])
widths = st.sampled_from([WIDE, WIDE, WIDE, 0, 40, 300])  # bytes that a socket takes
# After each step the process may hear the feed; then the loop turns so many times, or (None)
# until all is quiet.
hearings = st.sampled_from([None, None, None, "all", "a little", "wakes"])
afters = st.tuples(hearings, st.sampled_from([0, 0, 1, 5, None]))
After = tuple[Hearing | None, int | None]


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that few events reach, and no rest."""
    monkeypatch.setattr(recent, "LOG_EVENTS", 8)
    monkeypatch.setattr(recent, "CHUNK_BYTES", 250)
    monkeypatch.setattr(pages, "EVENTS", 4)
    monkeypatch.setattr(history, "FEED_PAGE", 3)
    monkeypatch.setattr(flush, "MAX_REST_S", 0)
    monkeypatch.setattr(flush, "YIELD_EVERY", 2)


class Machine(RuleBasedStateMachine):
    """Each step is followed by a few turns of the loop, or by quiet."""

    clients = Bundle("clients")

    def __init__(self, runner: asyncio.Runner, world: World) -> None:
        super().__init__()
        self.runner, self.world = runner, world

    def do(self, work: Coroutine[Any, Any, None], after: After = (None, 0)) -> None:
        hearing, turns = after

        async def step() -> None:
            await work
            if hearing is not None:
                await self.world.hear(hearing)
            for _ in range(turns or 0):
                await asyncio.sleep(0)
            self.world.look()
            if turns is None:
                await self.world.settle()

        self.runner.run(step())

    @initialize(target=clients)
    def begin(self) -> MultipleResults[Client]:
        """One client of all rooms, and one of a room."""
        self.do(self.world.begin())
        rooms = [None, self.world.rooms[0]]
        there = [Client(self.world.log, room_id, None, "") for room_id in rooms]
        for client in there:
            self.do(self.world.connect(client, WIDE))
        return multiple(*there)

    # -- others

    @rule(things=st.lists(things, min_size=1, max_size=6), after=afters)
    def happen(self, things: list[Thing], after: After) -> None:
        self.do(self.world.happen(things), after)

    @rule(count=st.integers(5, 15), after=afters)
    def flood(self, count: int, after: After) -> None:
        """More than memory holds."""
        self.do(self.world.happen([(n % 3, 10) for n in range(count)]), after)

    @rule(
        count=st.sampled_from([1, 4, 99]),
        window=st.sampled_from([0, 1, 3, 99]),
        keep=st.sampled_from([0, 1, 3, 99]),
        after=afters,
    )
    def work(self, count: int, window: int, keep: int, after: After) -> None:
        self.do(self.world.work(count, window, keep), after)

    @rule(restarts=st.booleans(), after=afters)
    def empty(self, restarts: bool, after: After) -> None:
        """Redis is emptied, and perhaps the process is another one then."""
        self.do(self.world.hear("all"), (None, None))
        self.do(self.world.empty())
        self.do(self.world.restart() if restarts else asyncio.sleep(0), after)

    @rule(after=afters)
    def restart(self, after: After) -> None:
        self.do(self.world.restart(), after)

    @rule(client=st.none() | clients, after=afters)
    def beat(self, client: Client | None, after: After) -> None:
        self.do(self.world.beat(client), after)

    # -- the clients

    @rule(
        target=clients,
        room=st.none() | rooms,
        asked=st.sampled_from([None, "0", "0", "malformed", "ahead"]),
        width=widths,
        after=afters,
    )
    def attach(self, room: int | None, asked: str | None, width: int, after: After) -> Client:
        room_id = None if room is None else self.world.rooms[room]
        ahead = (FeedId((1 << 63) - 1),) * self.world.streams.partitions
        wrong = {"malformed": "xyz", "ahead": "9" * 15 if room_id else cursor(ahead)}
        reset = asked if asked in wrong else None
        client = Client(self.world.log, room_id, wrong[reset] if reset else asked, reset or "")
        self.do(self.world.connect(client, width), after)
        return client

    @rule(target=clients, client=clients, back=st.integers(0, 20), width=widths, after=afters)
    def rewind(self, client: Client, back: int, width: int, after: After) -> Client:
        """Another client begins where this one was once."""
        old = client.cursors[-1 - back % len(client.cursors)] if client.cursors else None
        other = Client(self.world.log, client.room_id, old, "")
        self.do(self.world.connect(other, width), after)
        return other

    @rule(client=clients, width=widths, after=afters)
    def lag(self, client: Client, width: int, after: After) -> None:
        """A socket is full, or has room again; who is not connected resumes."""
        lags = client in self.world.open
        self.do((self.world.lag if lags else self.world.connect)(client, width), after)

    @rule(client=clients, noticed=st.booleans(), after=afters)
    def drop(self, client: Client, noticed: bool, after: After) -> None:
        """A client goes away; who has done so resumes."""
        drops = client in self.world.open
        work = self.world.drop(client, noticed) if drops else self.world.connect(client, WIDE)
        self.do(work, after)

    def teardown(self) -> None:
        try:
            if self.world.rooms:
                self.do(self.world.end())
        finally:
            self.do(self.world.stop())


@pytest.mark.parametrize("partitions", [1, 3])
def test_every_client_gets_its_rooms_history_once_and_in_order_whatever_happens(
    valkey: harness.Valkey, database: str, partitions: int
) -> None:
    with worlds(valkey.url(), database, partitions) as (runner, new):
        run_state_machine_as_test(
            lambda: Machine(runner, new()),  # type: ignore[arg-type]  # its docs allow a function
            settings=settings(
                max_examples=60 if partitions == 1 else 30,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,  # the same steps in each run
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )


# -- what the machine has found, one by one

Scenario = Callable[[World], Coroutine[Any, Any, None]]
Play = Callable[[Scenario], None]


@pytest.fixture
def play(valkey: harness.Valkey, database: str) -> Iterator[Play]:
    """Run a scenario in a world of its own, and to its end."""
    with worlds(valkey.url(), database, 1) as (runner, new):

        async def whole(scenario: Scenario) -> None:
            world = new()
            await world.begin()
            await scenario(world)
            await world.end()
            await world.stop()

        yield lambda scenario: runner.run(whole(scenario))


async def of_all_rooms(world: World) -> Client:
    client = Client(world.log, None, None, "")
    await world.connect(client, WIDE)
    await world.settle()
    return client


def test_what_comes_before_a_joining_is_not_heard_if_one_read_brings_both(play: Play) -> None:
    async def scenario(world: World) -> None:
        client = await of_all_rooms(world)
        await world.happen([(2, 10), "move", (2, 10)])
        await world.hear("all")
        await world.settle()
        assert client.due[world.rooms[2]] == 4
        await world.happen([(2, 10), "move", (2, 10), "move", (2, 10)])
        await world.hear("all")
        await world.settle()
        assert client.due[world.rooms[2]] == 9

    play(scenario)


@pytest.mark.parametrize("reads", [True, False])
def test_a_room_that_is_joined_while_the_process_sleeps_is_heard_from_the_joining_on(
    play: Play, *, reads: bool
) -> None:
    async def scenario(world: World) -> None:
        client = await of_all_rooms(world)
        await world.lag(client, WIDE if reads else 0)
        await world.happen([(0, 10), (2, 10), "move", (2, 10)])
        await world.work(count=99, window=0, keep=0)
        await world.hear("wakes")
        await world.happen([(2, 10)])
        await world.hear("all")
        await world.lag(client, WIDE)
        await world.settle()
        assert client.due[world.rooms[2]] == 5

    play(scenario)


def test_who_left_a_room_while_the_process_slept_is_told(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.happen(["move"])
        await world.hear("all")
        client = await of_all_rooms(world)
        await world.happen(["move", (2, 10)])
        await world.work(count=99, window=0, keep=0)
        await world.hear("wakes")
        await world.happen([(0, 10)])
        await world.hear("all")
        await world.settle()
        assert client.removed == {world.rooms[2]}

    play(scenario)


def test_a_client_that_goes_away_is_let_go_whatever_its_stream_is_doing(play: Play) -> None:
    async def scenario(world: World) -> None:
        await world.happen([(0, 10)] * 12)
        await world.hear("all")
        for turns in range(40):  # of which some are those that Python 3.11 forgets, see `tasks`
            client = Client(world.log, None, "0", "")
            await world.connect(client, WIDE)
            for _ in range(turns):
                await asyncio.sleep(0)
            await world.drop(client, noticed=True)

    play(scenario)


@pytest.mark.parametrize("restarts", [True, False])
def test_who_was_behind_when_redis_was_emptied_goes_on_in_sql(
    play: Play, *, restarts: bool
) -> None:
    async def scenario(world: World) -> None:
        client = await of_all_rooms(world)
        await world.drop(client, noticed=True)
        await world.happen([(0, 10)] * 12)
        await world.hear("all")
        await world.empty()
        if restarts:
            await world.restart()
        await world.connect(client, WIDE)
        await world.happen([(1, 10)])
        await world.hear("all")
        await world.settle()
        assert not client.lost
        assert (client.due[world.rooms[0]], client.due[world.rooms[1]]) == (13, 2)

    play(scenario)
