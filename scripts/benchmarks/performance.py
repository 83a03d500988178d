"""The figures in docs/performance.md: each table there is made anew from what was measured.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; the words around it are a
person's. `TABLES` has the function for each name.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import figures, report
from benchmarks.bench import Column
from benchmarks.figures import Place, Row

READERS = 100_000
PER_PROCESS = 10_000  # streams of one process; what `idle` has measured
LOADED = 0.6  # of a core, that a web process should not exceed on average
PER_HOST = 8  # web processes
FEED_RATE = 1000  # messages a second, over all rooms
READS_PER_S = 50  # of a process, at most: quartchat/feed.py rests 20 ms between reads
PER_READER = (1, 10, 100)  # messages a second that each reader gets
NOT_YET = "Not measured yet: `scripts/bench {}` makes this table."

Found = Mapping[str, Mapping[str, Any]]  # what was written, by scenario
_TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(path: Path, found: Found) -> None:
    """Write the tables of a page anew."""
    path.write_text(filled(path.read_text(), found))


def filled(text: str, found: Found) -> str:
    """Return a page with its tables made anew."""

    def made(match: re.Match[str]) -> str:
        scenario, make = TABLES[match[2]]
        missing = [name for name in scenario if name not in found]
        body = NOT_YET.format(" ".join(missing)) if missing else make(found)
        return f"{match[1]}{body}\n{match[3]}"

    return _TABLE.sub(made, text)


def sweep(place: Place, by: str, columns: Mapping[str, str]) -> Callable[[Found], str]:
    """Return what makes the table of one of `growth`'s lines, sorted by what grows."""

    def make(found: Found) -> str:
        raw = found["growth"]
        chosen = {column["key"]: column["form"] for column in raw["columns"]}
        groups = figures.grouped(figures.at(raw["rows"], place), (by,))
        lines = [[columns[by], *(columns[key] for key in columns if key != by)]]
        for (value,), rows in sorted(groups.items(), key=lambda item: item[0][0]):
            cells = [chosen[key].format(_median(rows, key)) for key in columns if key != by]
            lines.append([f"{value:,}", *cells])
        return report.markdown(lines)

    return make


def opening(found: Found) -> str:
    """Return how long a page takes to show a room, by its size and by what the browser has."""
    raw = found["opening"]
    columns = [Column(**column) for column in raw["columns"]]
    lines = [["messages in the room", "cache", *(column.title for column in columns)]]
    for (size, cache), rows in figures.grouped(raw["rows"], raw["by"]).items():
        cells = [column.text([row.get(column.key) for row in rows]) for column in columns]
        lines.append([f"{size:,}", cache, *cells])
    return report.markdown(lines)


def sizing(found: Found) -> str:
    """Return what 100,000 readers need, at some rates; the arithmetic is in the lines' names."""
    idle = _rows(found, "idle", {"server": "quartchat"})
    web_kb, stream_kb = _median(idle, "whole_kb"), _median(idle, "stream_kb")
    beats = _median(idle, "heartbeat_percent") / 100 * READERS / _median(idle, "streams")
    needs = [_need(found, rate, beats) for rate in PER_READER]
    lines = [
        ["each reader gets", *(f"{rate:,}/s" for rate in PER_READER)],
        *([name, *(need[name] for need in needs)] for name in needs[0]),
    ]
    sizes = (
        f"{READERS:,} streams are {READERS * stream_kb / 1e6:.1f} GB beside what the processes"
        f" are without them; at {PER_PROCESS:,} streams a process,"
        f" {READERS * web_kb / 1e6:.1f} GB in all"
        f" ({web_kb:.1f} kB a stream, {stream_kb:.1f} of it the stream's own).\n"
        f"Their heartbeats cost {beats:.2f} cores.\n"
    )
    return f"{sizes}\n{report.markdown(lines, (0,))}"


def _need(found: Found, rate: int, beats: float) -> dict[str, str]:
    """Return what 100,000 readers need who get so many messages a second each."""
    measured = max(rate, PER_READER[1])  # the lightest load that `fanout` has
    rows = _rows(found, "fanout", {"server": "quartchat", "readers": 1000, "rate": measured})
    delivery_us, event = _median(rows, "web_us"), _median(rows, "event_bytes")
    cores = READERS * rate * delivery_us / 1e6 + beats
    processes = max(math.ceil(READERS / PER_PROCESS), math.ceil(cores / LOADED))
    return {
        "deliveries a second": f"{READERS * rate:,}",
        f"CPU µs per delivery, web, at 1,000 readers and {PER_READER[1]} or {PER_READER[2]}/s": (
            f"{delivery_us:.2f}"
        ),
        "cores for that, with heartbeats": f"{cores:.1f}",
        f"web processes: at most {PER_PROCESS:,} streams and {LOADED:.0%} of a core each": (
            f"{processes:,}"
        ),
        f"hosts of {PER_HOST} processes": f"{math.ceil(processes / PER_HOST):,}",
        "streams (sockets, descriptors) a process": f"{math.ceil(READERS / processes):,}",
        "bytes to readers a second": f"{READERS * rate * event / 1e6:,.0f} MB",
        f"feed out of Redis for each {FEED_RATE:,} messages/s that are sent": (
            f"{processes * FEED_RATE * event / 1e6:,.1f} MB/s"
        ),
        f"feed reads a second, at most {READS_PER_S} a process": f"{processes * READS_PER_S:,}",
    }


def _rows(found: Found, scenario: str, place: Place) -> list[Row]:
    return figures.at(found[scenario]["rows"], place)


def _median(rows: list[Row], key: str) -> float:
    value = figures.median(row.get(key) for row in rows)
    return math.nan if value is None else value


COST = {
    "web_us": "CPU µs/delivery, web",
    "all_us": "all processes",
    "web_cores": "cores used, web",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
}
TABLES: dict[str, tuple[tuple[str, ...], Callable[[Found], str]]] = {
    "readers": (
        ("growth",),
        sweep({"rooms": 1, "rate": 100}, "readers", {"readers": "readers"} | COST),
    ),
    "messages": (
        ("growth",),
        sweep(
            {"rooms": 1, "readers": 1000},
            "rate",
            {"rate": "messages/s"} | COST | {"feed_reads_per_s": "feed reads/s"},
        ),
    ),
    "rooms": (
        ("growth",),
        sweep(
            {"room_readers": 10, "rate": 100},
            "rooms",
            {"rooms": "rooms of 10 readers", "web_message_us": "CPU µs/message, web"}
            | {"message_us": "all processes", "p99_ms": "p99 ms", "pss_mb": "Pss MB, web"},
        ),
    ),
    "sizing": (("fanout", "idle"), sizing),
    "opening": (("opening",), opening),
}
