"""`posts`: sends as fast as they are answered, on 16 connections.

Beside them an empty authenticated POST route of Quart on the same Hypercorn: what is left when
all that quartchat does is taken away. Both are asked with a cookie and the same body.
"""

from pathlib import Path

from benchmarks import procs, servers
from benchmarks.bench import Bench, Column, Result, Row
from benchmarks.scenarios.carry import writers_of
from benchmarks.servers import Server
from benchmarks.servers.empty import Empty
from benchmarks.servers.quartchat import People, Quartchat

CONNECTIONS = 16
COLUMNS = (
    Column("rate", "answers/s", "{:,.0f}"),
    Column("relative", "of the empty route", "{:.2f}"),
    Column("p50_ms", "p50 ms"),
    Column("p99_ms", "p99 ms"),
    Column("good", "all 201", "{}"),
    Column("web_us", "CPU µs/send, web", "{:.0f}"),
    Column("all_us", "all processes", "{:.0f}"),
)


def run(bench: Bench) -> Result:
    """Measure both in turn."""
    seconds = bench.pick(10.0, 2.0)
    result = Result(
        "posts",
        f"sends on {CONNECTIONS} connections",
        "Each connection sends its next message when the last one is answered; nobody listens.",
        ("server",),
        COLUMNS,
    )
    for number in range(1, bench.rounds + 1):
        with bench.directory() as directory, Empty(directory) as empty:
            yardstick = _flood(empty, empty.heads(CONNECTIONS), seconds, directory)
            result.versions["empty route"] = empty.versions()
        with bench.directory() as directory, Quartchat(directory, People(1)) as quartchat:
            cookies = [quartchat.register(f"sender{n}") for n in range(CONNECTIONS)]
            heads = [servers.post_head(f"Cookie: {cookie}\r\n") for cookie in cookies]
            row = _flood(quartchat, heads, seconds, directory)
            result.versions["quartchat"] = quartchat.versions()
        for name, found in (("empty route", yardstick), ("quartchat", row)):
            relative = found["rate"] / yardstick["rate"]
            result.rows.append({"round": number, "server": name, "relative": relative, **found})
        bench.say(
            f"posts {number}/{bench.rounds}  {row['rate']:.0f}/s, empty {yardstick['rate']:.0f}/s, "
            f"{row['rate'] / yardstick['rate']:.2f}"
        )
    return result


def _flood(server: Server, heads: list[str], seconds: float, directory: Path) -> Row:
    with writers_of(server, heads, directory / "load.log") as writers:
        writers.ask("flood", seconds=seconds / 5, rooms=[1], within_s=seconds)
        groups = server.groups()
        before = {name: procs.cpu_s(pids) for name, pids in groups.items()}
        own = writers.cpu_s()
        got = writers.ask("flood", seconds=seconds, rooms=[1], within_s=seconds)
        used = {name: procs.cpu_s(pids) - before[name] for name, pids in groups.items()}
        own = writers.cpu_s() - own
    posted = max(got["posted"], 1)
    return {
        "rate": got["rate"],
        "posted": got["posted"],
        "p50_ms": got["took"].get("p50_ms"),
        "p99_ms": got["took"].get("p99_ms"),
        "good": set(got["statuses"]) == {"201"},
        "statuses": got["statuses"],
        "web_us": 1e6 * used["web"] / posted,
        "all_us": 1e6 * sum(used.values()) / posted,
        "cpu_s": used,
        "generator_cores": own / got["seconds"],
    }
