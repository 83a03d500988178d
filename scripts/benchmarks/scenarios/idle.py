"""`idle`: 10,000 open streams: what they cost, and whether all of it comes back."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from benchmarks import peers, procs, servers
from benchmarks.bench import Bench, Case, Column, Result, Turn, take_turns
from benchmarks.figures import Row
from benchmarks.load import Generator
from benchmarks.scenarios.carry import CONNECT_AT_ONCE, readers_of
from benchmarks.servers import Server
from benchmarks.servers.quartchat import Quartchat

ROUNDS = 1
CONNECT_S = 180.0
SETTLE_S = 2.0
CLOSE_S = 30.0
WARM_UP = 16  # streams before those that count, for what happens once
SOME_FILES = 8  # that a server may keep for other reasons, as connections to Redis
SPARE_FILES = 300  # of a process, beside its streams
COLUMNS = (
    Column("streams", "streams", "{:,.0f}"),
    Column("connect_rate", "opened/s", "{:,.0f}"),
    Column("stream_kb", "kB/stream, web", "{:.1f}"),
    Column("whole_kb", "whole web process / streams", "{:.1f}"),
    Column("heartbeat_percent", "heartbeats, % of a core", "{:.1f}"),
    Column("files_left", "files left open", "{:+.0f}"),
    Column("all_stream_kb", "kB/stream, all processes", "{:.1f}"),
    Column("heartbeats_per_s", "heartbeats/s", "{:,.0f}"),
    Column("open_after", "streams still open then", "{:,.0f}"),
    Column("stayed_mb", "Pss MB that stays, 1st close", "{:+.1f}"),
    Column("grown_mb", "then to the last close", "{:+.1f}"),
    Column("cycle_count", "times closed", "{:.0f}"),
    Column("back_s", "closed within s"),
    Column("streams_left", "streams left", "{:.0f}"),
)


@dataclass(frozen=True, slots=True)
class Level:
    """What a server holds at a moment."""

    web_kb: float
    all_kb: float
    files: int

    @classmethod
    def of(cls, server: Server) -> Self:
        """Read it from /proc; a kB is 1,000 bytes."""
        groups = server.groups()
        web, everything = groups["web"], servers.everything(groups)
        kib = 1.024
        return cls(procs.pss_kb(web) * kib, procs.pss_kb(everything) * kib, procs.open_files(web))


def run(bench: Bench) -> Result:
    """Open, watch and close; quartchat five times over."""
    streams, watch_s, cycles = bench.pick((10_000, 30.0, 5), (300, 4.0, 2))
    streams, watch_s = bench.readers or streams, bench.seconds or watch_s
    result = Result(
        "idle",
        f"{streams:,} open streams",
        "Default heartbeats (15 s), whose CPU is that of all processes beyond what they use"
        " without streams. `kB/stream` is (Pss with N streams - Pss before) / N; the kernel's"
        f" socket buffers are apart. quartchat's streams are opened and closed {cycles} times;"
        " peers' once.",
        ("server",),
        COLUMNS,
    )
    env = bench.pick({}, {"QUARTCHAT_HEARTBEAT_S": "1"})
    count = min(streams, procs.raise_file_limit() - SPARE_FILES)
    contest = {"quartchat": peers.quartchat(count, env=env)}
    contest |= peers.those(bench, result, ("nchan", "socketio"))
    cases = []
    for name, make in contest.items():
        turns = cycles if name == "quartchat" else 1
        measure = partial(_measure, count=count, watch_s=watch_s, cycles=turns)
        cases.append(Case({"server": name}, make, measure))
    take_turns(bench, result, cases, ROUNDS)
    return result


def _measure(turn: Turn, count: int, watch_s: float, cycles: int) -> Row:
    server = turn.server
    row: Row = {}
    closed: list[Row] = []
    with readers_of(server, turn.directory) as readers:
        before = Level.of(server)
        _open(server, readers, WARM_UP, 0)
        _close(server, readers, before)
        base = Level.of(server)
        quiet = _cores(server, watch_s / 3)
        for cycle in range(cycles):
            opened = _open(server, readers, count, cycle + 1)
            if not row:
                row = _size(server, opened, base) | _heartbeats(server, readers, watch_s, quiet)
            closed.append(_close(server, readers, base) | {"opened": opened["open"]})
    return row | _came_back(base, closed)


def _size(server: Server, opened: dict[str, Any], base: Level) -> Row:
    count, full = opened["open"], Level.of(server)
    return {
        "streams": count,
        "refused": opened["errors"],
        "connect_rate": count / opened["seconds"],
        "stream_kb": (full.web_kb - base.web_kb) / count,
        "whole_kb": full.web_kb / count,
        "all_stream_kb": (full.all_kb - base.all_kb) / count,
    }


def _heartbeats(server: Server, readers: Generator, watch_s: float, quiet: float) -> Row:
    before, began = readers.ask("tell")["heartbeats"], time.monotonic()
    busy = _cores(server, watch_s)
    told = readers.ask("tell")
    return {
        "heartbeat_percent": 100 * (busy - quiet),
        "quiet_percent": 100 * quiet,
        "heartbeats_per_s": (told["heartbeats"] - before) / (time.monotonic() - began),
        "open_after": told["open"],
        "cut": told["errors"],
    }


def _came_back(base: Level, closed: list[Row]) -> Row:
    first, last = closed[0], closed[-1]
    known = [cycle["streams"] for cycle in closed if cycle["streams"] is not None]
    return {
        "cycles": closed,
        "cycle_count": len(closed),
        "stayed_mb": (first["web_kb"] - base.web_kb) / 1e3,
        "grown_mb": (last["web_kb"] - first["web_kb"]) / 1e3 if len(closed) > 1 else None,
        "grown_ratio": last["web_kb"] / first["web_kb"],
        "files_left": max(cycle["files"] for cycle in closed),
        "streams_left": max(known) if known else None,
        "came_back": not any(known) and all(cycle["files"] <= SOME_FILES for cycle in closed),
        "back_s": max(cycle["seconds"] for cycle in closed),
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


def _close(server: Server, readers: Generator, base: Level) -> Row:
    """Close all streams; say what the server still holds when it has let go, or should have."""
    readers.ask("close", within_s=CLOSE_S)
    began = time.monotonic()
    web = server.groups()["web"]
    while procs.open_files(web) > base.files + SOME_FILES and time.monotonic() - began < CLOSE_S:
        time.sleep(0.2)
    seconds = time.monotonic() - began
    time.sleep(SETTLE_S)
    left = Level.of(server)
    return {
        "seconds": seconds,
        "web_kb": left.web_kb,
        "files": left.files - base.files,
        "streams": server.metric("quartchat_streams") if isinstance(server, Quartchat) else None,
    }


def _cores(server: Server, seconds: float) -> float:
    """Return how many cores a server uses."""
    pids = servers.everything(server.groups())
    before, began = procs.cpu_s(pids), time.monotonic()
    time.sleep(seconds)
    return (procs.cpu_s(pids) - before) / (time.monotonic() - began)
