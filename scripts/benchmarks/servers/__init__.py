"""The servers under load: quartchat and its peers, each started as its documentation advises."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol, Self

from benchmarks import procs

STREAM_HEADERS = "Host: 127.0.0.1\r\nAccept: text/event-stream\r\n"


class Server(Protocol):
    """What the scenarios need of a server; entering it starts it, leaving it ends it."""

    name: ClassVar[str]
    ready: ClassVar[str]  # what a stream brings once it is open
    numbered: ClassVar[bool]  # its events carry ids 1, 2, 3, …
    make: ClassVar[str]  # which of `messages.MAKERS` is posted
    path: ClassVar[str]  # where to post, with {room}
    port: int

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def versions(self) -> str:
        """Return what it is made of, with versions."""

    def groups(self) -> dict[str, list[int]]:
        """Return its processes; `web` holds the connections."""

    def stream(self, reader: int, room: int, last_id: int | None = None) -> str:
        """Return the request that opens a reader's stream."""

    def heads(self, writers: int) -> list[str]:
        """Return the heads of the writers' requests, with {path} and {length}."""


def everything(groups: dict[str, list[int]]) -> list[int]:
    """Return the processes of all groups."""
    return [pid for pids in groups.values() for pid in pids]


def post_head(extra: str = "") -> str:
    """Return a POST's head."""
    return (
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"{extra}Content-Length: {{length}}\r\n\r\n"
    )


def find(pid: int, **parts: str) -> dict[str, list[int]]:
    """Sort a process and its children by a part of their commands; `other` takes the rest."""
    groups: dict[str, list[int]] = {name: [] for name in parts}
    groups["other"] = []
    for child in procs.tree(pid):
        command = procs.command_line(child)
        group = next((name for name, part in parts.items() if part in command), "other")
        groups[group].append(child)
    return groups


def fresh(directory: Path, names: Sequence[str] = ()) -> Path:
    """Make a directory, and those in it."""
    for path in (directory, *(directory / name for name in names)):
        path.mkdir(parents=True, exist_ok=True)
    return directory
