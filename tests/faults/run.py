"""One run: everybody at work, the nemesis among them, then peace, and a look at what is left."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import harness

from faults import look, readers, wire
from faults.nemesis import Nemesis
from faults.readers import Reader
from faults.record import Record
from faults.stage import Stage
from faults.system import System
from faults.wire import Connection
from faults.writers import Writer
from quartchat import tasks

ACCOUNTS = ("ann", "bob", "cyd", "dan")
ROOMS = 3
SETTLE_S = 40.0  # what everybody gets after the last fault: for the last answer, the last event
LOOK_S = 180.0  # and whoever reads it all
WATCH_S = 0.2
ENOUGH_S = 1.0  # how often a run is asked whether it is enough
RUNS = ("quartchat", "static", "templates")  # all that a process needs of the tree

Enough = Callable[[Record], bool]


@dataclass(frozen=True)
class Options:
    """What one run is."""

    seed: int = 1
    seconds: float = 60.0
    engine: str = "standalone"
    database: str = "sqlite"
    partitions: int = 1
    tree: Path = harness.ROOT
    first: tuple[str, ...] = ()  # kinds of faults that come before the others


async def run(options: Options, directory: Path, enough: Enough | None = None) -> Record:
    """Run it, and return what was written down; nothing is judged here.

    It ends at once where what was written down so far is `enough`.
    """
    notes = Record(options.seed, options.partitions, options.seconds)
    async with System(
        directory,
        tree=copied(options.tree, directory / "tree"),
        engine=options.engine,
        database=options.database,
        partitions=options.partitions,
    ) as system:
        stage = Stage(notes, *await _settle_in(system))
        crew = _Crew(system, stage)
        acts = [asyncio.create_task(_play(system, stage, crew, options))]
        if enough is not None:
            acts.append(asyncio.create_task(_until(enough, notes)))
        try:
            done, _ = await asyncio.wait(acts, return_when=asyncio.FIRST_COMPLETED)
            for act in done:
                act.result()
            if acts[0] not in done:
                notes.cut_short, notes.seconds = True, stage.clock()
        finally:
            await tasks.end(*acts)
            await crew.stop()
            notes.outputs = system.outputs()
    return notes


async def _play(system: System, stage: Stage, crew: "_Crew", options: Options) -> None:
    watch = asyncio.create_task(_watch(system, stage))
    try:
        crew.start()
        await Nemesis(system, stage).run(options.seed, options.seconds, options.first)
        await crew.finish()
        await crew.stop()
        with suppress(TimeoutError):  # the checker will miss what was not there to be read
            async with asyncio.timeout(LOOK_S):
                await look.everything(system, stage)
    finally:
        watch.cancel()


async def _until(enough: Enough, notes: Record) -> None:
    while not enough(notes):  # noqa: ASYNC110  (all write to the notes)
        await asyncio.sleep(ENOUGH_S)


def once(options: Options, enough: Enough | None = None) -> Record:
    """Run it in a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as directory:
        return asyncio.run(run(options, Path(directory), enough))


