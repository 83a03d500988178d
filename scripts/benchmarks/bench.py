"""What a scenario works with: its settings, a place for its files, and words for the person."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # one measurement: where it belongs, and its figures


@dataclass(frozen=True, slots=True)
class Column:
    """A figure in the table: its key in the rows, its title, how it is printed."""

    key: str
    title: str
    form: str = "{:.1f}"


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot: figure `y` over `x`, a line for each server."""

    x: str
    y: str
    title: str
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


@dataclass(frozen=True, slots=True)
class Bench:
    """One call of `scripts/bench`."""

    quick: bool
    rounds: int
    peers: tuple[str, ...]
    cache: Path  # what is kept: the peers' packages
    readers: int | None = None  # instead of the scenario's own, for a closer look
    seconds: float | None = None
    rates: tuple[int, ...] | None = None
    began: float = field(default_factory=time.monotonic)

    def pick(self, full: Any, quick: Any) -> Any:
        """Return the value for this kind of run."""
        return quick if self.quick else full

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


Scenario = Callable[[Bench], Result]
