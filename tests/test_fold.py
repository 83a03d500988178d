"""The fold: one answer, wherever the events were cut between what holds them."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

import harness
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from quartchat import acks, errors, events, fold, history, records, store
from quartchat.chat import Chat
from quartchat.config import Config
from quartchat.edits import Edits
from quartchat.events import Control, Event, Message, ReactionEvent, RoomId, User, UserId
from quartchat.fold import Content
from quartchat.posts import Posts
from quartchat.records import Change, Draft, Stale
from quartchat.store import events as archive
from quartchat.store.rooms import RoomRow
from quartchat.stream import Streams

Run = Callable[[Coroutine[Any, Any, Any]], Any]

PEOPLE = [User(UserId(n), f"user{n}", f"User {n}", "") for n in (1, 2, 3)]
EMOJIS = ["👍", "❤", "❤️", "🎉"]
LOBBY = RoomId(7)
room_ids = map(RoomId, itertools.count(1000))


def message(n: int, body: str, author: User) -> Message:
    return Message(n, LOBBY, author, body, f"<p>{body}</p>", events.now(), mentions=[UserId(3)])


def encoded(struct: Any) -> bytes:
    return events._encode(struct)


class Log:
    """A room's events, and what each change makes of what was there before."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.standing: dict[int, Message] = {}

    def add(self, kind: str, data: Any) -> None:
        self.events.append(Event(LOBBY, len(self.events) + 1, kind, encoded(data)))

    def do(self, which: int, what: str, who: User, emoji: str) -> None:
        n = len(self.events) + 1
        ids = sorted(self.standing)
        old = self.standing[ids[which % len(ids)]] if ids else None
        if what == "post" or old is None:
            self.standing[n] = message(n, f"body {n}", who)
            self.add("message", self.standing[n])
            return
        if old.deleted_at is not None:
            return
        if what in ("edit", "delete"):
            content = Content(f"<p>edit {n}</p>", [who.id])
            new = (
                fold.edited(old, f"edit {n}", content, events.now())
                if what == "edit"
                else fold.deleted(old, events.now())
            )
            self.add("message.update" if what == "edit" else "message.delete", new)
        else:
            change = fold.reacted if what == "react" else fold.unreacted
            new = change(old, emoji, who.id)
            if new is old:
                return
            kind = "reaction.add" if what == "react" else "reaction.remove"
            self.add(kind, ReactionEvent(n, LOBBY, old.id, emoji, who))
        self.standing[old.id] = new


steps = st.tuples(
    st.integers(0, 9),
    st.sampled_from(["post", "edit", "delete", "react", "react", "unreact"]),
    st.sampled_from(PEOPLE),
    st.sampled_from(EMOJIS),
)
logs = st.lists(steps, max_size=40)


def log_of(said: list[tuple[int, str, User, str]]) -> Log:
    log = Log()
    for step in said:
        log.do(*step)
    return log


@given(logs)
def test_the_fold_of_a_log_is_what_its_changes_made(said: list[tuple[int, str, User, str]]) -> None:
    log = log_of(said)
    assert fold.fold([], log.events) == list(log.standing.values())


@given(logs, st.integers(0, 40))
def test_a_log_may_be_folded_in_two_parts(said: list[tuple[int, str, User, str]], cut: int) -> None:
    log = log_of(said)
    held = fold.fold([], log.events[:cut])
    assert fold.fold(held, log.events[cut:]) == list(log.standing.values())


@given(logs, st.sets(st.integers(0, 9)))
def test_a_page_is_folded_by_itself(
    said: list[tuple[int, str, User, str]], wanted: set[int]
) -> None:
    log = log_of(said)
    first = fold.fold([], [event for event in log.events if event.type == "message"])
    some = [m for number, m in enumerate(first) if number in wanted]
    later = [event for event in log.events if event.type != "message"]
    assert fold.fold(some, later) == [log.standing[m.id] for m in some]


@given(logs)
def test_reactions_that_come_twice_change_nothing(
    said: list[tuple[int, str, User, str]],
) -> None:
    log = log_of(said)
    twice = [
        event for event in log.events for _ in range(2 if event.type.startswith("reaction.") else 1)
    ]
    assert fold.fold([], twice) == list(log.standing.values())


