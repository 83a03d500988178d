"""`idle`: 10,000 open streams: what they cost, and whether all of it comes back."""

import time
from typing import Any

from benchmarks import peers, procs
from benchmarks.bench import Bench, Column, Result, Row
from benchmarks.load import Generator
from benchmarks.scenarios.carry import readers_of
from benchmarks.servers import Server
from benchmarks.servers.quartchat import Quartchat

CONNECT_AT_ONCE = 256
CONNECT_S = 180.0
SETTLE_S = 2.0
CLOSE_S = 30.0
WARM_UP = 16  # streams before those that count, for what happens once
SOME_FILES = 64  # that a server may keep for other reasons, as connections to Redis
SPARE_FILES = 300  # of a process, beside its streams
COLUMNS = (
    Column("streams", "streams", "{:,.0f}"),
    Column("connect_rate", "opened/s", "{:,.0f}"),
    Column("stream_kb", "kB/stream, web", "{:.1f}"),
    Column("whole_kb", "whole web process / streams", "{:.1f}"),
    Column("all_stream_kb", "kB/stream, all processes", "{:.1f}"),
    Column("heartbeat_percent", "heartbeats, % of a core", "{:.1f}"),
    Column("heartbeats_per_s", "heartbeats/s", "{:,.0f}"),
    Column("open_after", "streams still open then", "{:,.0f}"),
    Column("stayed_mb", "Pss MB that stays, 1st close", "{:+.1f}"),
    Column("grown_mb", "then to the last close", "{:+.1f}"),
    Column("back_s", "closed within s"),
    Column("files_left", "files left open", "{:+.0f}"),
    Column("streams_left", "streams left", "{:.0f}"),
)


def run(bench: Bench) -> Result:
    """Open, watch and close; quartchat five times over."""
    streams, watch_s, cycles = bench.pick((10_000, 36.0, 5), (300, 4.0, 2))
    result = Result(
        "idle",
        f"{streams:,} open streams",
        "Default heartbeats (15 s). Memory is the growth of Pss, the kernel's socket buffers"
        f" apart. quartchat's streams are opened and closed {cycles} times; peers' once.",
        ("server",),
        COLUMNS,
    )
    env = bench.pick({}, {"QUARTCHAT_HEARTBEAT_S": "1"})
    contest = peers.contest(bench, result, ("nchan", "socketio", "fastapi"))
    for number in range(1, bench.rounds + 1):
        for name, make in contest:
            # The FastAPI peer holds a connection to Redis for each stream.
            most = (procs.raise_file_limit() - SPARE_FILES) // (2 if name == "fastapi" else 1)
            count = min(streams, most)
            with bench.directory() as directory, make(directory, count, 1, env) as server:
                with readers_of(server, directory / "load.log") as readers:
                    turns = cycles if name == "quartchat" else 1
                    row = _measure(
                        bench, server, readers, count=count, watch_s=watch_s, cycles=turns
                    )
                result.versions[name] = server.versions()
            result.rows.append({"round": number, "server": name, **row})
            bench.say(
                f"idle {number}/{bench.rounds}  {name:10} {row['streams']} streams  "
                f"{row['stream_kb']:.1f} kB each, heartbeats {row['heartbeat_percent']:.1f} %"
            )
    return result


def _measure(
    bench: Bench,
    server: Server,
    readers: Generator,
    *,
    count: int,
    watch_s: float,
    cycles: int,
) -> Row:
    groups = server.groups()
    web, everything = groups["web"], [pid for pids in groups.values() for pid in pids]
    _open(server, readers, WARM_UP, 0)
    readers.ask("close")
    _wait_until_closed(server, procs.open_files(web) - WARM_UP)
    time.sleep(SETTLE_S)
    base = {
        "web": procs.pss_kb(web),
        "all": procs.pss_kb(everything),
        "files": procs.open_files(web),
    }
    quiet = _cores(everything, watch_s / 2)
    row: dict[str, Any] = {"cycles": []}
    for cycle in range(cycles):
        opened = _open(server, readers, count, cycle + 1)
        if cycle == 0:
            row |= {
                "streams": opened["open"],
                "refused": opened["errors"],
                "connect_rate": opened["open"] / opened["seconds"],
                "stream_kb": _kb(procs.pss_kb(web) - base["web"]) / opened["open"],
                "whole_kb": _kb(procs.pss_kb(web)) / opened["open"],
                "all_stream_kb": _kb(procs.pss_kb(everything) - base["all"]) / opened["open"],
            }
            before = readers.ask("tell")["heartbeats"]
            began = time.monotonic()
            busy = _cores(everything, watch_s)
            told = readers.ask("tell")
            row |= {
                "heartbeat_percent": 100 * (busy - quiet),
                "quiet_percent": 100 * quiet,
                "heartbeats_per_s": (told["heartbeats"] - before) / (time.monotonic() - began),
                "open_after": told["open"],
                "cut": told["errors"],
            }
        readers.ask("close", within_s=CLOSE_S)
        closing = time.monotonic()
        left = _wait_until_closed(server, base["files"])
        closing = time.monotonic() - closing
        row["cycles"].append(
            {
                "opened": opened["open"],
                "seconds": opened["seconds"],
                "pss_mb": procs.pss_kb(web) / 1024,
                "files": procs.open_files(web) - base["files"],
                "streams": left,
                "back_s": closing,
            }
        )
        if cycles > 1:
            bench.say(
                f"idle  cycle {cycle + 1}/{cycles}: {row['cycles'][-1]['pss_mb']:.0f} MB after it"
            )
    closed = row["cycles"]
    return row | {
        "stayed_mb": closed[0]["pss_mb"] - base["web"] / 1024,
        "grown_mb": closed[-1]["pss_mb"] - closed[0]["pss_mb"] if cycles > 1 else None,
        "files_left": closed[-1]["files"],
        "back_s": max(cycle["back_s"] for cycle in closed),
        "streams_left": closed[-1]["streams"],
    }


def _open(server: Server, readers: Generator, count: int, turn: int) -> dict[str, Any]:
    streams = [(1, server.stream(number, 1)) for number in range(count)]
    opened = readers.ask(
        "connect", readers=streams, at_once=CONNECT_AT_ONCE, first_address=turn,
        timeout_s=CONNECT_S, within_s=CONNECT_S,
    )  # fmt: skip
    if not opened["open"]:
        raise procs.StartError(f"no stream opened: {opened['errors']}")
    time.sleep(SETTLE_S)
    return opened


def _wait_until_closed(server: Server, files: int) -> int | None:
    """Wait until the server has let go; return what it still counts, None where it does not."""
    deadline = time.monotonic() + CLOSE_S
    web = server.groups()["web"]
    while procs.open_files(web) > files + SOME_FILES and time.monotonic() < deadline:
        time.sleep(0.2)
    if isinstance(server, Quartchat):
        return int(server.metric("quartchat_streams"))
    return None


def _cores(pids: list[int], seconds: float) -> float:
    """Return how many cores processes use."""
    before, began = procs.cpu_s(pids), time.monotonic()
    time.sleep(seconds)
    return (procs.cpu_s(pids) - before) / (time.monotonic() - began)


def _kb(kib: int) -> float:
    return kib * 1.024
