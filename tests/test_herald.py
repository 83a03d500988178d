"""What streams hear of signals, round by round: bounded, whatever happens at once."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rolling import until

from quartchat import herald as heralds
from quartchat import signals
from quartchat.events import RoomId, UserId
from quartchat.feed_reader import FeedReader
from quartchat.herald import Herald
from quartchat.outlet import Outlet
from quartchat.readers import Reader
from quartchat.room_reader import RoomReader
from quartchat.signals import Change, Marker, Signal, Typing

LOBBY, ATTIC = RoomId(1), RoomId(2)
ANN, BOB = UserId(1), UserId(2)


class Ear:
    """An ASGI `send` that keeps what it is sent, write by write."""

    def __init__(self) -> None:
        self.writes: list[str] = []

    async def send(self, message: dict[str, Any]) -> None:
        self.writes.append(message["body"].decode())

    @property
    def events(self) -> list[str]:
        return re.findall(r"event: (\S+)", "".join(self.writes))


class House:
    """Some readers, and the herald who tells them."""

    def __init__(self) -> None:
        self.rooms: dict[RoomId, set[RoomReader]] = {}
        self.users: dict[UserId, set[Reader]] = {}
        self.herald = Herald(self.rooms, self.users, self._feeds)

    def _feeds(self, room_id: RoomId) -> set[FeedReader]:
        found = {reader for mine in self.users.values() for reader in mine}
        return {
            reader
            for reader in found
            if isinstance(reader, FeedReader) and reader.is_live and room_id in reader.joined
        }

    def reader(self, user: UserId, *joined: RoomId) -> tuple[Reader, Ear]:
        """A live reader: of one room, or of all these."""
        home: Any = None
        reader: RoomReader | FeedReader
        if len(joined) == 1:
            reader = RoomReader(home, "session", user, joined[0])
            self.rooms.setdefault(joined[0], set()).add(reader)
        else:
            reader = FeedReader(home, "session", user)
            reader.joined = dict.fromkeys(joined, 0)
        self.users.setdefault(user, set()).add(reader)
        ear = Ear()
        reader._out = Outlet(ear.send)
        reader.is_live = True
        self.herald.begin(reader)
        return reader, ear

    def wake(self, reader: Reader) -> None:
        reader.is_live = True
        self.herald.live(reader)


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    here = House()
    task = asyncio.create_task(here.herald.run())
    try:
        yield here
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heralds, "PACE_S", 0.02)
    monkeypatch.setattr(heralds, "PRESENCE_S", 0.1)


def run(scenario: Callable[[House], Any]) -> None:
    async def inside() -> None:
        async with house() as here:
            await scenario(here)

    asyncio.run(inside())


def came(*users: int, rooms: tuple[RoomId, ...] = (LOBBY,)) -> Signal:
    return tuple(Change(UserId(user), True, rooms) for user in users)


def test_many_who_come_at_once_are_one_write_and_very_many_are_one_word() -> None:
    async def scenario(here: House) -> None:
        _, ann = here.reader(ANN, LOBBY)
        here.herald.take([came(*range(10, 10 + heralds.PRESENCE))])
        await until(lambda: bool(ann.writes))
        assert len(ann.writes) == 1
        assert ann.events == ["presence"] * heralds.PRESENCE
        for start in range(100, 1100, 100):  # a thousand, as ten processes tell of them
            here.herald.take([came(*range(start, start + 100))])
        await until(lambda: len(ann.writes) > 1)
        assert ann.writes[1:] == ['event: missed\ndata: {"room_id":1}\n\n']

    run(scenario)


def test_changes_wait_for_their_second_and_only_the_last_word_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heralds, "PRESENCE_S", 1.0)

    async def scenario(here: House) -> None:
        _, ann = here.reader(ANN, LOBBY)
        here.herald.take([came(7)])
        await until(lambda: bool(ann.events))
        assert ann.events == ["presence"]
        here.herald.take([came(8)])
        here.herald.take([(Change(UserId(8), False, (LOBBY,)),)])
        here.herald.take([Typing(LOBBY, UserId(9))])
        await until(lambda: len(ann.events) > 1)
        assert ann.events == ["presence", "typing"]  # which does not wait
        await until(lambda: len(ann.events) > 2)
        assert ann.writes[-1].count('"user_id":8,"online":false') == 1
        assert len(ann.events) == 3

    run(scenario)


def test_of_many_who_type_some_are_named() -> None:
    async def scenario(here: House) -> None:
        _, ann = here.reader(ANN, LOBBY)
        here.herald.take([Typing(LOBBY, UserId(user)) for user in range(10, 100)])
        await until(lambda: bool(ann.writes))
        assert len(ann.writes) == 1
        assert ann.events == ["typing"] * heralds.TYPING

    run(scenario)


@pytest.mark.parametrize("joined", [(LOBBY,), (LOBBY, ATTIC)], ids=["room", "all rooms"])
def test_whoever_is_not_live_gets_one_word_later_whatever_was_missed(
    joined: tuple[RoomId, ...],
) -> None:
    async def scenario(here: House) -> None:
        reader, ann = here.reader(ANN, *joined)
        reader.is_live = False
        for user in range(10, 20):
            here.herald.take([came(user), Typing(LOBBY, UserId(user))])
            await asyncio.sleep(0.03)
        await asyncio.sleep(0.15)
        assert not ann.writes
        here.wake(reader)
        assert ann.events == ["missed"]
        reader.is_live = False
        here.wake(reader)  # nothing has happened since
        assert ann.events == ["missed"]
        here.herald.take([came(30)])
        await until(lambda: len(ann.events) > 1)
        assert ann.events == ["missed", "presence"]

    run(scenario)


@pytest.mark.parametrize(
    ("changes", "missed"),
    [([ANN], 0), ([ANN, ANN], 0), ([BOB, ANN], 1), ([ANN, BOB], 1), ([BOB, ANN, ANN], 1)],
)
def test_nobody_missed_their_own_coming(changes: list[UserId], missed: int) -> None:
    async def scenario(here: House) -> None:
        reader, ann = here.reader(ANN, LOBBY)
        reader.is_live = False
        for user in changes:
            here.herald.take([came(user)])
            await asyncio.sleep(0.15)
        here.wake(reader)
        assert ann.events == ["missed"] * missed

    run(scenario)


def test_what_happens_in_other_rooms_nobody_missed() -> None:
    async def scenario(here: House) -> None:
        reader, ann = here.reader(ANN, ATTIC)
        reader.is_live = False
        here.herald.take([came(10)])
        await asyncio.sleep(0.05)
        here.wake(reader)
        assert not ann.writes

    run(scenario)


def test_a_read_marker_that_a_busy_tab_could_not_take_is_missed_there_alone() -> None:
    async def scenario(here: House) -> None:
        busy, tab = here.reader(ANN, LOBBY)
        _, other_tab = here.reader(ANN, LOBBY, ATTIC)
        _, attic = here.reader(ANN, ATTIC)
        _, bob = here.reader(BOB, LOBBY)
        busy.is_live = False
        here.herald.take([Marker(LOBBY, ANN, 3, 0, 0)])
        here.wake(busy)
        assert tab.events == ["missed"]
        assert other_tab.events == ["read"]
        assert not attic.writes
        assert not bob.writes

    run(scenario)


def test_a_new_name_goes_once_to_whoever_shares_a_room_and_the_last_one_counts() -> None:
    async def scenario(here: House) -> None:
        _, ann = here.reader(ANN, ATTIC)
        _, bob = here.reader(BOB, LOBBY, ATTIC)
        _, one = here.reader(UserId(3), LOBBY)
        stranger, other = here.reader(UserId(4), RoomId(9))
        here.herald.renamed(ANN, b'"Ann B."', (LOBBY,))
        here.herald.renamed(ANN, b'"Ann C."', (LOBBY, ATTIC))
        await until(lambda: all(ear.writes for ear in (ann, bob, one)))
        for ear in (ann, bob, one):
            assert ear.writes == ['event: user.update\ndata: "Ann C."\n\n']
        stranger.is_live = False
        here.wake(stranger)
        assert not other.writes

    run(scenario)


@pytest.mark.parametrize("user", [ANN, BOB])
def test_a_new_name_that_a_busy_stream_could_not_take_is_missed(user: UserId) -> None:
    async def scenario(here: House) -> None:
        reader, ear = here.reader(user, LOBBY)
        reader.is_live = False
        here.herald.renamed(ANN, b"{}", (LOBBY,))
        await asyncio.sleep(0.05)
        here.wake(reader)
        assert ear.events == ["missed"]

    run(scenario)


def test_a_stream_of_two_rooms_gets_both_in_one_write_and_nothing_of_its_own_user() -> None:
    async def scenario(here: House) -> None:
        _, ann = here.reader(ANN, LOBBY, ATTIC)
        _, bob = here.reader(BOB, LOBBY, ATTIC)
        here.herald.take([came(ANN, 5, rooms=(LOBBY, ATTIC))])
        await until(lambda: bool(ann.writes and bob.writes))
        assert [len(ear.writes) for ear in (ann, bob)] == [1, 1]
        assert ann.events == ["presence"] * 2
        assert '"user_id":1,' not in ann.writes[0]
        assert bob.events == ["presence"] * 4

    run(scenario)


def test_signals_survive_their_way_and_those_of_later_versions_are_passed_over() -> None:
    for signal in (Typing(LOBBY, ANN), Marker(LOBBY, ANN, 1, 2, 3), came(1, 2)):
        assert signals.decode(signals.kind(signal).encode(), signals.encode(signal)) == signal
    assert signals.decode(b"shrug", b"?") is None
