"""The query functions on a real SQLite file: names, rooms, memberships and the archive."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness
import peewee as pw
import pytest

from quartchat import errors, store
from quartchat.events import NEVER, Event, FeedId, RoomId, User, UserId
from quartchat.store import accounts, events, rooms, seats
from quartchat.store.events import Archived, Clash
from quartchat.store.models import database

Sql = Callable[..., Any]

LOBBY = RoomId(7)
HERE = {"joined": False, "search": "", "after": None, "limit": 100}


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def url(database: str, runner: asyncio.Runner) -> str:
    runner.run(store.migrate(database))
    return database


@pytest.fixture
def sql(url: str, runner: asyncio.Runner) -> Iterator[Sql]:
    """Run one query function and wait for its result."""
    store.open_database(url)
    yield lambda fn, *args, **kwargs: runner.run(store.run(fn, *args, **kwargs))
    runner.run(store.close_database())


@pytest.fixture
def at_once(sql: Sql, runner: asyncio.Runner) -> Callable[..., list[Any]]:
    """Run query functions, each with its arguments, at the same time."""
    del sql  # the database is open

    async def gather(*calls: tuple[Any, ...]) -> list[Any]:
        return await asyncio.gather(*(store.run(*call) for call in calls))

    return lambda *calls: runner.run(gather(*calls))


@pytest.fixture
def ann(sql: Sql) -> UserId:
    return account(sql, "ann").id


@pytest.fixture
def bob(sql: Sql) -> UserId:
    return account(sql, "bob").id


def account(sql: Sql, name: str) -> User:
    found: User = sql(accounts.add_account, name, name.title(), "hash")
    return found


def room(sql: Sql, owner: UserId, name: str = "lobby", visibility: str = "public") -> RoomId:
    return RoomId(sql(rooms.add_room, owner, name, "", visibility).id)


def message(n: int, room_id: RoomId = LOBBY, body: str = "hi", **fields: Any) -> Archived:
    """Event `n` of a room, which stands at that place in the feed unless told otherwise."""
    type_ = fields.pop("type", "message")
    event = Event(
        room_id, n, type_, b'{"id":%d,"body":"%s"}' % (n, body.encode()),
        FeedId(fields.pop("feed", n)), fields.pop("messages", n),
    )  # fmt: skip
    return Archived(event, UserId(fields.pop("author", 1)), fields.pop("client_id", None))


# -- the database itself


def test_a_database_is_migrated_once(runner: asyncio.Runner, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a b' / 'chat.db'}".replace(" ", "%20")

    async def pending() -> list[str]:
        store.open_database(url)
        found = await store.run(store.pending)
        await store.close_database()
        return found

    before = runner.run(pending())
    assert before
    assert runner.run(store.migrate(url)) == before
    assert runner.run(store.migrate(url)) == []
    assert runner.run(pending()) == []
    assert (tmp_path / "a b" / "chat.db").exists()


def test_two_that_migrate_at_once_are_safe(database: str, tmp_path: Path) -> None:
    env = {"DATABASE_URL": database}
    both = [harness.Process("migrate", env=env, log=tmp_path / f"{n}.log") for n in range(2)]
    for process in both:
        process.start()
    for process in both:
        assert process.wait() == 0, process.output()


def test_a_locked_database_is_away_and_comes_back(url: str, runner: asyncio.Runner) -> None:
    store.open_database(url, busy_s=0.05)
    with harness.sql(url) as other:
        other.lock()
        with pytest.raises(store.AWAY):
            runner.run(store.run(events.add_events, [message(1)]))
        other.unlock()
    assert runner.run(store.run(events.add_events, [message(1)])) == []
    runner.run(store.close_database())


def test_a_call_that_is_cancelled_leaves_nothing_behind(
    sql: Sql, runner: asyncio.Runner, ann: UserId
) -> None:
    async def scenario() -> None:
        for steps in range(40):
            name = f"room {steps}"
            task = asyncio.create_task(store.run(rooms.add_room, ann, name, "", "public"))
            for _ in range(steps // 2):
                await asyncio.sleep(0.0002)
            task.cancel()
            await asyncio.wait([task])
        await asyncio.gather(*(store.run(store.ping) for _ in range(2 * store.POOL)))

    runner.run(scenario())
    room(sql, ann)
    for row in sql(rooms.rooms, ann, **HERE):
        assert (row.role, row.member_count) == ("owner", 1)


# -- accounts and sessions


def test_a_name_is_given_to_one_account(sql: Sql) -> None:
    ann = account(sql, "ann")
    with pytest.raises(errors.UsernameTaken):
        account(sql, "ann")
    assert sql(accounts.credentials, "ann") == (ann, "hash")
    assert sql(accounts.credentials, "bob") is None


def test_a_session_lives_until_it_is_removed(sql: Sql, ann: UserId, bob: UserId) -> None:
    made = [
        sql(accounts.add_session, ann, "s1", "cookie", ""),
        sql(accounts.add_session, ann, "s2", "token", "laptop"),
        sql(accounts.add_session, ann, "s3", "token", "phone"),
    ]
    sql(accounts.add_session, bob, "s4", "token", "bot")
    assert sql(accounts.sessions, ["s1", "s3", "s5"]) == {"s1": made[0], "s3": made[2]}
    assert sql(accounts.tokens, ann) == made[1:]
    sql(accounts.end_session, ann, "s2")
    sql(accounts.end_session, ann, "s2")
    assert sql(accounts.sessions, ["s2"]) == {}
    assert sql(accounts.live_sessions, ["s1", "s2", "s3", "s5"]) == {"s1", "s3"}
    assert sql(accounts.live_sessions, []) == set()


# -- rooms


@pytest.mark.parametrize(("one", "other"), [("Lobby", "LOBBY"), ("Straße", "STRASSE"), ("é", "É")])
def test_a_public_rooms_name_is_taken_whatever_the_case(
    sql: Sql, ann: UserId, one: str, other: str
) -> None:
    room(sql, ann, one)
    with pytest.raises(errors.RoomNameTaken):
        room(sql, ann, other)
    for _ in range(2):
        room(sql, ann, other, "private")
    assert len(sql(rooms.rooms, ann, **HERE)) == 3


def test_a_private_room_is_there_for_its_members_alone(sql: Sql, ann: UserId, bob: UserId) -> None:
    lobby, den = room(sql, ann), room(sql, ann, "den", "private")
    assert sql(rooms.room, ann, den).role == "owner"
    assert sql(rooms.room, bob, den) is None
    assert sql(rooms.room, bob, RoomId(99)) is None
    assert sql(rooms.room, bob, lobby).role is None
    assert [row.id for row in sql(rooms.rooms, bob, **HERE)] == [lobby]
    assert [row.id for row in sql(rooms.rooms, ann, **HERE)] == [den, lobby]
    sql(rooms.start_join, bob, den)
    assert sql(rooms.room, bob, den).role == "member"
    sql(rooms.start_leave, bob, den)
    assert sql(rooms.room, bob, den) is None


def test_rooms_are_listed_page_by_page_in_order_without_a_gap(
    sql: Sql, ann: UserId, bob: UserId
) -> None:
    order = random.Random(1)
    names = [f"{order.choice('aAbBäÄzZ')}{number:03}" for number in range(60)] + ["twin"] * 9
    order.shuffle(names)
    made = [
        (name, room(sql, ann, name, "private" if name == "twin" else "public")) for name in names
    ]
    wanted = [id_ for _, id_ in sorted(made, key=lambda each: (rooms.fold(each[0]), each[1]))]
    for id_ in wanted[::3]:
        sql(rooms.start_join, bob, id_)

    def listed(user_id: UserId, limit: int, **query: Any) -> list[RoomId]:
        found: list[RoomId] = []
        after = None
        while page := sql(rooms.rooms, user_id, **HERE | query | {"after": after, "limit": limit}):
            found += [row.id for row in page]
            after = (rooms.fold(page[-1].name), page[-1].id)
        return found

    for limit in (1, 7, 69, 100):
        assert listed(ann, limit) == wanted
    assert listed(bob, 5, joined=True) == wanted[::3]
    a_rooms = [id_ for id_ in wanted if names[id_ - 1][0] in "aA"]
    assert listed(ann, 5, search="A") == a_rooms


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("%", ["100% sure"]),
        ("_", ["snake_case"]),
        ("\\", ["back\\slash"]),
        ("SNAKE", ["snake_case", "snakeXcase"]),
        ("äpfel", ["ÄPFEL"]),
        ("STRASSE", ["straße"]),
        ("'", ["ann's"]),
        ("0% S", ["100% sure"]),
        ("nothing", []),
    ],
)
def test_a_search_takes_each_character_as_it_is(
    sql: Sql, ann: UserId, search: str, found: list[str]
) -> None:
    for name in [
        "100% sure", "100 per cent", "snake_case", "snakeXcase", "back\\slash",
        "ÄPFEL", "straße", "ann's",
    ]:  # fmt: skip
        room(sql, ann, name)
    rows = sql(rooms.rooms, ann, **HERE | {"search": search})
    assert sorted(row.name for row in rows) == sorted(found)


# -- memberships


def test_each_step_of_a_membership_may_be_repeated(sql: Sql, ann: UserId, bob: UserId) -> None:
    lobby = room(sql, ann)

    def count() -> int:
        return int(sql(rooms.room, ann, lobby).member_count)

    joining = [sql(rooms.start_join, bob, lobby) for _ in range(2)]
    assert joining[0] == joining[1]
    assert (joining[0].state, joining[0].role, count()) == ("joining", "member", 2)
    ticket = joining[0].ticket

    sql(rooms.finish_join, bob, lobby, "another ticket", 9, 9)
    assert sql(rooms.start_join, bob, lobby).state == "joining"
    for n in (5, 6):
        sql(rooms.finish_join, bob, lobby, ticket, n, 3)
    row = sql(rooms.room, bob, lobby)
    assert (row.role, row.joined_n, row.read_id, row.read_messages) == ("member", 5, 5, 3)
    assert sql(rooms.start_join, bob, lobby).state == "joined"
    assert sql(rooms.memberships, [bob, ann]) == {bob: {lobby: 5}, ann: {lobby: 0}}

    leaving = [sql(rooms.start_leave, bob, lobby) for _ in range(2)]
    assert leaving[0] == leaving[1]
    assert (leaving[0].state, count()) == ("leaving", 1)
    assert leaving[0].ticket != ticket
    assert sql(rooms.start_join, bob, lobby) == leaving[0]  # the log hears of the leave first
    assert sql(rooms.memberships, [bob]) == {bob: {}}

    for _ in range(2):
        sql(rooms.finish_leave, bob, lobby, leaving[0].ticket)
    assert sql(rooms.start_leave, bob, lobby) is None

    again = sql(rooms.start_join, bob, lobby)
    assert again.ticket != ticket
    sql(rooms.finish_leave, bob, lobby, leaving[0].ticket)  # late, and of another membership
    sql(rooms.finish_join, bob, lobby, ticket, 5, 3)  # likewise
    assert sql(rooms.start_join, bob, lobby) == again
    assert count() == 2


def test_who_leaves_before_the_join_is_told_leaves(sql: Sql, ann: UserId, bob: UserId) -> None:
    lobby = room(sql, ann)
    ticket = sql(rooms.start_join, bob, lobby).ticket
    assert sql(rooms.start_leave, bob, lobby).state == "leaving"
    sql(rooms.finish_join, bob, lobby, ticket, 1, 0)
    assert sql(rooms.start_leave, bob, lobby).state == "leaving"
    assert sql(rooms.room, ann, lobby).member_count == 1


def test_steps_at_the_same_time_count_once(
    sql: Sql, at_once: Callable[..., list[Any]], ann: UserId, bob: UserId
) -> None:
    lobby = room(sql, ann)
    joining = at_once(*[(rooms.start_join, bob, lobby)] * 12)
    assert len({owed.ticket for owed in joining}) == 1
    assert sql(rooms.room, ann, lobby).member_count == 2
    leaving = at_once(*[(rooms.start_leave, bob, lobby)] * 12)
    assert len({owed.ticket for owed in leaving}) == 1
    assert sql(rooms.room, ann, lobby).member_count == 1


def test_the_count_is_that_of_the_members_whatever_happens_at_once(
    sql: Sql, at_once: Callable[..., list[Any]], ann: UserId
) -> None:
    lobby, order = room(sql, ann), random.Random(2)
    people = [account(sql, f"bob{number}").id for number in range(4)]
    for _ in range(8):
        steps: list[tuple[Any, ...]] = []
        for user_id in people:
            owed = sql(rooms.start_join, user_id, lobby)
            steps += [
                (rooms.start_join, user_id, lobby),
                (rooms.start_leave, user_id, lobby),
                (
                    (rooms.finish_leave, user_id, lobby, owed.ticket)
                    if owed.state == "leaving"
                    else (rooms.finish_join, user_id, lobby, owed.ticket, 1, 1)
                ),
            ]
        at_once(*order.sample(steps, 8))
        members = sql(rooms.members, lobby, UserId(0), 100)
        assert sql(rooms.room, ann, lobby).member_count == len(members)


def test_members_are_listed_page_by_page(sql: Sql, ann: UserId, bob: UserId) -> None:
    lobby = room(sql, ann)
    sql(rooms.start_join, bob, lobby)
    assert [(u.username, role) for u, role in sql(rooms.members, lobby, UserId(0), 9)] == [
        ("ann", "owner"),
        ("bob", "member"),
    ]
    assert [user.id for user, _ in sql(rooms.members, lobby, UserId(0), 1)] == [ann]
    assert [user.id for user, _ in sql(rooms.members, lobby, ann, 1)] == [bob]
    sql(rooms.start_leave, bob, lobby)
    assert sql(rooms.members, lobby, ann, 1) == []


def test_a_read_marker_never_goes_back(sql: Sql, ann: UserId, bob: UserId) -> None:
    lobby, attic = room(sql, ann), room(sql, ann, "attic")
    for n, expected in [(9, 9), (2, 9), (10, 10), (9, 10)]:
        sql(seats.mark_read, {(lobby, ann): (n, n + 1), (lobby, bob): (n, n), (attic, ann): (3, 4)})
        row = sql(rooms.room, ann, lobby)
        assert (row.read_id, row.read_messages) == (expected, expected + 1)
    row = sql(rooms.room, ann, attic)
    assert (row.read_id, row.read_messages) == (3, 4)
    sql(seats.mark_read, {})


# -- the archive


def test_a_batch_is_stored_once_however_often_it_comes(sql: Sql) -> None:
    batch = [message(n, client_id=f"c{n}" if n % 2 else None) for n in range(1, 251)]
    assert sql(events.add_events, batch[:120]) == []
    for _ in range(2):
        assert sql(events.add_events, batch) == []
    assert sql(events.add_events, []) == []
    assert sql(events.after, LOBBY, 0, 1000) == [item.event for item in batch]
    assert sql(events.tail, LOBBY) == (250, 250)
    assert sql(events.tail, RoomId(8)) == (0, 0)
    assert sql(events.event, LOBBY, 3) == batch[2].event
    assert sql(events.event, LOBBY, 251) is None
    assert sql(events.sent, LOBBY, UserId(1), "c3") == (batch[2].event, None)
    assert sql(events.sent, LOBBY, UserId(2), "c3") is None


def test_a_number_that_sql_holds_for_something_else_is_reported(sql: Sql) -> None:
    first = message(2, body="first")
    sql(events.add_events, [first])
    batch = [message(1), message(2, body="other"), message(3)]
    for _ in range(2):
        assert sql(events.add_events, batch) == [Clash(LOBBY, 2, "number")]
    assert sql(events.after, LOBBY, 0, 9) == [batch[0].event, first.event, batch[2].event]


def test_two_events_of_a_batch_under_one_number_are_reported(sql: Sql) -> None:
    batch = [message(1, body="first"), message(1, body="other")]
    assert sql(events.add_events, batch) == [Clash(LOBBY, 1, "number")]
    assert sql(events.after, LOBBY, 0, 9) == [batch[0].event]


def test_a_client_id_that_is_taken_is_reported_and_the_event_is_kept(sql: Sql) -> None:
    sql(events.add_events, [message(1, client_id="c")])
    batch = [message(2, client_id="d"), message(3, client_id="c"), message(4)]
    assert sql(events.add_events, batch) == [Clash(LOBBY, 3, "client_id")]
    assert sql(events.add_events, batch) == []
    assert [event.n for event in sql(events.after, LOBBY, 0, 9)] == [1, 2, 3, 4]
    assert sql(events.sent, LOBBY, UserId(1), "c")[0].n == 1
    others = [message(1, RoomId(8), client_id="c"), message(5, client_id="c", author=2)]
    assert sql(events.add_events, others) == []


def test_who_writes_has_read(sql: Sql, ann: UserId, bob: UserId) -> None:
    lobby = room(sql, ann)
    batch = [
        message(1, lobby, author=ann, messages=1),
        message(2, lobby, author=ann, messages=2),
        message(3, lobby, author=bob, messages=3),
        message(4, lobby, author=ann, messages=3, type="member.update"),
    ]
    for part in (batch[1:], batch[:1]):
        sql(events.add_events, part)
        row = sql(rooms.room, ann, lobby)
        assert (row.read_id, row.read_messages) == (2, 2)


def test_two_workers_may_store_the_same(sql: Sql, at_once: Callable[..., list[Any]]) -> None:
    batch = [message(n, client_id=f"c{n}") for n in range(1, 301)]
    calls = [(events.add_events, batch[start : start + 100]) for start in range(0, 250, 50)]
    assert at_once(*calls, *calls) == [[]] * 10
    assert [event.n for event in sql(events.after, LOBBY, 0, 999)] == list(range(1, 301))


def test_messages_are_read_in_both_directions(sql: Sql) -> None:
    types = {2: "member.join", 5: "member.leave"}
    batch = [message(n, type=types.get(n, "message")) for n in range(1, 8)]
    sql(events.add_events, [*batch, message(1, RoomId(8))])

    def numbers(*call: Any) -> list[int]:
        return [event.n for event in sql(*call)]

    assert numbers(events.after, LOBBY, 1, 4) == [2, 3, 4, 5]
    assert numbers(events.messages_before, LOBBY, None, 3) == [7, 6, 4]
    assert numbers(events.messages_before, LOBBY, 4, 9) == [3, 1]
    assert numbers(events.messages_after, LOBBY, 1, 7, 9) == [3, 4, 6]
    assert numbers(events.messages_after, LOBBY, 1, NEVER, 2) == [3, 4]


@pytest.mark.parametrize(
    "call",
    [
        (events.messages_before, LOBBY, None, 9),
        (events.messages_before, LOBBY, 5, 9),
        (events.messages_after, LOBBY, 5, NEVER, 9),
    ],
)
def test_a_page_of_messages_comes_from_its_own_index_and_changes_by_their_key(
    sql: Sql, caplog: pytest.LogCaptureFixture, call: tuple[Any, ...]
) -> None:
    with caplog.at_level(logging.DEBUG, "peewee"):
        sql(*call)
    logged: list[Any] = [record.msg for record in caplog.records]
    [(query, parameters)] = [each for each in logged if "SELECT" in str(each)]

    def explain() -> list[tuple[Any, ...]]:
        if isinstance(database.obj, pw.SqliteDatabase):
            return list(database.execute_sql(f"EXPLAIN QUERY PLAN {query}", parameters))
        database.execute_sql("SET enable_seqscan = off")  # an empty table is read in one go
        plan = list(database.execute_sql(f"EXPLAIN {query}", parameters))
        return [row for row in plan if "Index" in row[0] and "Cond" not in row[0]]

    messages, changes = (row[-1] for row in sql(explain))
    assert "event_message" in messages
    assert "latest" in changes  # by its key, once for each message
    assert "SCAN" not in changes


def test_a_feed_merges_any_number_of_rooms_in_its_order(sql: Sql) -> None:
    order = random.Random(3)
    ids = [RoomId(number) for number in range(1, 231)]
    heads = dict.fromkeys(ids, 0)
    batch = []
    for feed in range(1, 1001):
        room_id = order.choice(ids)
        heads[room_id] += 1
        batch.append(message(heads[room_id], room_id, feed=feed))
    sql(events.add_events, order.sample(batch, len(batch)))
    for count in (0, 1, 99, 101, 230):
        joined = {room_id: order.randint(0, 4) for room_id in order.sample(ids, count)}
        for after, up_to, limit in [(0, 1000, 2000), (100, 700, 50), (500, 501, 9), (9, 9, 9)]:
            wanted = [
                item.event
                for item in batch
                if after < item.event.feed <= up_to
                and item.event.n >= joined.get(item.event.room_id, NEVER)
            ]
            found = sql(events.feed, joined, FeedId(after), FeedId(up_to), limit)
            assert found == wanted[:limit]
