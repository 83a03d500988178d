"""`startup`: from `scripts/run` to the first answer, once everything is installed."""

import http.client
import os
import time
from contextlib import closing, suppress
from pathlib import Path

from benchmarks import procs
from benchmarks.bench import Bench, Column, Result
from benchmarks.servers.quartchat import ROOT

ROUNDS = 3
INSTALL_S = 600.0
START_S = 60.0
COLUMNS = (
    Column("live_s", "to /healthz/live, s", "{:.2f}"),
    Column("ready_s", "to /healthz/ready, s", "{:.2f}"),
    Column("stop_s", "from SIGTERM to the end, s", "{:.2f}"),
)


def run(bench: Bench) -> Result:
    """Start it once, uncounted, then again and again on the same data."""
    result = Result(
        "startup",
        "`scripts/run` to its first answer",
        "The first start, which installs and makes the database, is not counted.",
        ("server",),
        COLUMNS,
    )
    with bench.directory() as directory:
        _start(directory, INSTALL_S)
        for number in range(1, bench.times(ROUNDS) + 1):
            row = _start(directory, START_S)
            result.rows.append({"round": number, "server": "quartchat", **row})
            bench.say(f"startup {number}  ready after {row['ready_s']:.2f} s")
    return result


def _start(directory: Path, within_s: float) -> dict[str, float]:
    port = procs.free_port()
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env = kept | {"QUARTCHAT_DATA_DIR": str(directory / "data")}
    began = time.monotonic()
    command: list[str | Path] = [ROOT / "scripts" / "run", "--port", str(port)]
    with procs.Child(command, log=directory / "run.log", env=env) as child:
        found = {}
        for name in ("live", "ready"):
            procs.eventually(lambda: _answers(child, port, name), within_s, f"not {name}")  # noqa: B023 - called at once
            found[f"{name}_s"] = time.monotonic() - began
        began = time.monotonic()
    return found | {"stop_s": time.monotonic() - began}


def _answers(child: procs.Child, port: int, name: str) -> bool:
    child.check()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException), closing(connection):
        connection.request("GET", f"/healthz/{name}")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False