def copied(tree: Path, target: Path) -> Path:
    """Copy what runs of a tree, so that nobody edits it meanwhile; return the copy."""
    for name in RUNS:
        shutil.copytree(tree / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target


class _Crew:
    """The writers and the readers of a run."""

    def __init__(self, system: System, stage: Stage) -> None:
        self._system, self._stage = system, stage
        self._stop = asyncio.Event()
        names = itertools.cycle(stage.cookies.items())
        pairs = [(next(names), room) for room in stage.rooms * 2]
        self._writers = [
            Writer(
                f"w{number}",
                account,
                room,
                system.ports,
                plain=number == 0,
                # Old messages are changed with SQL alone; one writer goes on without it.
                # Of several partitions, a reader of all rooms may get events again, and an
                # edit's data does not say its number.
                changes=stage.notes.partitions == 1 and number != 1,
            )
            for number, (account, room) in enumerate(pairs)
        ]
        self._cookies = list(stage.cookies.values())
        self._readers = [self._reader(*kind) for kind in self._kinds(stage.rooms)]
        self._writing: list[asyncio.Task[None]] = []
        self._others: list[asyncio.Task[None]] = []
        stage.notes.logs += [reader.log for reader in self._readers]

    def start(self) -> None:
        for writer in self._writers:
            work = writer.run(self._stage, self._stop)
            self._writing.append(asyncio.create_task(work))
        self._others = [
            asyncio.create_task(reader.run(self._stage, self._stop)) for reader in self._readers
        ]
        for port in self._system.own_ports:
            work = readers.deaf(port, self._cookies[0], "/api/chat/events")
            self._others.append(asyncio.create_task(work))

    async def finish(self) -> None:
        """Let every send get its answer, and every reader the last event."""
        self._stop.set()
        _, late = await asyncio.wait(self._writing, timeout=SETTLE_S)
        if late:
            self._stage.notes.troubles.append(f"{len(late)} sends are still not acknowledged")
        deadline = self._stage.clock() + SETTLE_S
        heads = {room: await self._head(room, deadline) for room in self._stage.rooms}
        while not all(reader.reached(heads) for reader in self._readers):
            if self._stage.clock() > deadline:
                return  # the checker will name them
            await asyncio.sleep(WATCH_S)
        await asyncio.sleep(1)  # for what nobody expects

    async def _head(self, room: int, deadline: float) -> int:
        """Return a room's last number, once somebody says it."""
        while self._stage.clock() < deadline:
            connection = Connection(self._system.ports[0], self._cookies[0])
            with suppress(*wire.CLOSED):
                status, found = await connection.request("GET", f"/api/chat/rooms/{room}")
                connection.close()
                if status == HTTPStatus.OK:
                    return int(found["last_id"])
            await asyncio.sleep(WATCH_S)
        return 0

    async def stop(self) -> None:
        work, self._writing, self._others = self._writing + self._others, [], []
        for task in work:
            task.cancel()
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, Exception):
                self._stage.notes.troubles.append(f"the suite itself failed: {result!r}")

    def _kinds(self, rooms: list[int]) -> list[tuple[str, int | None, str | None]]:
        found: list[tuple[str, int | None, str | None]] = [
            ("steady", None, None), ("steady", None, "0"), ("restless", None, None),
            ("away", None, None), ("slow", None, None),
        ]  # fmt: skip
        for room in rooms:
            found += [("steady", room, None), ("restless", room, "0")]
            found += [("away", room, None), ("slow", room, None)]
        return found

    def _reader(self, habit: str, room: int | None, cursor: str | None) -> Reader:
        name = f"{habit} reader of {'all rooms' if room is None else f'room {room}'}"
        name += "" if cursor is None else f" from {cursor}"
        cookie = self._cookies[len(name) % len(self._cookies)]
        ports = self._system.own_ports if habit == "slow" else self._system.ports
        return Reader(name, cookie, ports, room, habit=habit, cursor=cursor)


async def _settle_in(system: System) -> tuple[dict[str, str], list[int]]:
    """Make accounts (their cookies) and rooms that all of them are in."""
    accounts, connections, rooms = {}, {}, []
    for name in ACCOUNTS:
        connection = connections[name] = Connection(system.ports[0])
        body = {"username": name, "password": harness.PASSWORD}
        await look.ask(connection, "POST", "/api/register", body)
        accounts[name] = connection.cookie
    for number in range(ROOMS):
        room = await look.ask(connections["ann"], "POST", "/api/chat/rooms", {"name": f"r{number}"})
        rooms.append(room["id"])
        for name in ACCOUNTS[1:]:
            await look.ask(connections[name], "POST", f"/api/chat/rooms/{room['id']}/join")
    for connection in connections.values():
        connection.close()
    return accounts, rooms


async def _watch(system: System, stage: Stage) -> None:
    """Note a process that ends by itself, and start it again."""
    while True:
        await asyncio.sleep(WATCH_S)
        for node in system.nodes:
            code = node.process.returncode
            if code is not None and not node.down:
                text = f"{node.name} ended by itself with {code} at {stage.clock()} s"
                stage.notes.troubles.append(text)
                node.process.start()
