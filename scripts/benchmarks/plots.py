"""The plots of a scenario: on white, a line for each server and figure, a band for the rounds."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import figures
from benchmarks.bench import Chart, Result
from benchmarks.figures import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"quartchat": "#0b7285", "nchan": "#e8590c", "socketio": "#862e9c", "fastapi": "#2b8a3e"}
ACROSS = 3  # plots beside each other
WIDTH, HEIGHT = 5, 4  # of one plot, inches


def draw(result: Result, path: Path) -> None:
    """Draw all charts of a scenario into one file."""
    import matplotlib as mpl  # noqa: PLC0415 - slow, and not there in tests

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of a backend

    plt.style.use("default")
    across = min(ACROSS, len(result.charts))
    down = -(-len(result.charts) // across)
    figure, axes = plt.subplots(
        down, across, figsize=(WIDTH * across, HEIGHT * down), squeeze=False, facecolor="white"
    )
    for axis in axes.flat[len(result.charts) :]:
        axis.set_visible(False)
    titles = {column.key: column.title for column in result.columns}
    for axis, chart in zip(axes.flat, result.charts, strict=False):
        rows = figures.at(result.rows, chart.place)
        for (server,), found in figures.grouped(rows, ("server",)).items():
            for number, y in enumerate(chart.y):
                label = titles.get(y, y) if len(chart.y) > 1 else server
                colour = list(COLOURS.values())[number] if len(chart.y) > 1 else COLOURS.get(server)
                _line(axis, chart.x, y, found, label=label, colour=colour)
        _frame(axis, chart)
    figure.suptitle(f"{result.scenario}: {result.title}")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _line(axis: "Axes", x: str, y: str, rows: list[Row], *, label: str, colour: str | None) -> None:
    """Draw a figure: its median, and from the least to the most of the rounds."""
    measured = [row for row in rows if row.get(y) is not None]
    points = {
        place: [row[y] for row in found]
        for (place,), found in figures.grouped(measured, (x,)).items()
    }
    places = sorted(points)
    middle = [statistics.median(points[place]) for place in places]
    (drawn,) = axis.plot(places, middle, marker="o", label=label, color=colour)
    low, high = [min(points[p]) for p in places], [max(points[p]) for p in places]
    axis.fill_between(places, low, high, alpha=0.15, color=drawn.get_color())


def _frame(axis: "Axes", chart: Chart) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - as above

    if chart.log:
        for scale, ruler in ((axis.set_xscale, axis.xaxis), (axis.set_yscale, axis.yaxis)):
            scale("log")
            ruler.set_major_locator(LogLocator(subs=(1, 3)))
            ruler.set_major_formatter("{x:,g}")
            ruler.set_minor_formatter(NullFormatter())
    axis.set_title(chart.title)
    axis.set_xlabel({"rate": "messages/s"}.get(chart.x, chart.x))
    axis.grid(visible=True, which="both", alpha=0.2)
    axis.legend()
