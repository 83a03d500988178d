"""`search`: common and rare words, prefixes and phrases, among ever more messages."""

import itertools
import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import quote

from benchmarks import figures, procs
from benchmarks.bench import Bench, Chart, Column, Result
from benchmarks.figures import percentiles
from benchmarks.scenarios.history import FIRST_FEED, Client
from benchmarks.servers.quartchat import CREATED, People, Quartchat

ROUNDS = 3
LIMIT = 20
BLOCK = 10  # requests of one kind before the next kind has its turn
ROOMS, WRITERS = 10, 4
EPOCH_MS = 1_577_836_800_000
WORDS = 30_000  # that people use, the k-th of them one k-th as often as the first
RARE = 1000  # every so many messages have a rare word, and two words that stand together
SYLLABLES = "an ba con de es fi ga hu in jo ka li mo ne or pa qui re sta ter un va wi xe yo zu"
# what is asked for: (kind, query); `{c}` is the commonest word, `{m}` one of the middle
KINDS = (
    ("common word", '"{c}"'),
    ("common prefix", "{p}"),
    ("middling prefix", "{m}"),
    ("rare word", '"needle"'),
    ("rare prefix", "need"),
    ("common words", "{c} {d}"),
    ("rare and common", "needle {c}"),
    ("phrase", '"{c} {d}"'),
    ("rare phrase", '"old oak"'),
    ("no such word", "nothing"),
)
COLUMNS = (
    Column("p50_ms", "p50 ms", "{:.2f}"),
    Column("p99_ms", "p99 ms", "{:.2f}"),
    Column("relative", "p99, ratio to the smallest", "{:.2f}"),
)


def run(bench: Bench) -> Result:
    """Fill a database for each size, then ask all servers in turn, query by query."""
    sizes, requests = bench.pick(((1000, 100_000, 1_000_000), 300), ((1000, 20_000), 20))
    result = Result(
        "search",
        f"a page of {LIMIT} results",
        f"One connection, one request at a time, over all of {ROOMS} rooms;"
        " words are as frequent as in a language (Zipf), the common one is in most messages.",
        ("kind", "messages"),
        COLUMNS,
        (Chart("messages", ("p99_ms",), "p99 ms"),),
    )
    with ExitStack() as stack:
        asked = {size: stack.enter_context(_filled(bench, result, size)) for size in sizes}
        for number in range(1, bench.times(ROUNDS) + 1):
            for (kind, size), took in _ask(asked, requests).items():
                at = {"round": number, "server": kind, "kind": kind, "messages": size}
                result.rows.append(row := at | percentiles(took))
                bench.say(f"search {number}  {result.line(row)}")
    figures.relate(result.rows, "p99_ms", {"messages": min(sizes)}, ("kind",))
    return result


@contextmanager
def _filled(bench: Bench, result: Result, size: int) -> Iterator[Client]:
    """Start a server with so many messages, indexed; give a connection to it."""
    with ExitStack() as stack:
        directory = stack.enter_context(bench.directory())
        server = Quartchat(directory, People(1, rooms=ROOMS, writers=WRITERS))
        server.prepare()
        with closing(sqlite3.connect(server.database)) as connection:
            fill(bench, connection, size)
        stack.enter_context(server)
        result.versions["quartchat"] = server.versions()
        yield stack.enter_context(closing(Client(server, account=2)))


def _ask(asked: dict[int, Client], requests: int) -> dict[tuple[str, int], Any]:
    """Ask for every kind, `BLOCK` at a time; return how long each took."""
    common = vocabulary()
    named = {"c": common[0], "d": common[1], "p": common[2][:2], "m": common[300]}
    took: dict[tuple[str, int], Any] = {(kind, s): [] for kind, _ in KINDS for s in asked}
    for block in range(requests // BLOCK + 1):
        for (kind, size), found in took.items():
            query = quote(dict(KINDS)[kind].format(**named))
            for _ in range(BLOCK):
                path = f"/api/search?limit={LIMIT}&q={query}"
                one, answer = asked[size].ask(path)
                if kind != "no such word" and b'"snippet"' not in answer:
                    raise procs.StartError(f"not found: {path} {answer[:300]!r}")
                if block:  # the first block warms up
                    found.append(one)
    return took


def vocabulary() -> list[str]:
    """Return words, the most frequent first; the same every time."""
    chance = random.Random(1)  # noqa: S311 - no secret
    syllables = SYLLABLES.split()
    found: dict[str, None] = {}
    while len(found) < WORDS:
        length = min(1 + len(found) // 50, chance.randint(1, 4))
        found["".join(chance.choices(syllables, k=length + 1))] = None
    return list(found)


def fill(bench: Bench, connection: sqlite3.Connection, size: int) -> None:
    """Put messages into the rooms and their words into the index, as the worker would have."""
    began = time.monotonic()
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    rows = messages(size)
    while some := list(itertools.islice(rows, 50_000)):
        with connection:
            connection.executemany(
                "INSERT INTO event (room_id, n, type, data, messages, feed, author_id)"
                " VALUES (?, ?, 'message', ?, ?, ?, ?)",
                ((room, n, data, n, feed, author) for room, n, data, feed, author, _ in some),
            )
            connection.executemany(
                "INSERT INTO document (id, room_id, n, words) VALUES (?, ?, ?, ?)",
                ((_place(feed), room, n, words) for room, n, _, feed, _, words in some),
            )
        bench.say(f"search  filled {some[-1][1] * ROOMS:,} of {size:,}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    bench.say(f"search  {size:,} messages in {time.monotonic() - began:.0f} s")


def _place(feed: int) -> int:
    """Return a document's id, as `quartchat.store.documents` makes it."""
    return ((feed >> 20) - EPOCH_MS) << 22


def messages(size: int) -> Iterator[tuple[int, int, str, int, int, str]]:
    """Yield room, number, JSON, feed id, author and words."""
    chance = random.Random(2)  # noqa: S311 - the same messages every time
    known = vocabulary()
    weights = list(itertools.accumulate(1 / (k + 2) for k in range(WORDS)))
    for place in range(size):
        room, n, author = 1 + place % ROOMS, 1 + place // ROOMS, 2 + place % WRITERS
        words = chance.choices(known, cum_weights=weights, k=chance.randint(3, 20))
        if place % RARE == 0:
            words += ["needle", "old", "oak", known[0]]
        text = " ".join(words)
        data = json.dumps(
            {
                "id": n,
                "room_id": room,
                "author": {
                    "id": author,
                    "username": f"u{author:05}",
                    "display_name": f"Person {author:05}",
                    "created_at": CREATED,
                },
                "body": text,
                "html": f"<p>{text}</p>",
                "created_at": CREATED,
            },
            separators=(",", ":"),
        )
        yield room, n, data, FIRST_FEED + (place * 1000 << 20), author, f"#{room} @{author} {text}"
