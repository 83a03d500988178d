"""What is printed and written: the table, the raw figures, the bars, one page of all."""

import datetime as dt
import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import bars, figures
from benchmarks.bench import Column, Result

PAGE = """\
# Benchmarks

Made by `scripts/bench`, not by hand. Each figure is the median over the rounds; servers take
turns within a round, on one machine, over loopback, with the load generators beside them.
CPU is utime + stime of the server's processes, from `/proc`; memory is Pss.
What a reader gets is checked: every event, once, in order.
[performance.md](../performance.md) says what the figures mean.
"""
BARS = """\
## The bars

A ratio is taken within each round; what is judged is the median over the rounds.
CPU is counted twice, and each bar on it is judged by both counts: `web` is the chat server's own
processes (quartchat's web processes, nginx, Node.js), `all` adds what stands behind them (the
worker and Valkey, or the peer's Redis).
"""
BAR_HEAD = ("scenario", "bar", "count", "measured", "met")
Lines = list[list[str]]


def write(result: Result, directory: Path) -> str:
    """Write a scenario's figures, and the page anew; return what the person reads."""
    directory.mkdir(parents=True, exist_ok=True)
    raw = asdict(result) | {
        "bars": bars.judge(result.scenario, result.rows),
        "made": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
    }
    (directory / f"{result.scenario}.json").write_text(json.dumps(raw, indent=1) + "\n")
    (directory / "README.md").write_text(page(directory))
    return terminal(result)


def read(directory: Path) -> dict[str, dict[str, Any]]:
    """Return what was written, by scenario."""
    found = [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]
    return {raw["scenario"]: raw for raw in found if "scenario" in raw}


def table(raw: dict[str, Any]) -> Lines:
    """Return the head, and a line for each place: its figures over all rounds."""
    columns = [Column(**column) for column in raw["columns"]]
    groups = figures.grouped(raw["rows"], raw["by"])
    return [
        [*raw["by"], *(column.title for column in columns)],
        *(
            [*map(str, place), *(c.text([row.get(c.key) for row in rows]) for c in columns)]
            for place, rows in groups.items()
        ),
    ]


def bar_table(results: dict[str, dict[str, Any]]) -> Lines:
    """Return the lines of all bars; the figures say whether they are met, not the file."""
    return [
        list(BAR_HEAD),
        *(
            [name, *(line[key] for key in BAR_HEAD[1:])]
            for name, raw in results.items()
            for line in bars.judge(name, raw["rows"])
        ),
    ]


def markdown(lines: Lines, left: Sequence[int] = ()) -> str:
    """Return a table in Markdown; the columns `left` are aligned there."""
    rule = [":---" if number in left else "---:" for number in range(len(lines[0]))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (lines[0], rule, *lines[1:]))


def terminal(result: Result) -> str:
    """Return the tables for a person's terminal."""
    raw = asdict(result)
    judged = [cells for cells in bar_table({result.scenario: raw}) if cells[-1] != bars.NOT_YET]
    parts = [f"\n{result.scenario}: {result.title}. {result.how}", _columns(table(raw))]
    if len(judged) > 1:
        parts.append(_columns([cells[1:] for cells in judged], left=True))
    return "\n\n".join([*parts, "\n".join(_notes(raw))])


def page(directory: Path) -> str:
    """Put all scenarios that were measured on one page."""
    results = read(directory)
    parts = [PAGE, BARS, markdown(bar_table(results), (0, 1, 2)) + "\n"]
    return "\n".join([*parts, *(_section(raw, directory) for raw in results.values())])


def _section(raw: dict[str, Any], directory: Path) -> str:
    name = raw["scenario"]
    number = len({row.get("round") for row in raw["rows"]})
    rounds = "1 round" if number == 1 else f"{number} rounds"
    plot = f"![{raw['title']}]({name}.png)\n"
    return "\n".join(
        [
            f"## {name}: {raw['title']}\n",
            f"{raw['how']}\n",
            markdown(table(raw)) + "\n",
            *([plot] if (directory / f"{name}.png").exists() else []),
            f"{rounds}, {raw['made'][:10]}, {raw['machine']}.",
            *(f"{note}." for note in _notes(raw)),
            "",
        ]
    )


def _columns(lines: Lines, *, left: bool = False) -> str:
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _notes(raw: dict[str, Any]) -> list[str]:
    notes = [f"{name}: {text}" for name, text in raw["versions"].items()]
    return notes + [f"{name} was skipped: {text}" for name, text in raw["skipped"].items()]


def _machine() -> str:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text())
    gigabytes = int(memory.group(1)) / (1 << 20) if memory else 0
    name = cpu.group(1) if cpu else platform.machine()
    linux = platform.release().partition("-")[0]
    return f"{os.cpu_count()} cores ({name}), {gigabytes:.0f} GB, Linux {linux}"
