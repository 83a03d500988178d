"""`fanout`: 1,000 readers of one room, and 10, 100, 1,000 messages a second into it."""

from benchmarks import peers
from benchmarks.bench import Bench, Chart, Column, Result
from benchmarks.scenarios.carry import Load, carry

RATES = (10, 100, 1000)
COLUMNS = (
    Column("delivered_percent", "delivered %", "{:.2f}"),
    Column("in_order", "each once, in order", "{}"),
    Column("deliveries_per_s", "deliveries/s", "{:,.0f}"),
    Column("p50_ms", "p50 ms"),
    Column("p99_ms", "p99 ms"),
    Column("sent_p99_ms", "p99 ms since sent"),
    Column("web_us", "CPU µs/delivery, web", "{:.2f}"),
    Column("all_us", "all processes", "{:.2f}"),
    Column("per_cpu_s", "deliveries/CPU s", "{:,.0f}"),
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
            Chart("rate", "all_us", "CPU µs per delivery, all processes"),
            Chart("rate", "p99_ms", "p99 ms"),
            Chart("rate", "deliveries_per_s", "deliveries per second"),
        ),
    )
    contest = peers.contest(bench, result, ("nchan", "socketio", "fastapi"))
    for number in range(1, bench.rounds + 1):
        for rate in bench.rates or RATES:
            for name, make in contest:
                load = Load(readers, rate, seconds)
                with (
                    bench.directory() as directory,
                    make(directory, load.readers, load.rooms, {}) as server,
                ):
                    row = carry(server, load, directory)
                    result.versions[name] = server.versions()
                result.rows.append({"round": number, "server": name, **row})
                bench.say(
                    f"fanout {number}/{bench.rounds}  {name:10} {rate:5}/s  "
                    f"{row['delivered_percent']:6.2f} %  p99 {row['p99_ms'] or 0:7.1f} ms  "
                    f"{row['web_us']:6.2f} µs web, {row['all_us']:6.2f} µs all"
                )
    return result
