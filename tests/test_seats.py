"""Seats: who may come into a room is asked of SQL once, by few queries, and anew after a change."""

import asyncio
from collections.abc import Collection
from functools import partial
from typing import Any

import pytest
from rolling import until

from quartchat import errors, seats, store
from quartchat.events import Control, RoomId, User, UserId
from quartchat.seats import Seats
from quartchat.store import accounts, rooms
from quartchat.store import seats as memberships
from quartchat.stream import Streams

MOST = 5


class Asked:
    """SQL's answers, each noted before it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.together: list[list[UserId]] = []
        self.alone: list[tuple[UserId, RoomId]] = []
        many, one = memberships.seats, rooms.room

        def seats_of(user_ids: Collection[UserId], limit: int) -> Any:
            self.together.append(list(user_ids))
            return many(user_ids, limit)

        def room(user_id: UserId, room_id: RoomId) -> Any:
            self.alone.append((user_id, room_id))
            return one(user_id, room_id)

        monkeypatch.setattr(memberships, "seats", seats_of)
        monkeypatch.setattr(rooms, "room", room)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


@pytest.fixture
def run(with_feed: Any) -> Any:
    """Call a scenario with seats that hear of a feed."""
    return partial(with_feed, lambda _, feed: Seats(feed))


async def people(*names: str) -> list[User]:
    return [await store.run(accounts.add_account, name, name, "") for name in names]


async def room_of(user: User, name: str) -> RoomId:
    return (await store.run(rooms.add_room, user.id, name, "", "public")).id


def test_a_thousand_who_come_at_once_are_asked_for_by_few_queries(run: Any, asked: Asked) -> None:
    async def scenario(sits: Seats, _: Streams) -> None:
        users = await people(*(f"u{number}" for number in range(250)))
        attics = [await room_of(user, f"attic {user.id}") for user in users]
        found = await asyncio.gather(*map(sits.seat, users, attics))
        assert {seat.role for seat in found} == {"owner"}
        assert [len(together) for together in asked.together] == [100, 100, 50]
        await asyncio.gather(*map(sits.seat, users, attics))
        assert len(asked.together) == 3
        assert asked.alone == []

    run(scenario)


def test_whoever_is_asked_for_is_known_in_all_of_their_rooms(run: Any, asked: Asked) -> None:
    async def scenario(sits: Seats, _streams: Streams) -> None:
        ann, bob = await people("ann", "bob")
        attic, cellar = await room_of(ann, "attic"), await room_of(ann, "cellar")
        assert (await sits.seat(ann, attic)).role == "owner"
        await sits.writer(ann, cellar)
        assert (asked.together, asked.alone) == ([[ann.id]], [])
        for _ in range(2):  # who is no member is asked for by room, as what is public may change
            with pytest.raises(errors.NotAMember):
                await sits.seat(bob, attic)
        assert asked.together == [[ann.id], [bob.id]]
        assert asked.alone == [(bob.id, attic)] * 2

    run(scenario)


def test_who_was_known_goes_on_while_sql_is_away_and_who_was_not_does_not(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "SEAT_TTL_S", 0)

    async def scenario(sits: Seats, _: Streams) -> None:
        ann, bob = await people("ann", "bob")
        attic = await room_of(ann, "attic")
        await sits.seat(ann, attic)
        await store.close_database()
        store.open_database("sqlite:////nowhere/chat.db")
        assert (await sits.seat(ann, attic)).role == "owner"
        with pytest.raises(store.AWAY):
            await sits.seat(bob, attic)
        sits.vacate(ann.id, attic)
        with pytest.raises(store.AWAY):
            await sits.seat(ann, attic)

    run(scenario)


def test_who_is_in_more_rooms_than_one_query_finds_is_let_into_all(
    run: Any, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "SEATS_AT_ONCE", MOST)

    async def scenario(sits: Seats, _: Streams) -> None:
        [ann] = await people("ann")
        all_of_them = [await room_of(ann, f"room {number}") for number in range(2 * MOST)]
        for room_id in all_of_them:
            assert (await sits.seat(ann, room_id)).role == "owner"
        assert (len(asked.together), len(asked.alone)) == (1, MOST)

    run(scenario)


def test_what_changes_is_asked_for_anew_and_nothing_else_is(run: Any, asked: Asked) -> None:
    async def scenario(sits: Seats, streams: Streams) -> None:
        [ann] = await people("ann")
        attic, cellar = await room_of(ann, "attic"), await room_of(ann, "cellar")
        await sits.seat(ann, attic)
        await streams.control(Control("gone", ann.id, room_id=attic))
        await until(lambda: (ann.id, attic) not in sits._cache._entries)
        await sits.seat(ann, attic)
        await sits.seat(ann, cellar)
        assert (asked.together, asked.alone) == ([[ann.id]], [(ann.id, attic)])

    run(scenario)


def test_of_many_who_come_at_once_each_is_looked_up_with_all_of_their_rooms_in_the_end(
    run: Any, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "SEATS_AT_ONCE", 2 * MOST)

    async def scenario(sits: Seats, _: Streams) -> None:
        users = await people("ann", "bob", "cyd", "dan")
        theirs = [[await room_of(u, f"{u.username} {n}") for n in range(MOST)] for u in users]
        for number in range(MOST):
            await asyncio.gather(
                *(sits.seat(u, r[number]) for u, r in zip(users, theirs, strict=True))
            )
        ann, bob, cyd, dan = (user.id for user in users)
        assert asked.together == [[ann, bob, cyd, dan], [cyd, dan]]
        assert asked.alone == [(cyd, theirs[2][0]), (dan, theirs[3][0])]

    run(scenario)
