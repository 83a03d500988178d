"""The index of words and what is found in it, the same on SQLite and on PostgreSQL."""

import asyncio
import json
import logging
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
from engines import postgres

from quartchat import indexing, store, words
from quartchat.events import Event, FeedId, RoomId, UserId
from quartchat.store import documents, events, search
from quartchat.store.events import Archived
from quartchat.store.models import database
from quartchat.store.search import Query

Sql = Callable[..., Any]

LOBBY, ATTIC = RoomId(1), RoomId(2)
ANN, BOB = UserId(1), UserId(2)
SECOND = 1000 << 20  # of a feed id
BEGAN = 1_767_225_600_000 << 20


@pytest.fixture(scope="module")
def pg() -> Iterator[postgres.Postgres]:
    with postgres.Postgres() as server:
        yield server


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'chat.db'}"
    server: postgres.Postgres = request.getfixturevalue("pg")
    return server.url()


@pytest.fixture
def sql(url: str, runner: asyncio.Runner) -> Iterator[Sql]:
    """Run one query function and wait for its result."""
    runner.run(store.migrate(url))
    store.open_database(url)
    yield lambda fn, *args, **kwargs: runner.run(store.run(fn, *args, **kwargs))
    runner.run(store.close_database())


def message(
    n: int, body: str, room_id: RoomId = LOBBY, author: UserId = ANN, feed: int | None = None
) -> Archived:
    user = {"id": author, "username": "x", "display_name": "x", "created_at": ""}
    data = json.dumps(
        {"id": n, "room_id": room_id, "author": user, "body": body, "html": "", "created_at": ""}
    )
    at = FeedId(BEGAN + n * SECOND if feed is None else feed)
    return Archived(Event(room_id, n, "message", data.encode(), at, n), author, None)


def change(*changed: Archived) -> None:
    with store.transaction():
        documents.index(item.event for item in changed)


def found(sql: Sql, text: str, *rooms: RoomId, author: UserId | None = None) -> list[int]:
    query = Query(words.parse(text), rooms or (LOBBY,), author)
    return [each.n for each in sql(search.find, query, None, 1000)]


def test_the_newest_are_found_first_and_pages_go_on(sql: Sql) -> None:
    sql(events.add_events, [message(n, f"hello {n}") for n in range(1, 8)])
    query = Query(words.parse("hel"), [LOBBY])
    pages, below = [], None
    while page := sql(search.find, query, below, 3):
        pages.append([each.n for each in page])
        below = page[-1].place
    assert pages == [[7, 6, 5], [4, 3, 2], [1]]


def test_all_words_count_whatever_their_case_and_accents(sql: Sql) -> None:
    sql(events.add_events, [message(1, "Ein Café, bitte"), message(2, "Ein Tee"), message(3, "x")])
    assert found(sql, "CAFE ein") == [1]
    assert found(sql, "ein") == [2, 1]
    assert found(sql, "ein cafe tee") == []


def test_the_last_word_may_go_on_and_the_others_may_not(sql: Sql) -> None:
    sql(events.add_events, [message(1, "hello world"), message(2, "hell word")])
    assert found(sql, "hell") == [2, 1]
    assert found(sql, "hell wor") == [2]
    assert found(sql, "hello wor") == [1]
    assert found(sql, '"hell"') == [2]


def test_a_phrase_stands_together_and_in_order(sql: Sql) -> None:
    sql(
        events.add_events,
        [message(1, "the quick fox"), message(2, "quick the fox"), message(3, "")],
    )
    assert found(sql, '"the quick"') == [1]
    assert found(sql, '"the qui') == [1]
    assert found(sql, '"quick fox" the') == [1]
    assert found(sql, "the-quick") == [1]
    assert found(sql, "the quick") == [2, 1]


def test_a_part_of_what_has_no_spaces_is_found(sql: Sql) -> None:
    sql(
        events.add_events, [message(1, "我爱北京天安门"), message(2, "天北"), message(3, "ok 👍🏽")]
    )
    assert found(sql, "北京") == [1]
    assert found(sql, "北") == [2, 1]
    assert found(sql, "👍") == [3]


def test_rooms_and_authors_narrow_it(sql: Sql) -> None:
    batch = [message(1, "hello"), message(2, "hello", author=BOB), message(1, "hello", ATTIC)]
    sql(events.add_events, batch)
    assert found(sql, "hello", LOBBY) == [2, 1]
    assert found(sql, "hello", ATTIC) == [1]
    assert len(found(sql, "hello", LOBBY, ATTIC)) == 3
    assert found(sql, "hello", LOBBY, ATTIC, author=BOB) == [2]
    assert found(sql, "hello", RoomId(12)) == []
    assert found(sql, "1") == found(sql, "#1") == found(sql, "@1") == []  # no words of theirs


def test_any_query_is_answered(sql: Sql) -> None:
    sql(events.add_events, [message(1, "it's a {} % %s \\ test' AND OR NEAR")])
    for text in ("it's", "NEAR(a)", "a AND", "OR", '"', "'", "\\", "{}", "%s", "a*", "^a", "-a",
                 "words:a", "a'; --", ":*", "<->", "!", "&", "\u200b", "x" * 200):  # fmt: skip
        found(sql, text)
    assert found(sql, "it's TEST and or near") == [1]


def test_an_edited_message_is_found_by_what_it_says_now(sql: Sql) -> None:
    sql(events.add_events, [message(1, "hello world"), message(2, "hello moon")])
    sql(change, message(1, "goodbye world", feed=0))
    assert found(sql, "hello") == [2]
    assert found(sql, "goodbye") == found(sql, "world") == [1]


