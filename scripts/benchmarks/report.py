"""What is printed and written: the table, the raw figures, the plots, one page of all."""

import datetime as dt
import json
import os
import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.bench import Chart, Column, Result, Row

Groups = dict[tuple[Any, ...], list[Row]]
PAGE = """\
# Benchmarks

Made by `scripts/bench`, not by hand. Each figure is the median over the rounds; servers take
turns within a round, on one machine, over loopback, with the load generators beside them.
CPU is utime + stime of the server's processes, from `/proc`; memory is Pss.
What a reader gets is checked: every event, once, in order.
"""
COLOURS = {"quartchat": "#0b7285", "nchan": "#e8590c", "socketio": "#862e9c", "fastapi": "#2b8a3e"}


def write(result: Result, directory: Path) -> str:
    """Write a scenario's figures and plots, and the page anew; return the table as text."""
    directory.mkdir(parents=True, exist_ok=True)
    raw = asdict(result) | {"made": _now(), "machine": _machine()}
    (directory / f"{result.scenario}.json").write_text(json.dumps(raw, indent=1) + "\n")
    if result.charts:
        _plot(result, directory / f"{result.scenario}.png")
    (directory / "README.md").write_text(_page(directory))
    return _terminal(result)


def medians(result: Result) -> list[tuple[tuple[Any, ...], list[str]]]:
    """Return the table's lines: what each is of, and its figures over all rounds."""
    return [
        (key, [_figure(column, [row.get(column.key) for row in rows]) for column in result.columns])
        for key, rows in _grouped(result.rows, result.by).items()
    ]


def _grouped(rows: Sequence[Row], by: tuple[str, ...]) -> Groups:
    groups: Groups = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    return groups


def _figure(column: Column, values: list[Any]) -> str:
    found = [value for value in values if value is not None]
    if not found:
        return "-"
    if isinstance(found[0], bool):
        return "yes" if all(found) else "NO"
    if isinstance(found[0], str):
        return str(found[-1])
    return column.form.format(statistics.median(found))


def _terminal(result: Result) -> str:
    head = [*result.by, *(column.title for column in result.columns)]
    lines = [head, *([*map(str, key), *figures] for key, figures in medians(result))]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    rows = [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    notes = [f"{name}: {text}" for name, text in result.versions.items()]
    notes += [f"{name} skipped: {text}" for name, text in result.skipped.items()]
    return "\n".join(
        ["", f"{result.scenario}: {result.title}. {result.how}", "", *rows, "", *notes]
    )


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _machine() -> str:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text())
    gigabytes = int(memory.group(1)) / (1 << 20) if memory else 0
    name = cpu.group(1) if cpu else platform.machine()
    linux = platform.release().partition("-")[0]
    return f"{os.cpu_count()} cores ({name}), {gigabytes:.0f} GB, Linux {linux}"


def _page(directory: Path) -> str:
    """Put all scenarios that were measured on one page."""
    parts = [PAGE]
    for path in sorted(directory.glob("*.json")):
        raw = json.loads(path.read_text())
        if "scenario" in raw:
            parts.append(_section(raw, directory))
    return "\n".join(parts)


def _section(raw: dict[str, Any], directory: Path) -> str:
    result = Result(
        **{name: raw[name] for name in Result.__dataclass_fields__}
        | {
            "by": tuple(raw["by"]),
            "columns": tuple(Column(**column) for column in raw["columns"]),
            "charts": tuple(Chart(**chart) for chart in raw["charts"]),
        }
    )
    head = [*result.by, *(column.title for column in result.columns)]
    lines = [
        f"## {result.scenario}: {result.title}\n",
        f"{result.how}\n",
        "| " + " | ".join(head) + " |",
        "|" + " ---: |" * len(head),
        *("| " + " | ".join([*map(str, key), *figures]) + " |" for key, figures in medians(result)),
        "",
    ]
    if (directory / f"{result.scenario}.png").exists():
        lines.append(f"![{result.title}]({result.scenario}.png)\n")
    rounds = len({row.get("round") for row in result.rows})
    lines.append(f"{rounds} rounds, {raw['made'][:10]}, {raw['machine']}.")
    lines += [f"{name}: {text}." for name, text in result.versions.items()]
    lines += [f"{name} was skipped: {text}." for name, text in result.skipped.items()]
    return "\n".join([*lines, ""])


def _plot(result: Result, path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - slow

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of a backend

    figure, axes = plt.subplots(
        1, len(result.charts), figsize=(5 * len(result.charts), 4), squeeze=False
    )
    for axis, chart in zip(axes[0], result.charts, strict=True):
        by_server = _grouped(
            [row for row in result.rows if row.get(chart.y) is not None], ("server",)
        )
        for (server,), rows in by_server.items():
            points = {
                x: [row[chart.y] for row in found]
                for (x,), found in _grouped(rows, (chart.x,)).items()
            }
            places = sorted(points)
            middle = [statistics.median(points[x]) for x in places]
            colour = COLOURS.get(server)
            axis.plot(places, middle, marker="o", label=server, color=colour)
            low, high = [min(points[x]) for x in places], [max(points[x]) for x in places]
            axis.fill_between(places, low, high, alpha=0.15, color=colour)
        if chart.log:
            axis.set_xscale("log")
            axis.set_yscale("log")
        axis.set_title(chart.title)
        axis.set_xlabel(chart.x)
        axis.grid(visible=True, which="both", alpha=0.2)
        axis.legend()
    figure.suptitle(f"{result.scenario}: {result.title}")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
