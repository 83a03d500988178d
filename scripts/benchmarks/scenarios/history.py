"""`history`: the newest, a middle and the oldest page, with ever more messages in the room."""

import random
import re
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from benchmarks import figures, messages, procs
from benchmarks.bench import Bench, Chart, Column, Result
from benchmarks.figures import percentiles
from benchmarks.scenarios.carry import writers_of
from benchmarks.servers.quartchat import CREATED, People, Quartchat

ROUNDS = 3
PAGE = 50
BLOCK = 20  # requests of one kind before the next kind has its turn
LIVE = 100  # messages that are posted, so that the newest page comes from where it does in life
WRITERS = 4
PLACES = ("newest", "middle", "oldest")
FIRST_FEED = 1_767_225_600_000 << 20  # 2026-01-01, as a packed feed id
COLUMNS = (
    Column("p50_ms", "p50 ms", "{:.2f}"),
    Column("p99_ms", "p99 ms", "{:.2f}"),
    Column("relative", "p99, ratio to the smallest", "{:.2f}"),
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def run(bench: Bench) -> Result:
    """Fill a database for each size, then ask all servers in turn, page by page."""
    sizes, requests = bench.pick(((1000, 100_000, 1_000_000), 1000), ((1000, 10_000), 60))
    result = Result(
        "history",
        f"a page of {PAGE} messages",
        "One connection, one request at a time; middle pages are somewhere between a quarter and"
        " three quarters of the room.",
        ("place", "messages"),
        COLUMNS,
        (Chart("messages", ("p99_ms",), "p99 ms"),),
    )
    with ExitStack() as stack:
        asked = {size: stack.enter_context(_filled(bench, result, size)) for size in sizes}
        for number in range(1, bench.times(ROUNDS) + 1):
            for (place, size), took in _ask(asked, requests).items():
                at = {"round": number, "server": place, "place": place, "messages": size}
                result.rows.append(row := at | percentiles(took))
                bench.say(f"history {number}  {result.line(row)}")
    figures.relate(result.rows, "p99_ms", {"messages": min(sizes)}, ("place",))
    return result


@contextmanager
def _filled(bench: Bench, result: Result, size: int) -> Iterator["Client"]:
    """Start a server with so many messages; give a connection to it."""
    with ExitStack() as stack:
        directory = stack.enter_context(bench.directory())
        server = Quartchat(directory, People(1, writers=WRITERS))
        server.prepare()
        with closing(sqlite3.connect(server.database)) as connection:
            fill(bench, connection, size)
        stack.enter_context(server)
        with writers_of(server, server.heads(WRITERS), directory) as writers:
            posted = writers.ask("post", rate=100, count=LIVE, rooms=[1], limit_s=20)
        if posted["posted"] < LIVE:
            raise procs.StartError(f"posting failed: {posted['statuses']}")
        result.versions["quartchat"] = server.versions()
        yield stack.enter_context(closing(Client(server)))


class Client:
    """One connection that asks for pages, and the person whose token it has."""

    def __init__(self, server: Quartchat, account: int = 1) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = server.stream(account - 1, 1).partition("\r\n")[2]  # with its token
        self._head = head.replace("text/event-stream", "application/json").encode()

    def page(self, query: str) -> int:
        """Ask for a page; return how long it took, in ns. Raises StartError."""
        took, data = self.ask(f"/api/chat/rooms/1/messages?limit={PAGE}{query}")
        if data.count(b'"reactions"') != PAGE:
            raise procs.StartError(f"not a page: {data[:300]!r}")
        return took

    def ask(self, path: str) -> tuple[int, bytes]:
        """Send a request; return how long the answer took, in ns, and the answer."""
        line = f"GET {path} HTTP/1.1\r\n".encode()
        began = time.monotonic_ns()
        self._socket.sendall(line + self._head)
        data, wanted = b"", -1
        while wanted < 0 or len(data) < wanted:
            piece = self._socket.recv(1 << 18)
            if not piece:
                raise procs.StartError("the connection was closed")
            data += piece
            if wanted < 0 and (end := data.find(b"\r\n\r\n")) >= 0:
                length = _LENGTH.search(data[: end + 2])
                wanted = end + 4 + (int(length.group(1)) if length else 0)
        return time.monotonic_ns() - began, data

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _ask(asked: dict[int, Client], requests: int) -> dict[tuple[str, int], Any]:
    """Ask for every kind of page, `BLOCK` at a time; return how long each took."""
    chance = random.Random(1)  # noqa: S311 - the same pages every time
    took: dict[tuple[str, int], Any] = {(p, s): [] for p in PLACES for s in asked}
    for block in range(requests // BLOCK + 1):
        for (place, size), found in took.items():
            for _ in range(BLOCK):
                middle = chance.randint(size // 4, 3 * size // 4)
                query = {"newest": "", "middle": f"&before={middle}", "oldest": "&after=0"}[place]
                one = asked[size].page(query)
                if block:  # the first block warms up
                    found.append(one)
    return took


def fill(bench: Bench, connection: sqlite3.Connection, size: int) -> None:
    """Put messages into room 1, as the worker would have."""
    began = time.monotonic()
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    for start in range(1, size + 1, 100_000):
        with connection:
            connection.executemany(
                "INSERT INTO event (room_id, n, type, data, messages, feed, author_id, client_id)"
                " VALUES (1, ?, 'message', ?, ?, ?, ?, ?)",
                _rows(start, min(size, start + 99_999)),
            )
        bench.say(f"history  filled {min(size, start + 99_999):,} of {size:,}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    bench.say(f"history  {size:,} messages in {time.monotonic() - began:.0f} s")


def _rows(first: int, last: int) -> Iterator[tuple[int, str, int, int, int, str]]:
    for n in range(first, last + 1):
        author = 2 + n % WRITERS
        key = f"0193a000-{n >> 16 & 0xFFFF:04x}-7000-8000-{n:012x}"
        text = messages.body(author, n, 10**13 + n, 10**5)
        data = (
            f'{{"id":{n},"room_id":1,"author":{{"id":{author},"username":"u{author:05}",'
            f'"display_name":"Person {author:05}","created_at":"{CREATED}"}},"body":"{text}",'
            f'"html":"<p>{text}</p>\\n","created_at":"{CREATED}","edited_at":null,'
            f'"deleted_at":null,"client_id":"{key}","reply_to":null,"reactions":[],"mentions":[]}}'
        )
        yield n, data, n, FIRST_FEED + (n << 20), author, key