def test_a_deleted_message_is_not_found_and_leaves_no_word(sql: Sql, url: str) -> None:
    sql(events.add_events, [message(1, "secret"), message(2, "hello")])
    sql(change, message(1, "", feed=0))
    assert found(sql, "secret") == []
    with harness.sql(url) as inside:
        assert len(inside.execute("SELECT words FROM document")) == 1
        if url.startswith("sqlite"):
            inside.execute("INSERT INTO search (search, rank) VALUES ('integrity-check', 1)")


def test_a_room_that_is_forgotten_is_not_found(sql: Sql) -> None:
    sql(
        events.add_events, [message(n, "hello") for n in range(1, 6)] + [message(9, "hello", ATTIC)]
    )
    assert [sql(documents.forget_room, LOBBY, 3) for _ in range(3)] == [3, 2, 0]
    assert found(sql, "hello", LOBBY, ATTIC) == [9]


def test_a_repeated_batch_and_a_refused_event_change_nothing(sql: Sql) -> None:
    batch = [message(1, "hello"), message(2, "moon")]
    sql(events.add_events, batch)
    sql(events.add_events, batch)
    sql(events.add_events, [message(1, "another")])  # its number is taken
    assert found(sql, "hello") == [1]
    assert found(sql, "another") == []


def test_messages_of_one_moment_have_a_place_each(sql: Sql) -> None:
    twins = [RoomId(5), RoomId(5 + 4096), RoomId(5 + 2 * 4096)]
    for batch in (twins[:1], twins[1:]):
        sql(events.add_events, [message(1, "hello", room_id, feed=BEGAN) for room_id in batch])
    assert len(found(sql, "hello", *twins)) == 3


def test_what_was_there_before_is_indexed_step_by_step(
    sql: Sql, url: str, runner: asyncio.Runner
) -> None:
    sql(events.add_events, [message(n, f"hello {n}") for n in range(1, 21)])
    sql(events.add_events, [message(1, "hello", ATTIC)])
    with harness.sql(url) as inside:
        inside.execute("DELETE FROM document WHERE n <> 7")
        inside.execute("INSERT INTO indexing (id, room_id, n) VALUES (1, 0, 0)")
    assert found(sql, "hello", LOBBY, ATTIC) == [7]
    assert sql(documents.behind)
    assert sql(documents.index_older, 4)
    assert found(sql, "hello") == [7, 4, 3, 2, 1]
    runner.run(indexing.run(patience_s=0))
    assert not sql(documents.behind)
    assert not sql(documents.index_older, 4)
    assert found(sql, "hello") == list(range(20, 0, -1))
    assert found(sql, "hello", ATTIC) == [1]
    runner.run(indexing.run())  # returns at once


def test_what_was_changed_before_is_indexed_as_it_stands(sql: Sql, url: str) -> None:
    edited = message(1, "goodbye", feed=0).event.data
    update = Event(LOBBY, 3, "message.update", edited, FeedId(BEGAN + 3 * SECOND), 2)
    sql(events.add_events, [message(1, "hello"), message(2, "hello")])
    sql(events.add_events, [Archived(update, ANN, None, about=1, state=edited)])
    with harness.sql(url) as inside:
        inside.execute("DELETE FROM document")
        inside.execute("INSERT INTO indexing (id, room_id, n) VALUES (1, 0, 0)")
    assert sql(documents.index_older, 10)
    assert found(sql, "hello") == [2]
    assert found(sql, "goodbye") == [1]


def test_archiving_reads_no_table_from_end_to_end(
    sql: Sql, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "peewee"):
        sql(events.add_events, [message(n, "hello") for n in range(1, 9)])
    logged: list[Any] = [record.msg for record in caplog.records]
    queries = [each for each in logged if "SELECT" in str(each)]
    assert len(queries) > 2
    if url.startswith("sqlite"):  # PostgreSQL reads an empty table in one go

        def explain(query: str, values: Any) -> list[Any]:
            return list(database.execute_sql(f"EXPLAIN QUERY PLAN {query}", values))

        for query, values in queries:
            steps = [row[-1] for row in sql(explain, query, values)]
            assert not [s for s in steps if re.match("SCAN (document|latest|event)", s)], query


WORDS = ["ant", "anthem", "bee", "beetle", "cat", "dog", "e", "日", "本"]


def test_both_ways_of_looking_find_what_a_plain_look_finds(
    sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "NEAR", (5, 20))  # so that the nearest and the rest count
    chance = random.Random(7)
    said = {
        n: (" ".join(chance.choices(WORDS, k=chance.randint(1, 6))), chance.choice([LOBBY, ATTIC]))
        for n in range(1, 301)
    }
    said[3] = ("zebra ant", LOBBY)
    sql(events.add_events, [message(n, body, room_id) for n, (body, room_id) in said.items()])
    for _ in range(150):
        picked = chance.choices([*WORDS, "zebra", "be", "an", "z"], k=chance.randint(1, 3))
        text = chance.choice([" ".join(picked), f'"{" ".join(picked)}"', f'ant "{picked[0]}"'])
        rooms = chance.choice([(LOBBY,), (LOBBY, ATTIC)])
        phrases = words.parse(text)
        plain = [
            n
            for n, (body, room_id) in reversed(said.items())
            if room_id in rooms and all(_has(body, phrase) for phrase in phrases)
        ]
        limit = chance.choice([1, 5, 1000])
        ids = [each.n for each in sql(search.find, Query(phrases, rooms), None, limit)]
        assert ids == plain[:limit], text


def _has(body: str, phrase: words.Phrase) -> bool:
    wanted = " ".join(phrase.words)
    end = "" if phrase.prefix else r"(?!\S)"
    return re.search(rf"(?<!\S){wanted}{end}", " ".join(words.words(body))) is not None
