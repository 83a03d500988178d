"""Who takes part: quartchat always, and those peers that were asked for and can be had."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.bench import Bench, Result
from benchmarks.procs import StartError
from benchmarks.servers import Server, nchan, socketio
from benchmarks.servers.fastapi import FastApi
from benchmarks.servers.nchan import Nchan
from benchmarks.servers.quartchat import People, Quartchat
from benchmarks.servers.socketio import SocketIo

# Makes a server in a directory, for so many readers and rooms, with more environment.
Make = Callable[[Path, int, int, Mapping[str, str]], Server]

NAMES = ("nchan", "socketio", "fastapi")


def quartchat(directory: Path, readers: int, rooms: int, env: Mapping[str, str]) -> Server:
    """Make a quartchat."""
    return Quartchat(directory, People(readers, rooms), env)


def contest(bench: Bench, result: Result, wanted: Sequence[str]) -> list[tuple[str, Make]]:
    """Return quartchat and the wanted peers that there are; note why the others are not."""
    found: list[tuple[str, Make]] = [("quartchat", quartchat)]
    for name in wanted:
        if name not in bench.peers:
            continue
        try:
            found.append((name, _prepare(name, bench)))
        except StartError as error:
            bench.say(f"skipping {name}: {error}")
            result.skipped[name] = str(error)
    return found


def _prepare(name: str, bench: Bench) -> Make:
    """Fetch a peer's packages; return what makes it."""
    if name == "nchan":
        home = nchan.prepare(bench.cache)
        return lambda directory, _readers, _rooms, _env: Nchan(directory, home)
    if name == "socketio":
        home = socketio.prepare(bench.cache)
        return lambda directory, _readers, _rooms, _env: SocketIo(directory, home)
    return lambda directory, _readers, _rooms, _env: FastApi(directory)
