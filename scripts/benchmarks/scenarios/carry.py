"""The measurement that several scenarios share: so many readers, so many messages a second."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import procs, servers
from benchmarks.bench import Row
from benchmarks.load import Generator
from benchmarks.servers import Server

CONNECT_AT_ONCE = 256
DRAIN_S = 5.0  # what may take longer than the posting; beyond that the server fell behind
WARM_UP = 50  # messages before those that count, and as many a second
WARM_UP_LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is carried; reader n is in room n % rooms + 1."""

    readers: int
    rate: int  # messages a second, over all rooms
    seconds: float
    rooms: int = 1
    writers: int = 64


def readers_of(server: Server, log: Path) -> Generator:
    """Start a process of readers for a server."""
    setting = {"port": server.port, "ready": server.ready, "numbered": server.numbered}
    return Generator("readers", setting, log)


def writers_of(server: Server, heads: list[str], log: Path) -> Generator:
    """Start a process of writers for a server."""
    setting = {"port": server.port, "heads": heads, "path": server.path, "make": server.make}
    return Generator("writers", setting, log)


def carry(server: Server, load: Load, directory: Path) -> Row:
    """Open the streams, warm up, post for some seconds, and check what arrived."""
    rooms = list(range(1, load.rooms + 1))
    log = directory / "load.log"
    with (
        readers_of(server, log) as readers,
        writers_of(server, server.heads(load.writers), log) as writers,
    ):
        streams = [
            (n % load.rooms + 1, server.stream(n, n % load.rooms + 1)) for n in range(load.readers)
        ]
        opened = readers.ask(
            "connect", readers=streams, at_once=CONNECT_AT_ONCE, first_address=0,
            timeout_s=60.0, within_s=60.0,
        )  # fmt: skip
        if opened["open"] < load.readers:
            raise procs.StartError(f"only {opened['open']} streams opened: {opened['errors']}")
        # Every room is written to once, so that what happens once in a room is not measured.
        warm = max(min(load.rate, WARM_UP), load.rooms)
        posted = writers.ask(
            "post", rate=max(min(load.rate, WARM_UP), load.rooms / 2), count=warm, rooms=rooms,
            limit_s=WARM_UP_LIMIT_S, within_s=WARM_UP_LIMIT_S,
        )  # fmt: skip
        goal = dict(posted["by_room"])
        if not posted["posted"]:
            raise procs.StartError(f"posting failed: {posted['statuses']}")
        readers.ask("expect", goal=goal, deliveries=0, timeout_s=DRAIN_S, within_s=DRAIN_S)
        readers.ask("mark")

        count = int(load.rate * load.seconds)
        groups = server.groups()
        generators = -readers.cpu_s() - writers.cpu_s()
        before = {name: procs.cpu_s(pids) for name, pids in groups.items()}
        limit_s = load.seconds + DRAIN_S
        writers.begin(
            "post", rate=load.rate, count=count, rooms=rooms, limit_s=limit_s, within_s=limit_s
        )
        for number in range(count):
            room = str(rooms[number % len(rooms)])
            goal[room] = goal.get(room, 0) + 1
        population = [
            load.readers // load.rooms + (n < load.readers % load.rooms) for n in range(load.rooms)
        ]
        due = sum(population[number % load.rooms] for number in range(count))
        got = readers.ask("expect", goal=goal, deliveries=due, timeout_s=limit_s, within_s=limit_s)
        used = {name: procs.cpu_s(pids) - before[name] for name, pids in groups.items()}
        pss = {name: procs.pss_kb(pids) for name, pids in groups.items()}
        posts = writers.answer()
        generators += readers.cpu_s() + writers.cpu_s()
    row = _row(load, count=count, due=due, got=got, posts=posts, used=used, pss=pss)
    return row | {"generators_cpu_s": generators}


def _row(
    load: Load,
    *,
    count: int,
    due: int,
    got: dict[str, Any],
    posts: dict[str, Any],
    used: dict[str, float],
    pss: dict[str, int],
) -> Row:
    delivered = max(got["delivered"], 1)
    took = got["latencies"]
    total = sum(used.values())
    wrong = {name: got[name] for name in ("missing", "repeated", "holes", "resets")}
    if got["done"]:  # where a server fell behind, its readers stand at different places
        wrong |= {name: got[name] for name in ("orders", "short")}
    return {
        "readers": load.readers,
        "rooms": load.rooms,
        "rate": load.rate,
        "due": due,
        "delivered": got["delivered"],
        "delivered_percent": 100 * got["delivered"] / due,
        "in_order": not any(wrong.values()),
        "carried": got["done"],
        "wrong": wrong,
        "short": got["short"],
        "errors": got["errors"],
        "seconds": got["seconds"],
        "deliveries_per_s": delivered / got["seconds"] if got["seconds"] else 0.0,
        "p50_ms": took.get("p50_ms"),
        "p99_ms": took.get("p99_ms"),
        "max_ms": took.get("max_ms"),
        "sent_p50_ms": got["since_sent"].get("p50_ms"),
        "sent_p99_ms": got["since_sent"].get("p99_ms"),
        "web_us": 1e6 * used["web"] / delivered,
        "all_us": 1e6 * total / delivered,
        "per_cpu_s": delivered / total if total else None,
        "message_us": 1e6 * total / count,
        "web_cores": used["web"] / max(got["seconds"], 1e-9),
        "cpu_s": used,
        "pss_mb": pss["web"] / 1024,
        "all_pss_mb": sum(pss.values()) / 1024,
        "event_bytes": got["bytes"] / max(got["messages"], 1),
        "posted": posts["posted"],
        "post_rate": posts["rate"],
        "post_statuses": posts["statuses"],
        "post_p50_ms": posts["took"].get("p50_ms"),
        "post_p99_ms": posts["took"].get("p99_ms"),
        "late_p99_ms": posts["lateness"].get("p99_ms"),
        "parsed": got["parsed"],
    }


def groups_cpu(server: Server) -> dict[str, float]:
    """Return the CPU seconds of each group of a server's processes."""
    return {name: procs.cpu_s(pids) for name, pids in server.groups().items()}


def total_cpu(server: Server) -> float:
    """Return the CPU seconds of all of a server's processes."""
    return procs.cpu_s(servers.everything(server.groups()))
