"""`processes`: one web process and two, behind one listening socket."""

from benchmarks.bench import Bench, Column, Result
from benchmarks.scenarios.carry import Load, carry
from benchmarks.servers.quartchat import People, Quartchat

COLUMNS = (
    Column("delivered_percent", "delivered %", "{:.2f}"),
    Column("in_order", "each once, in order", "{}"),
    Column("web_us", "CPU µs/delivery, web", "{:.2f}"),
    Column("all_us", "all processes", "{:.2f}"),
    Column("relative", "all, ratio to one", "{:.2f}"),
    Column("p50_ms", "p50 ms"),
    Column("p99_ms", "p99 ms"),
    Column("web_cores", "cores used, web", "{:.2f}"),
)


def run(bench: Bench) -> Result:
    """Measure both, in turn."""
    readers, seconds, rates = bench.pick((1000, 10.0, (100, 1000)), (100, 2.0, (100,)))
    readers, seconds, rates = (
        bench.readers or readers,
        bench.seconds or seconds,
        bench.rates or rates,
    )
    result = Result(
        "processes",
        f"{readers:,} readers of one room, with WEB_CONCURRENCY=1 and 2",
        "As `fanout`. On two cores the load generators take their part of what two processes need.",
        ("rate", "web_processes"),
        COLUMNS,
    )
    for number in range(1, bench.rounds + 1):
        for rate in rates:
            alone = 0.0
            for processes in (1, 2):
                with bench.directory() as directory:
                    env = {"WEB_CONCURRENCY": str(processes)}
                    with Quartchat(directory, People(readers), env) as server:
                        row = carry(server, Load(readers, rate, seconds), directory)
                        result.versions["quartchat"] = server.versions()
                alone = alone or row["all_us"]
                row["relative"] = row["all_us"] / alone
                place = {"round": number, "server": "quartchat", "web_processes": processes}
                result.rows.append(place | row)
                bench.say(
                    f"processes {number}/{bench.rounds}  {processes} at {rate}/s  "
                    f"{row['delivered_percent']:6.2f} %  {row['all_us']:6.2f} µs all"
                )
    return result
