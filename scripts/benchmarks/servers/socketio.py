"""socket.io with its Redis Streams adapter on Node.js, from npm.

As its documentation advises: the WebSocket transport alone, `bufferutil` installed, the initial
HTTP request let go, the adapter over node-redis.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks import procs
from benchmarks.servers import valkey
from benchmarks.servers.peer import FILES, Peer

FILES_NEEDED = ("package.json", "socketio.mjs")


class SocketIo(Peer):
    """A Node.js process with its Valkey."""

    name: ClassVar[str] = "socketio"
    ready: ClassVar[str] = '40{"sid"'

    def __init__(self, directory: Path, home: Path) -> None:
        super().__init__(directory)
        self._home = home

    def command(self) -> Sequence[str | Path]:
        """Return node with the server."""
        return ["node", self._home / "socketio.mjs"]

    def stream(self, _reader: int, room: int, _last_id: int | None = None) -> str:
        """Return the request for a WebSocket; the room is in the query."""
        return (
            f"GET /socket.io/?EIO=4&transport=websocket&room={room} HTTP/1.1\r\n"
            "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )

    def versions(self) -> str:
        """Return the versions that npm installed."""
        lock = json.loads((self._home / "package-lock.json").read_text())["packages"]
        names = json.loads((self._home / "package.json").read_text())["dependencies"]
        found = [f"{name} {lock[f'node_modules/{name}']['version']}" for name in names]
        return ", ".join(
            [f"Node {procs.run(['node', '--version']).strip()}", *found, valkey.label()]
        )


def prepare(cache: Path) -> Path:
    """Install the packages; return where. Raises StartError."""
    home = cache / "socketio"
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise procs.StartError("needs node and npm")
    home.mkdir(parents=True, exist_ok=True)
    old = {name: _text(home / name) for name in FILES_NEEDED}
    for name in FILES_NEEDED:
        shutil.copy(FILES / name, home / name)
    if old["package.json"] != _text(home / "package.json") or not (home / "ready").exists():
        procs.run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=home)
        (home / "ready").touch()
    return home


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
