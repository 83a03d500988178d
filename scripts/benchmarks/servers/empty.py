"""An empty authenticated POST route of Quart: the yardstick of `posts`."""

import http.client
import sys
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from benchmarks import servers
from benchmarks.servers.peer import FILES, Peer


class Empty(Peer):
    """Quart and quart-auth on Hypercorn."""

    name: ClassVar[str] = "empty route"
    ready: ClassVar[str] = ""
    make: ClassVar[str] = "post"
    path: ClassVar[str] = "/empty"
    uses_valkey: ClassVar[bool] = False

    def command(self) -> Sequence[str | Path]:
        """Return Python with the app."""
        return [sys.executable, FILES / "empty_app.py"]

    def versions(self) -> str:
        """Return the packages' versions."""
        return ", ".join(
            f"{part} {version(part)}" for part in ("quart", "quart-auth", "hypercorn", "uvloop")
        )

    def heads(self, writers: int) -> list[str]:
        """Return heads with a cookie each."""
        return [servers.post_head(f"Cookie: {self._login()}\r\n") for _ in range(writers)]

    def _login(self) -> str:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("POST", "/login")
            answer = connection.getresponse()
            answer.read()
            return (answer.getheader("Set-Cookie") or "").partition(";")[0]
