"""What a request leaves undone, because it dies or Redis is away, a worker does."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import harness
import pytest
from clients import Client
from harness import Server
from playhouse.migrations import Runner

from quartchat import chores as paid
from quartchat import events, history, store
from quartchat.events import NOBODY, Control, MemberEvent, RoomId, UserId
from quartchat.store import accounts, chores, invitations, members, people, rooms, settings
from quartchat.store.models import database as tables
from quartchat.stream import Streams

ROOMS = "/api/chat/rooms"

Sql = Callable[..., Any]
Room = dict[str, Any]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def opened(url: str, runner: asyncio.Runner) -> Iterator[Sql]:
    store.open_database(url)
    yield lambda fn, *args, **kwargs: runner.run(store.run(fn, *args, **kwargs))
    runner.run(store.close_database())


@pytest.fixture
def behind(server: Server, runner: asyncio.Runner) -> Iterator[Sql]:
    """Run a query function as a request would that dies right after its commit."""
    yield from opened(server.database_url, runner)


@pytest.fixture
def sql(database: str, runner: asyncio.Runner) -> Iterator[Sql]:
    runner.run(store.migrate(database))
    yield from opened(database, runner)


def ids(who: Client, room: Room) -> tuple[UserId, RoomId]:
    return UserId(who.me["id"]), RoomId(room["id"])


def test_a_worker_tells_of_a_kick_whose_request_died(server: Server, behind: Sql) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with (
        bob.stream(f"{ROOMS}/{room['id']}/events") as ending,
        ann.stream(f"{ROOMS}/{room['id']}/events") as told,
    ):
        ending.next("ready")
        told.next("ready")
        behind(members.kick, *ids(ann, room), bob.me["id"])
        assert ending.next("room.removed", timeout_s=12) == {"room_id": room["id"]}
        assert ending.ended(1)
        assert told.next("member.leave")["user"] == bob.me
        assert told.silent()
    bob.join(room)
    assert ann.get(f"{ROOMS}/{room['id']}").json()["last_id"] == 3


def test_a_worker_tells_of_a_sessions_end_whose_request_died(server: Server, behind: Sql) -> None:
    ann = server.user("ann")
    with ann.stream("/api/chat/events") as ending:
        ending.next("ready")
        [session] = behind(accounts.cookies, ann.me["id"])
        behind(accounts.end_session, session.user.id, session.secret_hash)
        assert ending.next("session.revoked", timeout_s=12) == {}
    assert ann.get("/api/me").status_code == 401


def test_a_worker_tells_of_settings_roles_and_direct_rooms_whose_requests_died(
    server: Server, behind: Sql
) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    with bob.stream("/api/chat/events") as events:
        events.next("ready")
        behind(settings.change, *ids(ann, room), {"topic": "new"})
        behind(members.set_role, *ids(ann, room), bob.me["id"], "moderator")
        direct, _ = behind(settings.direct, ann.me["id"], bob.me["id"])
        heard = [events.next_event(timeout_s=12) for _ in range(3)]
        assert {event.event for event in heard} == {"room.update", "member.update", "room.added"}
        assert ann.say({"id": direct}, "hi") == events.next("message")


def test_a_worker_tells_of_an_invitation_whose_end_was_not_told_by_its_request(
    server: Server, behind: Sql
) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    made = ann.post(f"{ROOMS}/{room['id']}/invitations", {"user_id": bob.me["id"]}).json()
    with bob.stream("/api/chat/events") as events:
        events.next("ready")
        behind(invitations.withdraw, ann.me["id"], made["id"])
        told = events.next("invitation.remove", timeout_s=12)
        assert told == {"id": made["id"], "room_id": room["id"]}


def test_all_who_were_invited_into_a_removed_room_are_told_by_the_hundred(sql: Sql) -> None:
    ann = sql(accounts.add_account, "ann", "Ann", "hash").id
    den = sql(rooms.add_room, ann, "den", "", "private").id
    invited = [sql(accounts.add_account, f"n{n}", f"N {n}", "hash").id for n in range(250)]
    for user_id in invited:
        sql(invitations.invite, ann, den, user_id)
    assert sql(chores.take, 20) == []  # each request has some seconds to tell of its own
    sql(settings.remove, ann, den)
    due = [chore.what for chore in sql(chores.take, 20)]
    told = [each.controls for each in due if isinstance(each, chores.Announce)]
    assert [len(controls) for controls in told] == [100, 100, 50]
    assert [control.user_id for controls in told for control in controls] == invited


def test_a_chore_is_one_workers_for_a_minute(sql: Sql, runner: asyncio.Runner) -> None:
    def owe() -> chores.Chore:
        with store.transaction():
            return chores.owe(chores.Announce((Control("user", UserId(1)),)), after_ms=-1)

    owed = [sql(owe) for _ in range(20)]

    async def both() -> list[list[chores.Chore]]:
        return await asyncio.gather(*(store.run(chores.take, 20) for _ in range(4)))

    taken = [chore for found in runner.run(both()) for chore in found]
    assert sorted(chore.id for chore in taken) == [chore.id for chore in owed]
    assert taken[0].what == owed[0].what
    assert sql(chores.take, 20) == []
    sql(chores.keep, taken[0], after_ms=-1)
    sql(chores.done, taken[1])
    assert sql(chores.take, 20) == [taken[0]]


def test_people_of_an_older_database_are_found(database: str, runner: asyncio.Runner) -> None:
    """Migration 0003 folds the display names of accounts that are there."""
    runner.run(store.migrate(database))
    for sql in opened(database, runner):

        def age() -> None:
            tables.obj.execute_sql('UPDATE "account" SET "display_key" = NULL')
            steps = Runner(tables.obj, str(harness.ROOT / "quartchat" / "store" / "migrations"))
            step = next(each for each in steps.status() if each.name == "0003_people").load()
            step._fold_names(step.account(tables.obj))

        for number in range(1200):
            sql(accounts.add_account, f"n{number}", f"Ärzte {number}", "hash")
        assert len(sql(people.search, "ÄRZTE", 5000)) == 1200
        sql(age)
        assert len(sql(people.search, "ÄRZTE", 5000)) == 1200


def test_what_was_changed_first_is_told_first_whoever_is_faster(
    server: Server, behind: Sql, runner: asyncio.Runner
) -> None:
    """Between its commit and its event, another process changes the same, and tells of it."""
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    bob.join(room)
    path = f"{ROOMS}/{room['id']}"
    [topic] = behind(settings.change, *ids(ann, room), {"topic": "first"})
    _, role = behind(members.set_role, *ids(ann, room), bob.me["id"], "moderator")
    assert ann.patch(path, {"topic": "second"}).status_code == 200
    assert bob.post(f"{path}/leave").status_code == 204
    for late in (topic, *role):
        runner.run(pay(server, late))
    with ann.stream(f"{path}/events", last_event_id="0") as log:
        log.next("ready")
        assert log.next_event().event == "member.join"
        assert log.next("room.update")["room"]["topic"] == "first"
        assert log.next("member.update")["role"] == "moderator"
        assert log.next("room.update")["room"]["topic"] == "second"
        assert log.next_event().event == "member.leave"
        assert log.silent(0.3)


def test_so_many_earlier_chores_are_done_first_and_no_more(sql: Sql) -> None:
    def owe_many() -> list[chores.Chore]:
        tell = [
            chores.Tell(RoomId(n % 2 + 7), NOBODY, "room.update", "", f"{n}") for n in range(300)
        ]
        return [chores.owe(what) for what in tell]

    owed = sql(owe_many)
    assert sql(chores.before, owed[6].id, RoomId(7)) == [owed[0], owed[2], owed[4]]
    assert sql(chores.before, owed[-1].id, RoomId(8)) == owed[1:200:2]
    assert sql(chores.before, owed[-1].id, RoomId(70)) == []


def test_a_joining_that_was_cut_short_is_told_before_its_end(
    server: Server, behind: Sql, runner: asyncio.Runner
) -> None:
    """Between its commit and its event, another process bans; and then the event comes."""
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room(visibility="private")
    owed = behind(rooms.start_join, *ids(bob, room))
    with bob.stream("/api/chat/events") as everything:
        everything.next("ready")
        assert ann.put(f"{ROOMS}/{room['id']}/bans/{bob.me['id']}").status_code == 204
        user = behind(accounts.known, bob.me["id"])
        rest = events.unnumbered(MemberEvent(0, room["id"], user, "member")).decode()
        late = chores.Tell(room["id"], user.id, "member.join", rest, owed.ticket)
        runner.run(pay(server, chores.Chore(0, late)))
        ann.say(room, "not for bob")
        everything.silent(0.5)
        assert "message" not in [event.event for event in everything.seen]
    with ann.stream(f"{ROOMS}/{room['id']}/events", last_event_id="0") as log:
        log.next("ready")
        told = [log.next_event().event for _ in range(3)]
    assert told == ["member.join", "member.leave", "message"]


async def pay(server: Server, chore: chores.Chore) -> None:
    streams = Streams(server.redis_url, int(server.env.get("QUARTCHAT_PARTITIONS", 1)))
    await paid.pay(streams, chore)
    await streams.close()


def test_a_removed_room_is_not_seeded_anew(
    server: Server, behind: Sql, runner: asyncio.Runner
) -> None:
    """A request that read it from SQL a moment before asks Redis a moment after."""
    ann = server.user("ann")
    room, other = ann.room(), ann.room()
    assert ann.delete(f"{ROOMS}/{room['id']}").status_code == 204

    async def heads() -> set[RoomId]:
        streams = Streams(server.redis_url, int(server.env.get("QUARTCHAT_PARTITIONS", 1)))
        _, found = await history.heads(streams, [room["id"], other["id"]], NOBODY)
        await streams.close()
        return set(found)

    del behind  # it has opened the database
    assert runner.run(heads()) == {other["id"]}
