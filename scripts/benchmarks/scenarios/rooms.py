"""`rooms`: 1,000 readers over 1, 100 and 1,000 rooms, at the same total rate of messages."""

from benchmarks import peers
from benchmarks.bench import Bench, Chart, Column, Result
from benchmarks.scenarios.carry import Load, carry

COLUMNS = (
    Column("delivered_percent", "delivered %", "{:.2f}"),
    Column("in_order", "each once, in order", "{}"),
    Column("message_us", "CPU µs/message, all processes", "{:,.0f}"),
    Column("relative", "ratio to one room", "{:.2f}"),
    Column("all_us", "CPU µs/delivery", "{:.1f}"),
    Column("p50_ms", "p50 ms"),
    Column("p99_ms", "p99 ms"),
    Column("pss_mb", "Pss MB, web"),
)


def run(bench: Bench) -> Result:
    """Measure each server with each number of rooms, all in turn, round by round."""
    readers, rate, seconds, rooms = bench.pick(
        (1000, 200, 10.0, (1, 100, 1000)), (60, 100, 2.0, (1, 6, 60))
    )
    readers, seconds = bench.readers or readers, bench.seconds or seconds
    rate = (bench.rates or (rate,))[0]
    result = Result(
        "rooms",
        f"{readers:,} readers over some rooms, {rate} messages/s in all",
        "Messages go to the rooms in turn; each room has been written to before.",
        ("rooms", "server"),
        COLUMNS,
        (Chart("rooms", "message_us", "CPU µs per message"), Chart("rooms", "p99_ms", "p99 ms")),
    )
    contest = peers.contest(bench, result, ("nchan", "socketio", "fastapi"))
    for number in range(1, bench.rounds + 1):
        alone: dict[str, float] = {}
        for count in rooms:
            for name, make in contest:
                load = Load(readers, rate, seconds, count)
                with bench.directory() as directory, make(directory, readers, count, {}) as server:
                    row = carry(server, load, directory)
                    result.versions[name] = server.versions()
                alone.setdefault(name, row["message_us"])
                row["relative"] = row["message_us"] / alone[name]
                result.rows.append({"round": number, "server": name, **row})
                bench.say(
                    f"rooms {number}/{bench.rounds}  {name:10} {count:5} rooms  "
                    f"{row['delivered_percent']:6.2f} %  {row['message_us']:8.0f} µs a message"
                )
    return result
