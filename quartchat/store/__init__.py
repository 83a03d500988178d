"""The SQL side: one seam runs plain synchronous query functions on an async connection.

    members = await store.run(rooms.members, room_id, after, limit)

A connection is taken for one call and given back at once; no stream ever holds one.
Query functions live in `accounts`, `rooms` and `events`; they return plain structs.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg
import peewee as pw
from playhouse import pwasyncio
from playhouse.migrations import Runner

from quartchat.store.models import database

P = ParamSpec("P")
T = TypeVar("T")

POOL = 4  # connections per process; SQLite gives each a thread
ACQUIRE_S = 15  # how long a call waits for a connection, as when thousands sign in at once
QUERIES = 10_000  # calls that wait for one; past it they are away at once
BUSY_S = 5  # how long SQLite waits for another writer, and PostgreSQL may take to answer
MIGRATE_S = 60  # how long a migration waits for another one
MIGRATE_LOCK = 0x7175_6172_7463  # any number of our own, for PostgreSQL's advisory lock

_running: set["asyncio.Future[Any]"] = set()

# SQL is away, locked for too long, or its pool is empty: the caller is told to come back.
AWAY = (
    pw.OperationalError,
    pw.InterfaceError,
    sqlite3.OperationalError,
    ConnectionError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it starts, it ends, it has crashed
    asyncpg.InsufficientResourcesError,  # no disk, no memory, no connection left
    asyncpg.PostgresSystemError,  # its disk fails
    asyncpg.ReadOnlySQLTransactionError,  # a standby that has not taken over yet
    asyncpg.TransactionRollbackError,  # a deadlock
)


def open_database(url: str, *, pool: int = POOL, busy_s: float = BUSY_S) -> None:
    """Point the tables at a database; connections are made when they are needed."""
    path = _sqlite_path(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        database.initialize(
            pwasyncio.AsyncSqliteDatabase(
                str(path),
                pool_size=pool,
                timeout=busy_s,
                acquire_timeout=ACQUIRE_S,
                pragmas={
                    # NORMAL may lose the last commits in a power cut, and what is committed
                    # here is trimmed from Redis.
                    "synchronous": "full",
                    "foreign_keys": 1,
                    "cache_size": -16_000,  # KiB
                },
            )
        )
    else:
        database.initialize(
            pwasyncio.AsyncPostgresqlDatabase(
                url.replace("postgres://", "postgresql://", 1),
                pool_size=pool,
                acquire_timeout=ACQUIRE_S,
                timeout=BUSY_S,  # to connect
                command_timeout=busy_s,  # asyncpg's own is for ever
            )
        )


async def close_database() -> None:
    """Close every connection, once the last query is done."""
    if _running:
        await asyncio.wait(_running)
    await database.obj.close_pool()


async def run(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a query function on a connection of its own; may raise one of `AWAY`.

    It runs to its end also if its caller is cancelled, as when a client goes away. A cancelled
    query would leave its cursor open, and with it an old snapshot of the database, in a
    connection that the next caller gets.
    """

    async def finish() -> T:
        try:
            async with database.obj as db:
                result: T = await db.run(fn, *args, **kwargs)
                return result
        except OSError as error:  # no socket there, no such name, none of its addresses answers
            raise pw.OperationalError(f"{type(error).__name__}: {error}") from error

    if len(_running) >= QUERIES:
        raise TimeoutError("too many queries wait for a connection")
    task = asyncio.ensure_future(finish())
    _running.add(task)
    task.add_done_callback(_finished)
    return await asyncio.shield(task)


def _finished(task: "asyncio.Future[Any]") -> None:
    _running.discard(task)
    if not task.cancelled():  # an error that nobody waits for any more is noted here
        task.exception()


def transaction() -> Any:
    """Open a transaction that writes: SQLite takes its lock now, not at the first write.

    A lock taken later could fail at once, whatever the busy time-out, where another
    process has written in between.
    """
    if isinstance(database.obj, pw.SqliteDatabase):
        return database.obj.atomic("IMMEDIATE")
    return database.obj.atomic()


def locked(query: Any) -> Any:
    """Let a query keep the rows that it finds from other transactions, until this one ends.

    SQLite has one writer at a time, and `transaction` made us that one.
    """
    return query if isinstance(database.obj, pw.SqliteDatabase) else query.for_update()


def ping() -> None:
    """Raise one of `AWAY` unless SQL answers."""
    database.execute_sql("SELECT 1")


async def migrate(url: str) -> list[str]:
    """Bring a database to the current schema; return the migrations that ran.

    Two at once are safe: the second waits for the first, and then has nothing to do.
    A cancelled one finishes first: the thread of an open connection would keep the process.
    """

    async def finish() -> list[str]:
        if (path := _sqlite_path(url)) is not None:
            await asyncio.to_thread(_make_wal, path)
        open_database(url, pool=1, busy_s=MIGRATE_S)
        try:
            return await run(_migrate)
        finally:
            await close_database()

    task = asyncio.create_task(finish())
    try:
        return await asyncio.shield(task)
    finally:
        await asyncio.wait([task])


def _sqlite_path(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path.removeprefix("/"))) if parts.scheme == "sqlite" else None


def _make_wal(path: Path) -> None:
    """Put a SQLite file into WAL mode, which it keeps.

    SQLite does not wait its busy time-out for this where two do it at once, and a connection
    of the pool that fails while it is being opened leaves its thread behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = monotonic() + MIGRATE_S
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=BUSY_S)) as connection:
                connection.execute("PRAGMA journal_mode = wal")
        except sqlite3.OperationalError:
            if monotonic() > deadline:
                raise
            sleep(0.02)
        else:
            return


def _migrate() -> list[str]:
    with transaction():
        if isinstance(database.obj, pw.PostgresqlDatabase):
            database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (MIGRATE_LOCK,))
        runner = Runner(database.obj, str(Path(__file__).with_name("migrations")))
        applied: list[str] = runner.up()
        return applied


def pending() -> list[str]:
    """Return the migrations that this database still needs."""
    runner = Runner(database.obj, str(Path(__file__).with_name("migrations")))
    return [migration.name for migration in runner.status() if migration.applied is None]
