"""`storm`: 5,000 readers come back at once, 200 events behind.

Compared with the time that the same connections take to open a stream with nothing to catch up
on, both in one server that has seen these people before, as after a cut of the network. Who is
answered 503 comes again after its Retry-After, and that time counts. Redis
counts its commands itself (INFO commandstats); SQL statements are counted by SQLite's own trace.
"""

import time
from pathlib import Path
from typing import Any

from benchmarks import procs
from benchmarks.bench import Bench, Column, Result, Row
from benchmarks.load import Generator
from benchmarks.scenarios.carry import readers_of, writers_of
from benchmarks.servers.quartchat import People, Quartchat

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
    readers = bench.pick(5000, 200)
    result = Result(
        "storm",
        f"{readers:,} readers come back at once, {BEHIND} events behind",
        "`opened` is the same readers, at once, with nothing to catch up on.",
        ("server",),
        COLUMNS,
    )
    for number in range(1, bench.rounds + 1):
        with bench.directory() as directory:
            statements = directory / "sql"
            statements.mkdir()
            env = {"PYTHONPATH": str(HOOKS), "BENCH_SQL_DIRECTORY": str(statements)}
            with Quartchat(directory, People(readers, writers=WRITERS), env) as server:
                row = _measure(server, directory, readers, storm_first=number % 2 == 0)
                result.versions["quartchat"] = server.versions()
        result.rows.append({"round": number, "server": "quartchat", **row})
        bench.say(
            f"storm {number}/{bench.rounds}  opened {row['open_s']:.2f} s, caught up "
            f"{row['storm_s']:.2f} s ({row['relative']:.2f}), {row['redis']} Redis,"
            f" {row['sql']} SQL"
        )
    return result


def _measure(server: Quartchat, directory: Path, count: int, *, storm_first: bool) -> Row:
    log = directory / "load.log"
    with writers_of(server, server.heads(WRITERS), log) as writers:
        posted = writers.ask("post", rate=300, count=POSTED, rooms=[1], limit_s=30)
    if posted["posted"] < POSTED:
        raise procs.StartError(f"posting failed: {posted['statuses']}")
    time.sleep(1.0)  # until the worker has archived them
    row: dict[str, Any] = {}
    with readers_of(server, log) as readers:
        first = _come(server, readers, count, 0)
        row["first_s"], row["first_refused"] = first["seconds"], first["errors"]
        row["first_sql"] = len(_statements(directory / "sql", server.groups()["web"]))
        for turn, storm in enumerate((storm_first, not storm_first), start=1):
            if storm:
                row |= _storm(server, readers, count, turn, directory / "sql")
            else:
                opened = _come(server, readers, count, turn)
                row["open_s"], row["open_refused"] = opened["seconds"], opened["errors"]
    return row | {"relative": row["storm_s"] / row["open_s"]}


def _storm(server: Quartchat, readers: Generator, count: int, turn: int, sql: Path) -> Row:
    redis = server.valkey()
    quiet = _commands(redis)
    time.sleep(QUIET_S)
    web = server.groups()["web"]
    before, statements = _commands(redis), _statements(sql, web)
    cpu = procs.cpu_s(web)
    got = _come(server, readers, count, turn, behind=BEHIND, keep=True)
    after, cpu = _commands(redis), procs.cpu_s(web) - cpu
    sql_after = _statements(sql, web)
    _leave(server, readers)
    used = {name: after[name] - before.get(name, 0) for name in after}
    used = {name: calls for name, calls in used.items() if calls and name != "info"}
    rate = sum(before[name] - quiet.get(name, 0) for name in before if name != "info") / QUIET_S
    wrong = [got[name] for name in ("missing", "repeated", "holes", "orders", "resets", "short")]
    return {
        "storm_s": got["seconds"],
        "refused": sum(got["errors"].values()),
        "errors": got["errors"],
        "in_order": got["done"] and got["messages"] == count * BEHIND and not any(wrong),
        "events": got["messages"],
        "redis": sum(used.values()),
        "redis_beyond": max(0.0, sum(used.values()) - rate * got["seconds"]),
        "redis_commands": used,
        "sql": len(sql_after) - len(statements),
        "sql_texts": sorted(set(sql_after[len(statements) :]))[:20],
        "storm_cpu_s": cpu,
    }


def _come(
    server: Quartchat,
    readers: Generator,
    count: int,
    turn: int,
    *,
    behind: int = 0,
    keep: bool = False,
) -> dict[str, Any]:
    """Open all streams at once; return what `connect` says."""
    last_id = POSTED - behind if behind else None
    streams = [(1, server.stream(number, 1, last_id)) for number in range(count)]
    got = readers.ask(
        "connect", readers=streams, at_once=count, first_address=turn, goal=behind,
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


def _commands(redis: Any) -> dict[str, int]:
    """Return how often each command was called; those of a script count too."""
    found = redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): entry["calls"] for name, entry in found.items()}


def _statements(directory: Path, web: list[int]) -> list[str]:
    """Return the SQL statements of the web processes so far."""
    lines: list[str] = []
    for pid in web:
        path = directory / f"{pid}.sql"
        if path.exists():
            lines += path.read_text().splitlines()
    return lines
