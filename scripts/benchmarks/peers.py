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

# Makes a server in a directory.
Make = Callable[[Path], Server]

NAMES = ("nchan", "socketio", "fastapi")


def quartchat(readers: int, rooms: int = 1, env: Mapping[str, str] | None = None) -> Make:
    """Return what makes a quartchat for so many readers and rooms, with more environment."""
    return lambda directory: Quartchat(directory, People(readers, rooms), env)


def those(bench: Bench, result: Result, wanted: Sequence[str]) -> dict[str, Make]:
    """Return the wanted peers that there are, by name; note why the others are not."""
    found: dict[str, Make] = {}
    for name in wanted:
        if name not in bench.peers:
            continue
        try:
            found[name] = _prepare(name, bench)
        except StartError as error:
            bench.say(f"skipping {name}: {error}")
            result.skipped[name] = str(error)
    return found


def _prepare(name: str, bench: Bench) -> Make:
    """Fetch a peer's packages; return what makes it."""
    if name == "nchan":
        home = nchan.prepare(bench.cache)
        return lambda directory: Nchan(directory, home)
    if name == "socketio":
        home = socketio.prepare(bench.cache)
        return lambda directory: SocketIo(directory, home)
    return FastApi
