"""The measurement that several scenarios share: so many readers, so many messages a second."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import checks, procs
from benchmarks.bench import Turn
from benchmarks.figures import Row, per
from benchmarks.load import Generator
from benchmarks.servers import Server

CONNECT_AT_ONCE = 256
CONNECT_S = 60.0
DRAIN_S = 5.0  # what may take longer than the posting; beyond that the server fell behind
WARM_UP = 50  # messages before those that count, and as many a second
WARM_UP_LIMIT_S = 15.0

Meter = Callable[[], Mapping[str, float]]  # reads counters that only grow


@dataclass(frozen=True, slots=True)
class Load:
    """What is carried; reader n is in room n % rooms + 1, and the rooms are posted to in turn."""

    readers: int
    rate: int  # messages a second, over all rooms
    seconds: float
    rooms: int = 1
    writers: int = 64

    @property
    def messages(self) -> int:
        """How many are posted in all."""
        return int(self.rate * self.seconds)

    @property
    def by_room(self) -> Counter[int]:
        """How many are posted to each room."""
        return Counter(number % self.rooms + 1 for number in range(self.messages))

    @property
    def deliveries(self) -> int:
        """How many deliveries that makes."""
        population = Counter(self.room(reader) for reader in range(self.readers))
        return sum(count * population[room] for room, count in self.by_room.items())

    def room(self, reader: int) -> int:
        """Return a reader's room."""
        return reader % self.rooms + 1


@dataclass(slots=True)
class Spent:
    """What was used, and what the generators and the readers said."""

    cpu_s: dict[str, float]  # by group of processes
    pss_kb: dict[str, int]
    generators_cpu_s: float
    metered: dict[str, float]
    got: dict[str, Any]
    posts: dict[str, Any]


def readers_of(server: Server, directory: Path) -> Generator:
    """Start a process of readers for a server."""
    setting = {"port": server.port, "ready": server.ready, "numbered": server.numbered}
    return Generator("readers", setting, directory / "load.log")


def writers_of(server: Server, heads: list[str], directory: Path) -> Generator:
    """Start a process of writers for a server."""
    setting = {"port": server.port, "heads": heads, "path": server.path, "make": server.make}
    return Generator("writers", setting, directory / "load.log")


def carry(turn: Turn, load: Load, meter: Meter = dict) -> Row:
    """Open the streams, warm up, post for some seconds, and check what arrived."""
    server = turn.server
    with (
        readers_of(server, turn.directory) as readers,
        writers_of(server, server.heads(load.writers), turn.directory) as writers,
    ):
        open_streams(server, readers, load)
        warm = _warm_up(readers, writers, load)
        spent = _post(server, (readers, writers), load, warm, meter)
    return _row(load, spent)


def open_streams(server: Server, readers: Generator, load: Load) -> None:
    """Open a stream for each reader. Raises StartError."""
    rooms = [load.room(reader) for reader in range(load.readers)]
    streams = [(room, server.stream(reader, room)) for reader, room in enumerate(rooms)]
    opened = readers.ask(
        "connect", readers=streams, at_once=CONNECT_AT_ONCE, first_address=0,
        timeout_s=CONNECT_S, within_s=CONNECT_S,
    )  # fmt: skip
    if opened["open"] < load.readers:
        raise procs.StartError(f"only {opened['open']} streams opened: {opened['errors']}")


def _warm_up(readers: Generator, writers: Generator, load: Load) -> Counter[int]:
    """Write to every room, so that what happens once in a room is not measured."""
    posted = writers.ask(
        "post", rate=max(min(load.rate, WARM_UP), load.rooms / 2),
        count=max(min(load.rate, WARM_UP), load.rooms), rooms=list(range(1, load.rooms + 1)),
        limit_s=WARM_UP_LIMIT_S, within_s=WARM_UP_LIMIT_S,
    )  # fmt: skip
    if not posted["posted"]:
        raise procs.StartError(f"posting failed: {posted['statuses']}")
    goal = posted["by_room"]
    readers.ask("expect", goal=goal, deliveries=0, timeout_s=DRAIN_S, within_s=DRAIN_S)
    readers.ask("mark")
    return Counter({int(room): count for room, count in goal.items()})


