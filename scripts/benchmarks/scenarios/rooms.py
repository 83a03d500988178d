"""`rooms`: 1,000 readers over 1, 100 and 1,000 rooms, at the same total rate of messages."""

from functools import partial

from benchmarks import figures, peers
from benchmarks.bench import Bench, Case, Chart, Column, Result, take_turns
from benchmarks.scenarios.carry import Load, carry

ROUNDS = 1
COLUMNS = (
    Column("delivered_percent", "delivered %", "{:.2f}"),
    Column("in_order", "each once, in order", "{}"),
    Column("web_message_us", "CPU µs/message, web", "{:,.0f}"),
    Column("message_us", "all processes", "{:,.0f}"),
    Column("relative", "ratio to one room", "{:.2f}"),
    Column("p99_ms", "p99 ms"),
    Column("all_us", "CPU µs/delivery", "{:.1f}"),
    Column("p50_ms", "p50 ms"),
    Column("pss_mb", "Pss MB, web"),
)


def run(bench: Bench) -> Result:
    """Measure each server with each number of rooms, all in turn, round by round."""
    readers, rate, seconds, rooms = bench.pick(
        (1000, 200, 8.0, (1, 100, 1000)), (60, 100, 2.0, (1, 6, 60))
    )
    readers, seconds = bench.readers or readers, bench.seconds or seconds
    rate = (bench.rates or (rate,))[0]
    result = Result(
        "rooms",
        f"{readers:,} readers over some rooms, {rate} messages/s in all",
        "Messages go to the rooms in turn; each room has been written to before. With more rooms"
        " a message has fewer readers; `growth` has rooms of the same size.",
        ("rooms", "server"),
        COLUMNS,
        (
            Chart("rooms", ("message_us",), "CPU µs per message, all processes"),
            Chart("rooms", ("p99_ms",), "p99 ms"),
        ),
    )
    others = peers.those(bench, result, ("nchan", "socketio"))
    cases = [
        Case(
            {"server": name, "rooms": count},
            make,
            partial(carry, load=Load(readers, rate, seconds, count)),
        )
        for count in rooms
        for name, make in ({"quartchat": peers.quartchat(readers, count)} | others).items()
    ]
    take_turns(bench, result, cases, ROUNDS)
    figures.relate(result.rows, "message_us", {"rooms": min(rooms)}, ("server",))
    return result
