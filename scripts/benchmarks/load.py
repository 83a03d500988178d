"""The load's processes, and how one speaks with them: lines of JSON, a command and its answer.

`Generator` is the side of the scenarios, `say` that of the processes `readers` and `writers`.
"""

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import procs

SCRIPTS = Path(__file__).resolve().parents[1]
START_S = 20.0
SLACK_S = 30.0  # for an answer, beyond what the command itself may take


class Generator(procs.Child):
    """A process that takes commands."""

    def __init__(self, module: str, setting: dict[str, Any], log: Path) -> None:
        command = [sys.executable, "-m", f"benchmarks.{module}"]
        super().__init__(command, log=log, cwd=SCRIPTS, pipes=True)
        self._timeout_s = START_S
        try:
            self._write(setting)
            self.answer()
        except BaseException:
            self.end()
            raise

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
        found: dict[str, Any] = json.loads(self._read())
        return found

    def cpu_s(self) -> float:
        """Return the CPU seconds that the process has used."""
        return procs.cpu_s([self.pid])

    def _write(self, value: dict[str, Any]) -> None:
        assert self.popen.stdin is not None  # noqa: S101 - started with pipes
        self.popen.stdin.write(json.dumps(value).encode() + b"\n")
        self.popen.stdin.flush()

    def _read(self) -> bytes:
        """Return one line. Raises StartError."""
        assert self.popen.stdout is not None  # noqa: S101 - started with pipes
        fd, line = self.popen.stdout.fileno(), b""
        poll = select.poll()  # select(2) ends at descriptor 1023
        poll.register(fd, select.POLLIN)
        deadline = time.monotonic() + self._timeout_s
        while not line.endswith(b"\n"):
            ready = poll.poll(1000 * max(0.0, deadline - time.monotonic()))
            piece = os.read(fd, 1 << 20) if ready else b""
            if not piece:
                self.check()
                raise procs.StartError(
                    f"no answer from {self.popen.args!r} in {self._timeout_s:.0f} s"
                )
            line += piece
        return line


def say(value: dict[str, Any]) -> None:
    """Answer the process that asks."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