@given(logs)
def test_counts_are_those_of_their_users_and_nothing_is_empty(
    said: list[tuple[int, str, User, str]],
) -> None:
    for each in log_of(said).standing.values():
        assert all(r.count == len(r.user_ids) == len(set(r.user_ids)) > 0 for r in each.reactions)
        assert each.deleted_at is None or not (each.body or each.html or each.reactions)


# -- over Redis and SQL


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="module")
def streams(
    run: Run, valkey: harness.Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Streams]:
    url = harness.new_database(tmp_path_factory.mktemp("fold") / "chat.db")
    run(store.migrate(url))
    store.open_database(url)
    streams = Streams(valkey.url(keep=True), 1)
    yield streams
    run(streams.close())
    run(store.close_database())


class Plain:
    """Instead of the names of a room's members: nobody is mentioned."""

    async def content(self, _room_id: RoomId, body: str) -> Content:
        return Content(f"<p>{body}</p>", [])


class Seats:
    """All are in the room, and nobody is asked for it."""

    async def seat(self, user: User, room_id: RoomId) -> RoomRow:
        role: Any = "owner" if user is PEOPLE[0] else "member"
        return RoomRow(room_id, "", "", "public", "", 1, role, 0, 0, 0, False)

    writer = seat


class Room(Chat):
    """A room that all are in."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.seats: Any = Seats()
        self.mentions: Any = Plain()
        self.posts = Posts(Config(), streams)


class Machine(RuleBasedStateMachine):
    """Everything that may happen to a room, and the same answer as the replay of its log."""

    run_: ClassVar[Run]
    streams: ClassVar[Streams]

    @initialize()
    def begin(self) -> None:
        self.room = next(room_ids)
        self.chat = Room(self.streams)
        self.edits = Edits(self.chat, self.streams)
        self.log: list[Event] = []
        self.committed: set[int] = set()
        self.go(self.streams.seed(self.room, 0, 0))
        self.feed = self.go(self.streams.position())[0]

    def go(self, work: Coroutine[Any, Any, Any]) -> Any:
        return type(self).run_(work)

    def ids(self) -> list[int]:
        return [event.n for event in self.log if event.type == "message"]

    def now(self) -> list[Message]:
        return fold.fold([], self.log)

    def gone(self) -> dict[int, Message]:
        return {each.id: each for each in self.now() if each.deleted_at is not None}

    def take_in(self) -> None:
        """Learn what the feed says: the whole log, whatever is trimmed."""

        async def read() -> list[Event | Control]:
            entries = await self.streams._redis.xrange(
                "feed:{0}", min=f"({events.unpack(self.feed)}"
            )
            return [records.archive_entry(*entry) for entry in entries]

        for event in self.go(read()):
            self.feed = event.feed
            if isinstance(event, Event) and event.room_id == self.room:
                self.log.append(event)

    async def tried(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let a change of what is deleted be refused."""
        with suppress(errors.NotFound):
            await work

    @rule(who=st.sampled_from(PEOPLE), body=st.sampled_from("abc"))
    def post(self, who: User, body: str) -> None:
        self.go(self.chat.post(who, self.room, body, None, None))
        self.take_in()

    @precondition(lambda self: self.ids())
    @rule(which=st.integers(0, 99), body=st.sampled_from("abc"))
    def edit(self, which: int, body: str) -> None:
        n = self.ids()[which % len(self.ids())]
        author = next(m.author for m in self.now() if m.id == n)
        self.go(self.tried(self.edits.edit(author, self.room, n, body, None)))
        self.take_in()

    @precondition(lambda self: self.ids())
    @rule(which=st.integers(0, 99))
    def delete(self, which: int) -> None:
        n = self.ids()[which % len(self.ids())]
        self.go(self.edits.delete(PEOPLE[0], self.room, n))
        self.take_in()

    @precondition(lambda self: self.ids())
    @rule(
        which=st.integers(0, 99),
        who=st.sampled_from(PEOPLE),
        emoji=st.sampled_from(EMOJIS),
        back=st.booleans(),
    )
    def react(self, which: int, who: User, emoji: str, back: bool) -> None:
        n = self.ids()[which % len(self.ids())]
        change = self.edits.unreact if back else self.edits.react
        self.go(self.tried(change(who, self.room, n, emoji)))
        self.take_in()

    @precondition(lambda self: self.log)
    @rule(some=st.lists(st.integers(0, 99), min_size=1, max_size=6), twice=st.booleans())
    def archive(self, some: list[int], twice: bool) -> None:
        """Commit events in any order, as two workers may, and again, as after a lost XACK."""
        batch = [self.log[which % len(self.log)] for which in some]
        for _ in range(1 + twice):
            clashes = self.go(store.run(archive.add_events, [acks.row(each) for each in batch]))
            assert clashes == []
        self.committed |= {event.n for event in batch}

    @precondition(lambda self: self.log)
    @rule(window=st.integers(1, 8))
    def archive_all_and_trim(self, window: int) -> None:
        """Commit all that is missing up to some place, and trim."""
        n = len(self.log) - window // 2
        batch = [event for event in self.log if event.n <= n]
        assert self.go(store.run(archive.add_events, [acks.row(each) for each in batch])) == []
        self.committed |= {event.n for event in batch}
        if n > 0:
            self.go(self.streams.trim(self.room, n, window))
            for event in self.go(self.streams.read(self.room, 0, 999)):
                assert event.n > n or fold.text_of(event) not in self.gone()

    @precondition(lambda self: len(self.committed) == len(self.log) > 0)
    @rule()
    def empty_redis(self) -> None:
        async def empty() -> None:
            for kind in ("meta", "room", "state", "order"):
                await self.streams._redis.delete(self.streams._key(kind, self.room))
            await history.seed(self.streams, self.room)

        self.go(empty())

    @precondition(lambda self: self.committed >= {event.n for event in self.log})
    @rule(lost=st.integers(1, 6))
    def lose_the_end(self, lost: int) -> None:
        """A replica without the last events takes over; SQL has them all."""
        n = max(0, len(self.log) - lost)

        async def lose() -> None:
            redis, key = self.streams._redis, self.streams._key
            stays = await self.streams.read(self.room, 0, 9999)
            if not stays or stays[0].n > n:
                return
            await redis.delete(key("room", self.room))
            for event in stays[: n + 1 - stays[0].n]:
                fields = {"t": event.type, "d": event.data}
                await redis.xadd(key("room", self.room), fields, id=f"{event.n}-0")
            changed = {}
            for event in self.log[:n]:
                if (id_ := fold.about(event)) is not None:
                    changed[id_] = event
            ids = await redis.zrange(key("order", self.room), 0, -1)
            for id_ in map(int, ids):
                if (last := changed.get(id_)) is None or last.n < stays[0].n:
                    await redis.zrem(key("order", self.room), id_)
                    await redis.hdel(key("state", self.room), id_)
                else:
                    data = acks.row(last).state
                    await redis.zadd(key("order", self.room), {id_: last.n})
                    await redis.hset(key("state", self.room), id_, data)
            count = sum(event.type == "message" for event in self.log[:n])
            meta = {"n": n, "m": count, "epoch": "another"}
            await redis.hset(key("meta", self.room), mapping=meta)
            await history.seed(self.streams, self.room)

        self.go(lose())

    @rule(n=st.integers(0, 40), limit=st.integers(1, 10))
    def look(self, n: int, limit: int) -> None:
        """Every page is that of the replay."""
        naive = {each.id: each for each in self.now()}
        decode = fold._decode_message

        async def pages() -> list[tuple[list[Event], list[int]]]:
            ids = sorted(naive)
            room, streams = self.room, self.streams
            newest = (await history.page_before(streams, room, None, limit)).messages
            before = (await history.page_before(streams, room, n, limit)).messages
            after = (await history.page_after(streams, room, n, limit)).messages
            around = (await history.page_around(streams, room, n, limit)).messages
            below, above = [i for i in ids if i < n], [i for i in ids if i > n]
            assert len(around) <= limit
            return [
                (newest, ids[-limit:]),
                (before, below[-limit:]),
                (after, above[:limit]),
                (around, [event.n for event in around]),
            ]

        for found, ids in self.go(pages()):
            assert [decode(event.data) for event in found] == [naive[id_] for id_ in ids]
        one = self.go(history.message(self.streams, self.room, n))
        assert (None if one is None else decode(one.data)) == naive.get(n)

    @rule(n=st.integers(0, 40), limit=st.integers(1, 10))
    def follow(self, n: int, limit: int) -> None:
        """The log is as it was, but for the texts of what is deleted."""
        gone = self.gone()
        found = self.go(history.after(self.streams, self.room, n, limit))
        assert [event.n for event in found] == [each.n for each in self.log[n : n + limit]]
        for event in found:
            if (id_ := fold.text_of(event)) in gone:
                assert fold._decode_message(event.data) == gone[id_]
            else:
                assert event.data == self.log[event.n - 1].data

    def teardown(self) -> None:
        """In the end SQL alone has the same, and no text of what was deleted."""
        if not getattr(self, "log", None):
            return
        batch = [acks.row(event) for event in self.log if event.n not in self.committed]
        self.go(store.run(archive.add_events, batch))
        naive = self.now()
        rows = self.go(store.run(archive.messages_after, self.room, 0, events.NEVER, 999))
        assert [fold._decode_message(row.data) for row in rows] == naive
        gone = {each.id for each in naive if each.deleted_at is not None}
        for event in self.go(store.run(archive.after, self.room, 0, 999)):
            if event.type in ("message", "message.update"):
                data = fold._decode_message(event.data)
                assert (data.body == "") == (data.id in gone)


