"""`fanout`: 1,000 readers of one room, and 10, 100, 1,000 messages a second into it."""

from functools import partial

from benchmarks import peers
from benchmarks.bench import Bench, Case, Chart, Column, Result, take_turns
from benchmarks.scenarios.carry import Load, carry

ROUNDS = 2
RATES = (10, 100, 1000)
COLUMNS = (
    Column("delivered_percent", "delivered %", "{:.2f}"),
    Column("in_order", "each once, in order", "{}"),
    Column("p99_ms", "p99 ms"),
    Column("web_us", "CPU µs/delivery, web", "{:.2f}"),
    Column("all_us", "all processes", "{:.2f}"),
    Column("per_cpu_s", "deliveries/CPU s, all", "{:,.0f}"),
    Column("deliveries_per_s", "deliveries/s", "{:,.0f}"),
    Column("p50_ms", "p50 ms"),
    Column("sent_p99_ms", "p99 ms since sent"),
    Column("post_p99_ms", "POST p99 ms"),
    Column("pss_mb", "Pss MB, web"),
    Column("all_pss_mb", "all"),
)


def run(bench: Bench) -> Result:
    """Measure each server at each rate, all in turn, round by round."""
    readers, seconds = bench.pick((1000, 10.0), (100, 2.0))
    readers, seconds = bench.readers or readers, bench.seconds or seconds
    result = Result(
        "fanout",
        f"{readers:,} readers of one room",
        "Messages are posted over HTTP by 64 writers. Latency counts from when a message was due,"
        " which is earlier than when it was sent where all writers still waited for an answer.",
        ("rate", "server"),
        COLUMNS,
        (
            Chart("rate", ("all_us",), "CPU µs per delivery, all processes"),
            Chart("rate", ("p99_ms",), "p99 ms"),
            Chart("rate", ("deliveries_per_s",), "deliveries per second"),
        ),
    )
    contest = {"quartchat": peers.quartchat(readers)}
    contest |= peers.those(bench, result, ("nchan", "socketio", "fastapi"))
    cases = [
        Case(
            {"server": name, "rate": rate},
            make,
            partial(carry, load=Load(readers, rate, seconds)),
        )
        for rate in bench.rates or RATES
        for name, make in contest.items()
    ]
    take_turns(bench, result, cases, ROUNDS)
    return result
