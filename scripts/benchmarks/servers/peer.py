"""What the peers share: a program on a port, and perhaps a Valkey beside it."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Self

from benchmarks import procs, servers
from benchmarks.servers import valkey

FILES = Path(__file__).resolve().parents[1] / "peer_files"


class Peer:
    """A peer; a subclass says how it is started and spoken to."""

    name: ClassVar[str]
    ready: ClassVar[str]
    numbered: ClassVar[bool] = False
    make: ClassVar[str] = "message"
    path: ClassVar[str] = "/rooms/{room}/messages"
    uses_valkey: ClassVar[bool] = True

    def __init__(self, directory: Path) -> None:
        self.directory = servers.fresh(directory)
        self.port = procs.free_port()
        self._stack = ExitStack()
        self._web: procs.Child | None = None
        self._valkey: procs.Child | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            env = dict(os.environ)
            if self.uses_valkey:
                self._valkey, port = valkey.start(self.directory)
                stack.callback(self._valkey.end)
                env["REDIS_URL"] = f"redis://127.0.0.1:{port}"
            self._web = procs.Child(
                self.command(),
                log=self.directory / f"{self.name}.log",
                env=env | dict(self.environment()),
            )
            stack.callback(self._web.end)
            self._web.wait_for_port(self.port)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def command(self) -> Sequence[str | Path]:
        """Return the command that serves."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Return what the command needs to know."""
        return {"PORT": str(self.port)}

    def groups(self) -> dict[str, list[int]]:
        """Return its processes."""
        assert self._web is not None  # noqa: S101 - started
        groups = {"web": procs.tree(self._web.pid)}
        if self._valkey is not None:
            groups["valkey"] = procs.tree(self._valkey.pid)
        return groups

    def stream(self, _reader: int, room: int, _last_id: int | None = None) -> str:
        """Return the request for a room's stream."""
        return f"GET /rooms/{room}/events HTTP/1.1\r\n{servers.STREAM_HEADERS}\r\n"

    def heads(self, writers: int) -> list[str]:
        """Return the heads of the writers' requests."""
        return [servers.post_head()] * writers
