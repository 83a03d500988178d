# ruff: noqa: INP001 - found by its name on the path
"""Counts SQL statements in every Python process that has this directory on its path.

SQLite itself reports each statement (`set_trace_callback`), so nothing depends on what the
server says of itself. Each process writes `<pid>.sql`, one line per statement.
"""

import os
import sqlite3
from pathlib import Path
from typing import Any

_directory = os.environ.get("BENCH_SQL_DIRECTORY")
_connect = sqlite3.connect


def _traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
    connection: sqlite3.Connection = _connect(*args, **kwargs)
    path = Path(str(_directory)) / f"{os.getpid()}.sql"

    def note(statement: str) -> None:
        with path.open("a") as file:
            file.write(" ".join(statement.split())[:120] + "\n")

    connection.set_trace_callback(note)
    return connection


if _directory:
    sqlite3.connect = sqlite3.dbapi2.connect = _traced  # type: ignore[assignment]
