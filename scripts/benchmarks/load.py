"""The load, as the scenarios see it: one process of readers, one of writers."""

import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import procs

START_S = 20.0
SLACK_S = 30.0  # for an answer, beyond what the command itself may take


class Generator:
    """A process that takes commands as lines of JSON."""

    def __init__(self, module: str, setting: dict[str, Any], log: Path) -> None:
        self._child = procs.Child(
            [sys.executable, "-m", f"benchmarks.{module}"], log=log, pipes=True
        )
        self._timeout_s = START_S
        self._write(setting)
        self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _tb: TracebackType | None,
    ) -> None:
        self._child.end()

    def ask(self, do: str, *, within_s: float = 10.0, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self.begin(do, within_s=within_s, **arguments)
        return self.answer()

    def begin(self, do: str, *, within_s: float = 10.0, **arguments: Any) -> None:
        """Send a command; `answer` must be called before the next one."""
        self._timeout_s = within_s + SLACK_S
        self._write({"do": do, **arguments})

    def answer(self) -> dict[str, Any]:
        """Wait for the answer. Raises StartError."""
        found: dict[str, Any] = json.loads(procs.read_line(self._child, self._timeout_s))
        return found

    def cpu_s(self) -> float:
        """Return the CPU seconds that the process has used."""
        return procs.cpu_s([self._child.pid])

    def _write(self, value: dict[str, Any]) -> None:
        assert self._child.popen.stdin is not None  # noqa: S101 - started with pipes
        self._child.popen.stdin.write(json.dumps(value).encode() + b"\n")
        self._child.popen.stdin.flush()
