"""FastAPI on uvicorn with sse-starlette and Redis pub/sub: what a Python developer would write.

`uvicorn[standard]` brings uvloop and httptools; one worker process, no access log.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from benchmarks.servers import valkey
from benchmarks.servers.peer import FILES, Peer


class FastApi(Peer):
    """A uvicorn process with its Valkey."""

    name: ClassVar[str] = "fastapi"
    ready: ClassVar[str] = "event: ready"

    def command(self) -> Sequence[str | Path]:
        """Return uvicorn with the app."""
        return [
            sys.executable, "-m", "uvicorn", "--app-dir", FILES, "fastapi_app:app",
            "--host", "127.0.0.1", "--port", str(self.port), "--no-access-log",
            "--log-level", "warning", "--backlog", "4096",
        ]  # fmt: skip

    def versions(self) -> str:
        """Return the packages' versions."""
        python = ".".join(map(str, sys.version_info[:3]))
        parts = ("fastapi", "uvicorn", "uvloop", "httptools", "sse-starlette", "redis")
        return ", ".join(
            [f"Python {python}", *(f"{part} {version(part)}" for part in parts), valkey.label()]
        )
