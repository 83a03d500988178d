"""`processes`: one web process and two, behind one listening socket."""

from functools import partial

from benchmarks import figures, peers
from benchmarks.bench import Bench, Case, Column, Result, take_turns
from benchmarks.scenarios.carry import Load, carry

ROUNDS = 2
COLUMNS = (
    Column("delivered_percent", "delivered %", "{:.2f}"),
    Column("in_order", "each once, in order", "{}"),
    Column("web_us", "CPU µs/delivery, web", "{:.2f}"),
    Column("all_us", "all processes", "{:.2f}"),
    Column("relative", "all, ratio to one", "{:.2f}"),
    Column("p99_ms", "p99 ms"),
    Column("p50_ms", "p50 ms"),
    Column("web_cores", "cores used, web", "{:.2f}"),
)


def run(bench: Bench) -> Result:
    """Measure both, in turn."""
    readers, seconds, rates = bench.pick((1000, 8.0, (100, 1000)), (100, 2.0, (100,)))
    readers, seconds = bench.readers or readers, bench.seconds or seconds
    result = Result(
        "processes",
        f"{readers:,} readers of one room, with WEB_CONCURRENCY=1 and 2",
        "As `fanout`. On two cores the load generators take their part of what two processes need.",
        ("rate", "web_processes"),
        COLUMNS,
    )
    cases = [
        Case(
            {"server": "quartchat", "rate": rate, "web_processes": processes},
            peers.quartchat(readers, env={"WEB_CONCURRENCY": str(processes)}),
            partial(carry, load=Load(readers, rate, seconds)),
        )
        for rate in bench.rates or rates
        for processes in (1, 2)
    ]
    take_turns(bench, result, cases, ROUNDS)
    figures.relate(result.rows, "all_us", {"web_processes": 1}, ("rate",))
    return result
