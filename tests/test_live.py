"""Signals and presence in Redis: bounded, on every partition, and never one without the other."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import harness
import pytest

from quartchat import events, live, signals
from quartchat.events import FeedId, RoomId, UserId
from quartchat.signals import Change, Marker, Signal, Typing
from quartchat.stream import Streams

ANN, BOB = UserId(1), UserId(2)
LOBBY, ATTIC = RoomId(7), RoomId(8)
PRESENCE = [  # what it may be made of
    f"cmdstat_{command}"
    for command in [
        "evalsha",
        "smismember",
        "sadd",
        "srem",
        "hmget",
        "hset",
        "hincrby",
        "hdel",
        "xadd",
    ]
]

Scenario = Callable[[Streams], Awaitable[None]]


@pytest.fixture(params=[1, 4], ids=["1 partition", "4 partitions"])
def run(request: pytest.FixtureRequest, valkey: harness.Valkey) -> Callable[[Scenario], None]:
    url = valkey.url()

    def run(scenario: Scenario) -> None:
        async def inside() -> None:
            streams = Streams(url, request.param)
            try:
                await scenario(streams)
            finally:
                await streams.close()

        asyncio.run(inside())

    return run


async def told(streams: Streams, heard: dict[int, FeedId]) -> list[Signal]:
    """What the live streams bring after some places."""
    nowhere = (FeedId(0),) * streams.partitions
    lanes = (streams.tail(nowhere, heard, lane) for lane in streams.lanes)
    return [signal for _, found in await asyncio.gather(*lanes) for signal in found]


def nothing_heard(streams: Streams) -> dict[int, FeedId]:
    return dict.fromkeys(range(streams.partitions), FeedId(0))


def test_signals_come_once_from_whichever_partition(run: Any) -> None:
    async def scenario(streams: Streams) -> None:
        heard = nothing_heard(streams)
        typing, marker = Typing(LOBBY, ANN), Marker(ATTIC, ANN, 3, 2, 1)
        changes = (Change(BOB, True, (LOBBY,)),)
        await streams.live.typing(typing)
        await streams.live.read(marker)
        await streams.live.changes(changes)
        found = await told(streams, heard)
        assert len(found) == 3
        assert all(signal in found for signal in (typing, marker, changes))
        assert await told(streams, heard) == []

    run(scenario)


def test_who_types_is_passed_on_once_a_second_and_room(run: Any) -> None:
    async def scenario(streams: Streams) -> None:
        heard = nothing_heard(streams)
        for _ in range(5):
            await streams.live.typing(Typing(LOBBY, ANN))
            await streams.live.typing(Typing(ATTIC, ANN))
        assert len(await told(streams, heard)) == 2
        await asyncio.sleep(live.TYPING_MS / 1000)
        await streams.live.typing(Typing(LOBBY, ANN))
        assert await told(streams, heard) == [Typing(LOBBY, ANN)]

    run(scenario)


def test_a_live_stream_keeps_about_a_thousand(run: Any) -> None:
    async def scenario(streams: Streams) -> None:
        for n in range(live.KEPT + 300):
            await streams.live.read(Marker(LOBBY, ANN, n, 0, 0))
        found = await told(streams, nothing_heard(streams))
        assert live.KEPT <= len(found) <= live.KEPT + 100
        first, last = await streams.live.ends(streams.partition(LOBBY))
        assert 0 < first < last

    run(scenario)


def test_who_typed_before_this_process_was_cut_off_types_no_more() -> None:
    def entry(ms: int, signal: Signal, kind: bytes) -> tuple[bytes, dict[bytes, bytes]]:
        return b"%d-0" % ms, {b"t": kind, b"d": signals.encode(signal)}

    old, new = Typing(LOBBY, ANN), Typing(LOBBY, BOB)
    change = (Change(ANN, True, (LOBBY,)),)
    place, found = live.read(
        [
            entry(1_000, old, b"typing"),
            entry(1_001, change, b"presence"),
            entry(2_000, new, b"typing"),
            (b"8000-0", {b"t": b"of a later version", b"d": b"{}"}),
        ]
    )
    assert found == [change, new]
    assert events.unpack(place) == "8000-0"
    assert live.read([]) == (0, [])


def test_a_user_is_online_while_any_process_says_so_and_the_change_is_told_once(run: Any) -> None:
    async def scenario(streams: Streams) -> None:
        heard = nothing_heard(streams)
        came, went = [Change(ANN, True, (LOBBY,))], [Change(ANN, False, (LOBBY, ATTIC))]

        async def change(process: str, changes: list[Change]) -> tuple[bool, list[Signal]]:
            await streams.live.change(process, changes)
            online = await streams.live.online([ANN, BOB])
            assert BOB not in online
            return ANN in online, await told(streams, heard)

        assert await change("one", came) == (True, [tuple(came)])
        assert await change("one", came) == (True, [])  # repeated, as after a lost reply
        assert await change("two", came) == (True, [])
        assert await change("one", went) == (True, [])
        assert await change("one", went) == (True, [])
        assert await change("two", went) == (False, [tuple(went)])
        assert await change("two", went) == (False, [])
        assert await streams.live.online([]) == []

    run(scenario)


def test_a_process_that_is_silent_is_dead_to_one_other_at_a_time(run: Any) -> None:
    async def scenario(streams: Streams) -> None:
        async def dead_to(process: str) -> tuple[int, list[str]]:
            found: list[tuple[int, list[str]]] = []
            while not (found and found[-1][1]):
                assert len(found) < 1_000, "nobody is dead"
                await asyncio.sleep(0.02)
                found.append((await streams.live.beat(process, 30, 1))[1:])
            return found[-1]

        await streams.live.beat("dead", 1, 1)
        await streams.live.change("dead", [Change(ANN, True, (LOBBY,))])
        assert (await streams.live.beat("one", 30, 1))[1:] == (0, [])
        assert await dead_to("one") == (0, ["dead"])
        assert (await streams.live.beat("two", 30, 1))[1:] == (0, [])
        assert (await dead_to("two"))[1] == ["dead"]  # the first did not do it
        assert await streams.live.users("dead") == {ANN}
        await streams.live.bury("dead")  # not while it has users
        assert (await dead_to("one"))[1] == ["dead"]
        await streams.live.change("dead", [Change(ANN, False, (LOBBY,))])
        await streams.live.bury("dead")
        await asyncio.sleep(1.1)
        assert (await streams.live.beat("one", 30, 1))[2] == []

    run(scenario)


def test_a_thousand_who_come_and_go_take_a_few_commands(
    run: Any, valkey: harness.Valkey, pytestconfig: pytest.Config
) -> None:
    if pytestconfig.getoption("redis") == "cluster":
        pytest.skip("commands are counted on one Redis; each node of a cluster has its own count")

    def commands() -> Counter[str]:
        with harness.inside(valkey.url()) as redis:
            found = redis.info("commandstats").items()
        return Counter({name: entry["calls"] for name, entry in found if name in PRESENCE})

    async def scenario(streams: Streams) -> None:
        rooms = tuple(map(RoomId, range(1, 21)))
        await streams.live.change("one", [Change(UserId(0), True, ())])  # Redis learns the script
        before = commands()
        come = [Change(UserId(n), True, rooms) for n in range(1, 1001)]
        await streams.live.change("one", come)
        go = [Change(UserId(n), False, rooms) for n in range(1, 501)]
        back = [Change(UserId(n), True, rooms) for n in range(1001, 1501)]
        await streams.live.change("one", [*go, *back])
        assert 10 < (commands() - before).total() <= 16
        found = [signal for signal in await told(streams, nothing_heard(streams)) if signal]
        assert [len(changes) for changes in found if isinstance(changes, tuple)] == [1, 1000, 1000]

    run(scenario)


def test_who_is_online_is_counted_by_processes_in_whatever_batches(run: Any) -> None:
    """Beside a model: for each process a set of users."""

    async def scenario(streams: Streams) -> None:
        chance = random.Random(7)
        users = [UserId(n) for n in range(12)]
        have: dict[str, set[UserId]] = {"one": set(), "two": set(), "three": set()}
        heard = nothing_heard(streams)
        for _ in range(300):
            process = chance.choice(list(have))
            batch = {user: chance.random() < 0.5 for user in chance.sample(users, 5)}
            before = set().union(*have.values())
            for user, is_here in batch.items():
                (have[process].add if is_here else have[process].discard)(user)
            after = set().union(*have.values())
            await streams.live.change(
                process, [Change(user, is_here, (LOBBY,)) for user, is_here in batch.items()]
            )
            expected = dict.fromkeys(after - before, True) | dict.fromkeys(before - after, False)
            if expected:
                [changes] = await told(streams, heard)
                assert isinstance(changes, tuple)
                assert {change.user_id: change.online for change in changes} == expected
            assert set(await streams.live.online(users)) == after
            assert await streams.live.users(process) == have[process]
        assert await told(streams, heard) == []

    run(scenario)
