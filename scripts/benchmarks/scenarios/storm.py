"""`storm`: 5,000 readers come back at once, 200 events behind.

Compared with the time that the same connections take to open a stream with nothing to catch up
on, both in one server that has seen these people before, as after a cut of the network. Who is
answered 503 comes again after its Retry-After, and that time counts. Redis
counts its commands itself (INFO commandstats); SQL statements are counted by SQLite's own trace.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import checks, procs
from benchmarks.bench import Bench, Case, Column, Result, Turn, take_turns
from benchmarks.figures import Row
from benchmarks.load import Generator
from benchmarks.scenarios.carry import readers_of, writers_of
from benchmarks.servers.quartchat import People, Quartchat

ROUNDS = 2
BEHIND = 200
POSTED = 600
STORM_S = 120.0
QUIET_S = 3.0
HOOKS = Path(__file__).resolve().parents[1] / "hooks"
WRITERS = 16
COLUMNS = (
    Column("first_s", "first time ever, s", "{:.2f}"),
    Column("open_s", "opened, s", "{:.2f}"),
    Column("storm_s", "caught up, s", "{:.2f}"),
    Column("relative", "ratio", "{:.2f}"),
    Column("refused", "answered 503 first", "{:.0f}"),
    Column("in_order", "each event once, in order", "{}"),
    Column("redis", "Redis commands", "{:.0f}"),
    Column("redis_beyond", "beyond the quiet rate", "{:.0f}"),
    Column("sql", "SQL statements", "{:.0f}"),
    Column("storm_cpu_s", "CPU s, web", "{:.2f}"),
)


def run(bench: Bench) -> Result:
    """Measure both in turn; every second round begins with the storm."""
    count = bench.readers or bench.pick(5000, 200)
    result = Result(
        "storm",
        f"{count:,} readers come back at once, {BEHIND} events behind",
        "`opened` is the same readers, at once, with nothing to catch up on.",
        ("server",),
        COLUMNS,
    )
    case = Case(
        {"server": "quartchat", "readers": count},
        lambda directory: Quartchat(
            directory, People(count, writers=WRITERS), _traced(directory / "sql")
        ),
        lambda turn: _measure(turn, count),
    )
    take_turns(bench, result, [case], ROUNDS)
    return result


def _traced(statements: Path) -> dict[str, str]:
    """Return the environment in which SQL statements are counted, in a new directory."""
    statements.mkdir()
    return {"PYTHONPATH": str(HOOKS), "BENCH_SQL_DIRECTORY": str(statements)}


def _measure(turn: Turn, count: int) -> Row:
    server, sql = turn.server, turn.directory / "sql"
    assert isinstance(server, Quartchat)  # noqa: S101 - no peer keeps so much
    with writers_of(server, server.heads(WRITERS), turn.directory) as writers:
        posted = writers.ask("post", rate=300, count=POSTED, rooms=[1], limit_s=30)
    if posted["posted"] < POSTED:
        raise procs.StartError(f"posting failed: {posted['statuses']}")
    time.sleep(1.0)  # until the worker has archived them
    row: Row = {}
    with readers_of(server, turn.directory) as readers:
        first = _come(server, readers, count, 0)
        row["first_s"], row["first_refused"] = first["seconds"], first["errors"]
        row["first_sql"] = len(_statements(sql, server.groups()["web"]))
        storm_first = turn.number % 2 == 0
        for place, storm in enumerate((storm_first, not storm_first), start=1):
            if storm:
                row |= _storm(server, readers, count, place, sql)
            else:
                opened = _come(server, readers, count, place)
                row["open_s"], row["open_refused"] = opened["seconds"], opened["errors"]
    return row | {"relative": row["storm_s"] / row["open_s"]}


def _storm(server: Quartchat, readers: Generator, count: int, place: int, sql: Path) -> Row:
    redis, web = server.valkey(), server.groups()["web"]
    quiet = _commands(redis)
    time.sleep(QUIET_S)
    before, statements, cpu = _commands(redis), _statements(sql, web), procs.cpu_s(web)
    quiet_rate = sum((before - quiet).values()) / QUIET_S
    got = _come(server, readers, count, place, behind=BEHIND, keep=True)
    used, cpu = _commands(redis) - before, procs.cpu_s(web) - cpu
    made = _statements(sql, web)[len(statements) :]
    _leave(server, readers)
    wrong = checks.faults(got, complete=True)
    return {
        "storm_s": got["seconds"],
        "refused": sum(got["errors"].values()),
        "errors": got["errors"],
        "in_order": got["done"] and got["messages"] == count * BEHIND and not wrong,
        "wrong": wrong,
        "events": got["messages"],
        "redis": used.total(),
        "redis_beyond": max(0.0, used.total() - quiet_rate * got["seconds"]),
        "redis_commands": dict(used),
        "sql": len(made),
        "sql_texts": sorted(set(made))[:20],
        "storm_cpu_s": cpu,
    }


def _come(
    server: Quartchat,
    readers: Generator,
    count: int,
    place: int,
    *,
    behind: int = 0,
    keep: bool = False,
) -> dict[str, Any]:
    """Open all streams at once; return what `connect` says."""
    last_id = POSTED - behind if behind else None
    streams = [(1, server.stream(number, 1, last_id)) for number in range(count)]
    got = readers.ask(
        "connect", readers=streams, at_once=count, first_address=place, goal=behind,
        last_id=-1 if last_id is None else last_id, timeout_s=STORM_S, within_s=STORM_S,
    )  # fmt: skip
    if got["open"] < count:
        raise procs.StartError(f"only {got['open']} of {count} came in: {got['errors']}")
    if not keep:
        _leave(server, readers)
    return got


def _leave(server: Quartchat, readers: Generator) -> None:
    readers.ask("close", within_s=30)
    procs.eventually(lambda: server.metric("quartchat_streams") == 0, 30, "streams stay open")
    time.sleep(1.0)


def _commands(redis: Any) -> Counter[str]:
    """Return how often each command was called but for our own; those of a script count too."""
    found = redis.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): entry["calls"] for name, entry in found.items()}
    return Counter({name: count for name, count in calls.items() if name != "info"})


def _statements(directory: Path, web: list[int]) -> list[str]:
    """Return the SQL statements of the web processes so far."""
    lines: list[str] = []
    for pid in web:
        path = directory / f"{pid}.sql"
        if path.exists():
            lines += path.read_text().splitlines()
    return lines
