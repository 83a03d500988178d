"""An empty authenticated POST route of Quart, on two Hypercorns: the yardsticks of `posts`."""

import http.client
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from benchmarks import servers
from benchmarks.servers.peer import FILES, Peer
from benchmarks.servers.quartchat import ROOT


class Empty(Peer):
    """Quart and quart-auth on Hypercorn as it comes."""

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


class EmptyOnOurs(Empty):
    """The same on Hypercorn with quartchat's HTTP/1.1."""

    name: ClassVar[str] = "empty, our HTTP"

    def environment(self) -> Mapping[str, str]:
        """Return what the app needs to know."""
        return {**super().environment(), "EMPTY_HTTP": "quartchat", "PYTHONPATH": str(ROOT)}
