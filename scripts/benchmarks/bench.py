"""What a scenario works with: its settings, a place for its files, and words for the person."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import figures
from benchmarks.figures import Row
from benchmarks.servers import Server

SAID = 6  # figures of a measurement that the person is told at once


@dataclass(frozen=True, slots=True)
class Column:
    """A figure in the table: its key in the rows, its title, how it is printed."""

    key: str
    title: str
    form: str = "{:.1f}"

    def text(self, values: Sequence[Any]) -> str:
        """Print the median; `-` where nothing was measured."""
        found = [value for value in values if value is not None]
        if not found:
            return "-"
        if isinstance(found[0], bool):
            return "yes" if all(found) else "NO"
        if isinstance(found[0], str):
            return str(found[-1])
        return self.form.format(figures.median(found))


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot: figures `y` over `x`, a line for each server, of the measurements at `place`."""

    x: str
    y: tuple[str, ...]
    title: str
    place: Mapping[str, Any] = field(default_factory=dict)
    log: bool = True


@dataclass(slots=True)
class Result:
    """What a scenario found; `by` are the keys whose values name a line of the table."""

    scenario: str
    title: str
    how: str
    by: tuple[str, ...]
    columns: tuple[Column, ...]
    charts: tuple[Chart, ...] = ()
    rows: list[Row] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # peers that could not be had, and why

    def line(self, row: Row) -> str:
        """Return what a person wants to hear of a measurement."""
        place = " ".join(f"{row[name]:>10}" for name in self.by)
        shown = [(c.title, c.text([row.get(c.key)])) for c in self.columns[:SAID]]
        return f"{place}  " + ", ".join(f"{title}: {text}" for title, text in shown if text != "-")


@dataclass(frozen=True, slots=True)
class Bench:
    """One call of `scripts/bench`."""

    quick: bool
    peers: tuple[str, ...]
    cache: Path  # what is kept: the peers' packages
    rounds: int | None = None  # instead of the scenario's own
    readers: int | None = None  # likewise, for a closer look
    seconds: float | None = None
    rates: tuple[int, ...] | None = None
    began: float = field(default_factory=time.monotonic)

    def pick(self, full: Any, quick: Any) -> Any:
        """Return the value for this kind of run."""
        return quick if self.quick else full

    def times(self, full: int) -> int:
        """Return how many rounds there are."""
        return self.rounds or self.pick(full, 1)

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """Make a directory that goes away."""
        with tempfile.TemporaryDirectory(prefix="qcbench-", ignore_cleanup_errors=True) as path:
            yield Path(path)

    def say(self, text: str) -> None:
        """Tell the person how far it is."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        sys.stderr.write(f"{minutes:3}:{seconds:02}  {text}\n")
        sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Turn:
    """One measurement's server, its files, and which round it is."""

    server: Server
    directory: Path
    number: int


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure: where its figures belong, how its server is made, and what is done."""

    place: Row
    server: Callable[[Path], Server]
    measure: Callable[[Turn], Row]


def take_turns(bench: Bench, result: Result, cases: Sequence[Case], rounds: int) -> None:
    """Measure all cases, each with a fresh server, once a round; every second round backwards."""
    rounds = bench.times(rounds)
    for number in range(1, rounds + 1):
        for case in cases if number % 2 else cases[::-1]:
            with bench.directory() as directory, case.server(directory) as server:
                row = case.measure(Turn(server, directory, number))
                result.versions[server.name] = server.versions()
            row = {"round": number, **case.place, **row}
            result.rows.append(row)
            bench.say(f"{result.scenario} {number}/{rounds}  {result.line(row)}")


Scenario = Callable[[Bench], Result]
