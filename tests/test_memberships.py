"""Users' rooms: asked of SQL for each stream, and where it is away as it last said."""

from typing import Any

import pytest
from rolling import until

from quartchat import events, store
from quartchat.events import Control, MemberEvent, RoomId, UserId
from quartchat.feed import Feed
from quartchat.memberships import Memberships
from quartchat.store import accounts, rooms
from quartchat.stream import Draft, Streams

NOWHERE = "sqlite:////nowhere/chat.db"


class World:
    """Memberships that hear of a feed, and ann with her attic and her cellar."""

    def __init__(self, streams: Streams, feed: Feed) -> None:
        self.streams = streams
        self.known = Memberships(feed)

    async def begin(self) -> None:
        self.user = await store.run(accounts.add_account, "ann", "Ann", "")
        self.ann = self.user.id
        self.attic, self.cellar = [await self.room(name) for name in ("attic", "cellar")]

    async def room(self, name: str) -> RoomId:
        room_id = (await store.run(rooms.add_room, self.ann, name, "", "public")).id
        await self.streams.seed(room_id, 0, 0)
        return room_id

    async def tell(self, type_: str, room_id: RoomId) -> None:
        rest = events.unnumbered(MemberEvent(0, room_id, self.user, "member"))
        await self.streams.append(Draft(room_id, self.ann, type_, rest, key=type_, digest=""))

    def held(self) -> bool:
        return self.ann in self.known._cache._entries


@pytest.fixture
def run(with_feed: Any) -> Any:
    """Call a scenario with a world."""

    def run(scenario: Any) -> None:
        async def inside(world: World, _: Streams) -> None:
            await world.begin()
            await scenario(world)

        with_feed(World, inside)

    return run


async def lose_sql() -> None:
    await store.close_database()
    store.open_database(NOWHERE)


def test_sql_is_asked_each_time_while_it_is_there(run: Any) -> None:
    async def scenario(world: World) -> None:
        assert set(await world.known.of(world.ann)) == {world.attic, world.cellar}
        shed = await world.room("shed")  # no entry of the feed tells of it
        assert shed in await world.known.of(world.ann)

    run(scenario)


def test_without_sql_it_is_what_sql_said_last_and_whoever_is_new_is_told_to_wait(run: Any) -> None:
    async def scenario(world: World) -> None:
        before = await world.known.of(world.ann)
        before[RoomId(99)] = 1  # whose copy it is
        await lose_sql()
        for _ in range(2):
            assert set(await world.known.of(world.ann)) == {world.attic, world.cellar}
        with pytest.raises(store.AWAY):
            await world.known.of(UserId(world.ann + 1))

    run(scenario)


@pytest.mark.parametrize("what", ["member.join", "member.leave", "room", "gone"])
def test_what_has_changed_since_is_not_used(run: Any, what: Any) -> None:
    async def scenario(world: World) -> None:
        await world.known.of(world.ann)
        if what in {"room", "gone"}:
            await world.streams.control(Control(what, world.ann, room_id=world.attic))
        else:
            await world.tell(what, world.attic)
        await until(lambda: not world.held())
        await lose_sql()
        with pytest.raises(store.AWAY):
            await world.known.of(world.ann)

    run(scenario)


def test_after_a_gap_nothing_of_before_is_used(run: Any) -> None:
    async def scenario(world: World) -> None:
        await world.known.of(world.ann)
        world.known._forget(())
        await lose_sql()
        with pytest.raises(store.AWAY):
            await world.known.of(world.ann)

    run(scenario)
