"""`posts`: sends as fast as they are answered, on 16 connections.

Beside them an empty authenticated POST route of Quart on the same Hypercorn: what is left when
all that quartchat does is taken away. Both are asked with a cookie and the same body, by the
same writers, for as long; `peer_files/empty_app.py` says what the empty route does.
"""

from benchmarks import figures, procs, servers
from benchmarks.bench import Bench, Case, Column, Result, Turn, take_turns
from benchmarks.figures import Row, per
from benchmarks.scenarios.carry import writers_of
from benchmarks.servers.empty import Empty, EmptyOnOurs
from benchmarks.servers.quartchat import People, Quartchat

ROUNDS = 3
CONNECTIONS = 16
COLUMNS = (
    Column("rate", "answers/s", "{:,.0f}"),
    Column("relative", "of the empty route", "{:.2f}"),
    Column("p50_ms", "p50 ms"),
    Column("p99_ms", "p99 ms"),
    Column("web_us", "CPU µs/send, web", "{:.0f}"),
    Column("all_us", "all processes", "{:.0f}"),
    Column("good", "all 201", "{}"),
    Column("web_cores", "cores used, web", "{:.2f}"),
    Column("generator_cores", "by the writers", "{:.2f}"),
)


def run(bench: Bench) -> Result:
    """Measure both in turn."""
    seconds = bench.seconds or bench.pick(8.0, 2.0)
    result = Result(
        "posts",
        f"sends on {CONNECTIONS} connections",
        "Each connection sends its next message when the last one is answered; nobody listens."
        " The empty route is Quart with quart-auth: it checks the signed cookie, does not read"
        " the body, asks neither SQL nor Redis, and answers 201 with `{}`. It runs on the same"
        " uvloop, with the same settings of Hypercorn and of the garbage collector; once with"
        " Hypercorn as it comes, and once with quartchat/http1.py in it, as"
        " quartchat has them. Beside"
        " quartchat's web process its Valkey and its worker share the two cores with the writers.",
        ("server",),
        COLUMNS,
    )
    cases = [
        Case({"server": name}, make, lambda turn: _flood(turn, seconds))
        for name, make in (
            (Empty.name, Empty),
            (EmptyOnOurs.name, EmptyOnOurs),
            ("quartchat", lambda directory: Quartchat(directory, People(1))),
        )
    ]
    take_turns(bench, result, cases, ROUNDS)
    figures.relate(result.rows, "rate", {"server": Empty.name})
    return result


def _heads(turn: Turn) -> list[str]:
    server = turn.server
    if isinstance(server, Quartchat):  # its other scenarios use tokens
        cookies = [server.register(f"sender{n}") for n in range(CONNECTIONS)]
        return [servers.post_head(f"Cookie: {cookie}\r\n") for cookie in cookies]
    return server.heads(CONNECTIONS)


def _flood(turn: Turn, seconds: float) -> Row:
    server = turn.server
    with writers_of(server, _heads(turn), turn.directory) as writers:
        writers.ask("flood", seconds=seconds / 5, rooms=[1], within_s=seconds)
        groups = server.groups()
        before = {name: procs.cpu_s(pids) for name, pids in groups.items()}
        own = writers.cpu_s()
        got = writers.ask("flood", seconds=seconds, rooms=[1], within_s=seconds)
        used = {name: procs.cpu_s(pids) - before[name] for name, pids in groups.items()}
        own = writers.cpu_s() - own
    return {
        "connections": CONNECTIONS,
        "rate": got["rate"],
        "posted": got["posted"],
        "p50_ms": got["took"].get("p50_ms"),
        "p99_ms": got["took"].get("p99_ms"),
        "good": set(got["statuses"]) == {"201"},
        "statuses": got["statuses"],
        "web_us": per(1e6 * used["web"], got["posted"]),
        "all_us": per(1e6 * sum(used.values()), got["posted"]),
        "per_web_cpu_s": per(got["posted"], used["web"]),
        "web_cores": used["web"] / got["seconds"],
        "cpu_s": used,
        "generator_cores": own / got["seconds"],
    }
