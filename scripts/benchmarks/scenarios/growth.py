"""`growth`: how one process's cost grows with readers, with messages, and with rooms.

Three sweeps, each along one line: readers at 100 messages a second into one room; messages a
second at 1,000 readers of one room; rooms of ten readers each at 100 messages a second in all.
"""

from functools import partial

from benchmarks import peers
from benchmarks.bench import Bench, Case, Chart, Column, Result, Turn, take_turns
from benchmarks.figures import Row
from benchmarks.scenarios.carry import Load, carry
from benchmarks.servers.quartchat import Quartchat

ROUNDS = 1
ROOM = 10  # readers of each room, where the rooms grow
COLUMNS = (
    Column("delivered_percent", "delivered %", "{:.2f}"),
    Column("in_order", "each once, in order", "{}"),
    Column("web_us", "CPU µs/delivery, web", "{:.2f}"),
    Column("all_us", "all processes", "{:.2f}"),
    Column("web_message_us", "CPU µs/message, web", "{:,.0f}"),
    Column("message_us", "all processes", "{:,.0f}"),
    Column("p99_ms", "p99 ms"),
    Column("p50_ms", "p50 ms"),
    Column("web_cores", "cores used, web", "{:.2f}"),
    Column("feed_reads_per_s", "feed reads/s"),
    Column("redis_kb_per_s", "kB/s out of Redis", "{:,.0f}"),
    Column("pss_mb", "Pss MB, web"),
)


def run(bench: Bench) -> Result:
    """Measure every point once a round."""
    rate, readers, seconds = bench.pick((100, 1000, 5.0), (50, 60, 1.0))
    sizes = bench.pick((100, 300, 1000, 3000), (20, 60))
    rates = bench.pick((10, 30, 100, 300, 1000), (20, 50))
    rooms = bench.pick((1, 10, 100, 300), (1, 3))
    seconds = bench.seconds or seconds
    loads = {
        (load.readers, load.rooms, load.rate): load
        for load in (
            *(Load(size, rate, seconds) for size in sizes),
            *(Load(readers, each, seconds) for each in rates),
            *(Load(ROOM * count, rate, seconds, count) for count in rooms),
        )
    }
    by_size = {"rooms": 1, "rate": rate}
    by_rate = {"rooms": 1, "readers": readers}
    by_rooms = {"room_readers": ROOM, "rate": rate}
    both = ("web_us", "all_us")
    result = Result(
        "growth",
        "cost by readers, by messages and by rooms, of one web process",
        f"Readers grow at {rate} messages/s into one room; messages at {readers:,} readers of one"
        f" room; rooms, of {ROOM} readers each, at {rate} messages/s in all.",
        ("readers", "rooms", "rate"),
        COLUMNS,
        (
            Chart("readers", both, f"CPU µs per delivery, {rate} messages/s", by_size),
            Chart("rate", both, f"CPU µs per delivery, {readers:,} readers", by_rate),
            Chart("rooms", ("web_message_us", "message_us"), "CPU µs per message", by_rooms),
            Chart("readers", ("p50_ms", "p99_ms"), f"latency ms, {rate} messages/s", by_size),
            Chart("rate", ("p50_ms", "p99_ms"), f"latency ms, {readers:,} readers", by_rate),
            Chart("rooms", ("p50_ms", "p99_ms"), "latency ms", by_rooms),
        ),
    )
    cases = [
        Case(
            {"server": "quartchat", "room_readers": load.readers / load.rooms},
            peers.quartchat(load.readers, load.rooms),
            partial(_measure, load=load),
        )
        for load in loads.values()
    ]
    take_turns(bench, result, cases, ROUNDS)
    return result


def _measure(turn: Turn, load: Load) -> Row:
    server = turn.server
    assert isinstance(server, Quartchat)  # noqa: S101 - no peer grows here
    redis = server.valkey()

    def meter() -> dict[str, float]:
        commands, totals = redis.info("commandstats"), redis.info("stats")
        return {
            "feed_reads": commands.get("cmdstat_xread", {}).get("calls", 0),
            "redis_kb": totals["total_net_output_bytes"] / 1e3,
        }

    return carry(turn, load, meter)
