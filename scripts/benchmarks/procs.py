"""Child processes and what /proc says of them: CPU, memory, open files.

Every child has a session of its own, so that Ctrl-C reaches the benchmark alone, which then
ends them; a benchmark that is killed takes them along (PR_SET_PDEATHSIG).
"""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

END_S = 15.0  # from SIGTERM to SIGKILL
MAX_FILES = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")  # per second; /proc counts CPU in them
_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class StartError(Exception):
    """A server or a peer cannot be started here; the message is one line for a person."""


class Child:
    """One process, and all that it starts."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pipes: bool = False,
    ) -> None:
        self.log = log
        with log.open("ab") as file:
            self.popen = subprocess.Popen(  # noqa: S603 - our own commands
                [str(part) for part in command],
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else file,
                stderr=file,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads here
            )
        self.pid = self.popen.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it politely, then not; and whatever it leaves in its session."""
        family = tree(self.pid)
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self.popen.terminate()
        try:
            self.popen.wait(END_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        for pid in family:
            if pid != self.pid and _is_ours(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def check(self) -> None:
        """Raise StartError if it has ended."""
        if self.popen.poll() is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines()[-5:]
            raise StartError(f"ended with {self.popen.returncode}: {' | '.join(lines)}")

    def wait_for_port(self, port: int, within_s: float = 30.0) -> None:
        """Wait until somebody listens. Raises StartError."""

        def listens() -> bool:
            self.check()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        eventually(listens, within_s, f"nothing listens on port {port}")


def _die_with_parent() -> None:
    _libc.prctl(_PDEATHSIG, signal.SIGTERM)


def _is_ours(pid: int) -> bool:
    """Whether a process is there that was started by this user; an ended one has no command."""
    with suppress(OSError):
        path = Path(f"/proc/{pid}")
        return path.stat().st_uid == os.getuid() and bool((path / "cmdline").read_bytes())
    return False


def eventually(check: Callable[[], Any], within_s: float, problem: str) -> Any:
    """Call until the result is true, and return it. Raises StartError."""
    deadline = time.monotonic() + within_s
    while not (result := check()):
        if time.monotonic() > deadline:
            raise StartError(f"{problem} after {within_s:.0f} s")
        time.sleep(0.02)
    return result


def run(command: Sequence[str | Path], *, cwd: Path | None = None, within_s: float = 300.0) -> str:
    """Run a command to its end; return its output. Raises StartError."""
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            [str(part) for part in command],
            cwd=cwd, timeout=within_s, check=True, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        last = " | ".join(error.stdout.strip().splitlines()[-3:])
        raise StartError(f"{command[0]} failed: {last}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartError(f"{command[0]}: {error}") from None
    return done.stdout


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def raise_file_limit() -> int:
    """Allow as many open files as may be had; children inherit it. Return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    for limits in ((MAX_FILES, MAX_FILES), (wanted, hard)):  # only root may raise the hard one
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            return limits[0]
    return soft


# -- what /proc says


def tree(pid: int) -> list[int]:
    """Return a process and all that it has started, and they."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                children.setdefault(int(_stat(entry)[1]), []).append(int(entry.name))
    found, at = [pid], 0
    while at < len(found):
        found += children.get(found[at], [])
        at += 1
    return found


def command_line(pid: int) -> str:
    """Return a process's command, or nothing if it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def cpu_s(pids: Sequence[int]) -> float:
    """Return the CPU seconds that processes have used: utime + stime, in steps of 10 ms."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            fields = _stat(Path(f"/proc/{pid}"))
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def pss_kb(pids: Sequence[int]) -> int:
    """Return the processes' share of memory, in KiB: Pss of smaps_rollup."""
    total = 0
    for pid in pids:
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return total


def open_files(pids: Sequence[int]) -> int:
    """Return how many files and sockets processes have open."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)  # noqa: PTH208 - only a count


def _stat(path: Path) -> list[str]:
    """Return the fields of /proc/<pid>/stat after the name: state, parent and so on."""
    return (path / "stat").read_text().rpartition(")")[2].split()