def _post(
    server: Server,
    generators: tuple[Generator, Generator],
    load: Load,
    warm: Counter[int],
    meter: Meter,
) -> Spent:
    """Post what counts, and take the meters' readings before and after."""
    readers, writers = generators
    limit_s = load.seconds + DRAIN_S
    groups = server.groups()
    before = {name: procs.cpu_s(pids) for name, pids in groups.items()}
    own, metered = readers.cpu_s() + writers.cpu_s(), meter()
    writers.begin(
        "post", rate=load.rate, count=load.messages, rooms=list(range(1, load.rooms + 1)),
        limit_s=limit_s, within_s=limit_s,
    )  # fmt: skip
    got = readers.ask(
        "expect", goal=dict(warm + load.by_room), deliveries=load.deliveries,
        timeout_s=limit_s, within_s=limit_s,
    )  # fmt: skip
    after = meter()
    return Spent(
        cpu_s={name: procs.cpu_s(pids) - before[name] for name, pids in groups.items()},
        pss_kb={name: procs.pss_kb(pids) for name, pids in groups.items()},
        metered={name: after[name] - metered[name] for name in after},
        got=got,
        posts=writers.answer(),
        generators_cpu_s=readers.cpu_s() + writers.cpu_s() - own,
    )


def _row(load: Load, spent: Spent) -> Row:
    got, posts, due = spent.got, spent.posts, load.deliveries
    took, sent = got["latencies"], got["since_sent"]
    wrong = checks.faults(got, complete=got["done"])
    seconds = got["seconds"]
    return {
        "readers": load.readers,
        "rooms": load.rooms,
        "rate": load.rate,
        "due": due,
        "delivered": got["delivered"],
        "delivered_percent": 100 * got["delivered"] / due,
        "in_order": not wrong if got["delivered"] else None,
        "exactly_once": checks.exactly_once(got, due),
        "wrong": wrong,
        "short": got["short"],
        "errors": got["errors"],
        "seconds": seconds,
        "deliveries_per_s": per(got["delivered"], seconds),
        "p50_ms": took.get("p50_ms"),
        "p99_ms": took.get("p99_ms"),
        "max_ms": took.get("max_ms"),
        "sent_p50_ms": sent.get("p50_ms"),
        "sent_p99_ms": sent.get("p99_ms"),
        **cpu(spent.cpu_s, got["delivered"], load.messages, seconds),
        "pss_mb": spent.pss_kb["web"] / 1024,
        "all_pss_mb": sum(spent.pss_kb.values()) / 1024,
        "event_bytes": per(got["bytes"], got["messages"]),
        "posted": posts["posted"],
        "post_rate": posts["rate"],
        "post_statuses": posts["statuses"],
        "post_p50_ms": posts["took"].get("p50_ms"),
        "post_p99_ms": posts["took"].get("p99_ms"),
        "late_p99_ms": posts["lateness"].get("p99_ms"),
        "parsed": got["parsed"],
        "generators_cpu_s": spent.generators_cpu_s,
        **{f"{name}_per_s": per(amount, seconds) for name, amount in spent.metered.items()},
    }


def cpu(used: Mapping[str, float], delivered: int, messages: int, seconds: float) -> Row:
    """Return what was used per delivery, both counts: the web processes', and everybody's."""
    web, total = used["web"], sum(used.values())
    return {
        "web_us": per(1e6 * web, delivered),
        "all_us": per(1e6 * total, delivered),
        "web_per_cpu_s": per(delivered, web),
        "per_cpu_s": per(delivered, total),
        "message_us": per(1e6 * total, messages),
        "web_message_us": per(1e6 * web, messages),
        "web_cores": per(web, seconds),
        "cpu_s": dict(used),
    }