def test_a_room_is_the_replay_of_its_log_whatever_happens(
    run: Run, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "READ", 3)
    machine = type("Bound", (Machine,), {"run_": staticmethod(run), "streams": streams})
    case = settings(max_examples=80, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(machine, settings=case)


class Racing:
    """A Redis in whose face something happens between SQL's answer and its own."""

    def __init__(self, streams: Streams, race: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._streams, self._race = streams, race
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams, name)

    async def states(self, *arguments: Any, **options: Any) -> Any:
        self.asked += 1
        if self.asked == 1:
            await self._race()
        return await self._streams.states(*arguments, **options)


def test_a_change_is_seen_also_if_it_moves_into_sql_between_two_looks(
    run: Run, streams: Streams
) -> None:
    room = next(room_ids)
    ann = PEOPLE[0]

    async def archive_all(window: int) -> None:
        log = await streams.read(room, 0, 99)
        await store.run(archive.add_events, [acks.row(each) for each in log])
        await streams.trim(room, log[-1].n, window)

    async def scenario() -> None:
        await streams.seed(room, 0, 0)
        chat = Room(streams)
        for body in "abc":
            await chat.post(ann, room, body, None, None)
        await archive_all(1)
        await Edits(chat, streams).edit(ann, room, 1, "new", None)
        racing: Any = Racing(streams, lambda: archive_all(0))
        page = await history.page_before(racing, room, None, 9)
        assert [fold._decode_message(event.data).body for event in page.messages] == [
            "new",
            "b",
            "c",
        ]
        assert racing.asked == 2

    run(scenario())


def test_a_change_made_of_what_was_is_refused_wherever_that_has_gone(
    run: Run, streams: Streams
) -> None:
    room = next(room_ids)
    ann = PEOPLE[0]

    async def scenario() -> None:
        await streams.seed(room, 0, 0)
        chat = Room(streams)
        edits = Edits(chat, streams)
        for body in "abc":
            await chat.post(ann, room, body, None, None)
        seen = await history.message(streams, room, 1)
        assert seen is not None

        async def change() -> None:
            draft = Draft(room, ann.id, "message.update", seen.data, "", "")
            await chat.posts.send(replace(draft, change=Change(1, seen)), None)

        await edits.edit(ann, room, 1, "new", None)
        with pytest.raises(Stale):
            await change()
        log = await streams.read(room, 0, 99)
        await store.run(archive.add_events, [acks.row(each) for each in log])
        await streams.trim(room, 4, 0)  # now Redis knows of no change
        assert (await streams.states(room, [1]))[1] == {}
        with pytest.raises(Stale):
            await change()

    run(scenario())
