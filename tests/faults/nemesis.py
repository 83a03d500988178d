"""What goes wrong, when and where: a plan from a seed, and the hands that carry it out.

Every kind is drawn once before any is drawn again, in an order of the seed's. What is done is
healed before the next fault begins, but a killed process is not waited for: it starts while
the next fault is at work.
"""

import asyncio
import random
import re
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from engines import nodes
from proxy import Trap
from redis.exceptions import RedisError

from faults import look
from faults.record import Fault
from faults.stage import Stage
from faults.system import Node, System
from faults.valkey import until
from faults.valkeys import Cluster, Replicated

PAUSE_S = (0.2, 1.2)  # between two faults
HOLD_S = (0.5, 4.0)  # how long a process is stopped; SQL is gone for twice as long,
LONG_S = 30.0  # and in a run of some minutes also for so long
LONG_RUN_S = 180.0  # a run that is a minute must stay one
TAKE_OVER_S = 10.0  # what a replica gets to take over where nobody died
BEHIND_S = 2.0  # how long a replica hears of nothing before it takes over
TRAP_S = 3.0  # how long a trap waits for what it is to catch
CAUGHT_UP_S = 40.0  # a worker takes over what a dead one held after 15 to 20 s
FEED_S = 2.5  # what a feed keeps at least: no process that runs is so far behind
PAST_S = 4.3  # how long a process sleeps so that it misses something of that
# What the traps look for: an event, a send, and the scripts by the keys that they are given.
EVENT = re.compile(rb"data: \{")
SEND = re.compile(rb"^POST /api/chat/rooms/\d+/messages ")
APPEND = re.compile(rb"\r\nsent:\{")
ARCHIVED = re.compile(
    rb"EVALSHA\r\n\$40\r\n[0-9a-f]{40}\r\n\$1\r\n1\r\n\$\d+\r\nfeed:\{\d+\}\r\n\$7\r\narchive\r\n"
)
FOR_EVER = 1 << 30
LONG_GONE = "sql gone for 30 s"


@dataclass(frozen=True)
class Step:
    """One planned fault; `pick` chooses among its targets."""

    pause_s: float
    kind: str
    pick: int
    hold_s: float


def plan(seed: int, kinds: list[str], first: Sequence[str] = ()) -> Iterator[Step]:
    """Yield steps for ever, the same for the same seed and kinds; those of `first` come first."""
    chance = random.Random(seed)
    deck = list(first)
    while True:
        rest = [kind for kind in kinds if kind not in deck]
        chance.shuffle(rest)
        deck += rest
        for kind in deck:
            pause_s, hold_s = chance.uniform(*PAUSE_S), chance.uniform(*HOLD_S)
            yield Step(round(pause_s, 2), kind, chance.randrange(1 << 16), round(hold_s, 2))
        deck = []


class Nemesis:
    """Carries a plan out on a system, and notes what it did."""

    def __init__(self, system: System, stage: Stage) -> None:
        self._system, self._stage = system, stage
        self._rooms, self._gate = stage.rooms, stage.gate
        self._notes, self._clock = stage.notes, stage.clock
        self.kinds: dict[str, Callable[[Step, Fault], Awaitable[None]]] = {
            "web killed": self._kill_web,
            "worker killed": self._kill_worker,
            "valkey killed": self._kill_valkey,
            "web stopped": self._stop_web,
            "worker stopped": self._stop_worker,
            "valkey stopped": self._stop_valkey,
            "web restarted": self._restart_web,
            "redis clients killed": self._kill_clients,
            "events cut in the middle": self._cut_events,
            "answers to sends lost": self._lose_answers,
            "replies to appends lost": self._lose_appends,
            "replies to archived lost": self._lose_archived,
            "worker killed between commit and XACK": self._kill_before_ack,
            "worker killed after XACK": self._kill_after_ack,
            "rooms trimmed to nothing": self._trim,
            "feed cut": self._cut_feed,
            "feed cut while web stopped": self._cut_feed_past,
            "valkey emptied": self._flush,
            "sql gone": self._sql_gone,
            LONG_GONE: self._sql_gone_for_long,
        }
        valkeys = system.valkeys
        if isinstance(valkeys, Replicated):
            self.kinds |= {
                "master handed over": partial(self._hand_over, valkeys),
                "master lost": partial(self._lose_master, valkeys),
                "master lost with its tail": partial(self._lose_tail, valkeys),
            }
        if isinstance(valkeys, Cluster):
            self.kinds["slots moved"] = partial(self._move_slots, valkeys)

    async def run(self, seed: int, until: float, first: Sequence[str] = ()) -> None:
        """Do what the plan says until the clock does; faults of the kinds `first` before all."""
        for step in plan(seed, self.drawn(until), first):
            await asyncio.sleep(step.pause_s)
            if self._clock() >= until:
                return
            fault = Fault(self._clock(), step.kind, "")
            self._notes.faults.append(fault)
            await self.kinds[step.kind](step, fault)
            fault.until = self._clock()

    def drawn(self, seconds: float) -> list[str]:
        """Return the kinds that a run of this length draws."""
        return [kind for kind in self.kinds if kind != LONG_GONE or seconds >= LONG_RUN_S]

    # -- processes

    async def _kill_web(self, step: Step, fault: Fault) -> None:
        self._pick(self._system.webs, step, fault).kill()

    async def _kill_worker(self, step: Step, fault: Fault) -> None:
        self._pick(self._system.workers, step, fault).kill()

    async def _kill_valkey(self, step: Step, fault: Fault) -> None:
        node = self._pick_valkey(step, fault)
        await asyncio.to_thread(node.kill)
        await asyncio.sleep(step.hold_s / 4)
        await asyncio.to_thread(node.start)
        await self._settled()

    async def _restart_web(self, step: Step, fault: Fault) -> None:
        node = self._pick(self._system.webs, step, fault)
        node.down = True
        code = await asyncio.to_thread(node.process.terminate)
        if code not in {0, -signal.SIGTERM}:  # the latter where it had hardly started
            self._notes.troubles.append(f"{node.name} ended with {code} on SIGTERM")
        node.process.start()
        node.down = False

    async def _stop_web(self, step: Step, fault: Fault) -> None:
        await self._stop(self._pick(self._system.webs, step, fault).process.kill, step)

    async def _stop_worker(self, step: Step, fault: Fault) -> None:
        await self._stop(self._pick(self._system.workers, step, fault).process.kill, step)

    async def _stop_valkey(self, step: Step, fault: Fault) -> None:
        await self._stop(self._pick_valkey(step, fault).send_signal, step)
        await self._settled()

    async def _stop(self, send: Callable[[int], None], step: Step) -> None:
        send(signal.SIGSTOP)
        try:
            await asyncio.sleep(step.hold_s)
        finally:
            send(signal.SIGCONT)

    # -- connections

    async def _kill_clients(self, _: Step, fault: Fault) -> None:
        fault.note = f"{await self._system.valkeys.kill_clients()} connections"

    async def _cut_events(self, step: Step, fault: Fault) -> None:
        node = self._pick(self._system.webs, step, fault)
        assert node.front is not None
        with _set(node.front.traps, Trap(EVENT, "middle", 4 + step.pick % 5)) as trap:
            await self._sprung(trap, fault)
            await asyncio.sleep(step.hold_s / 4)

    async def _lose_answers(self, step: Step, fault: Fault) -> None:
        node = self._pick(self._system.webs, step, fault)
        assert node.front is not None
        with _set(node.front.traps, Trap(SEND, "reply", 4 + step.pick % 5)) as trap:
            await self._sprung(trap, fault)
            await asyncio.sleep(step.hold_s / 4)

    async def _lose_appends(self, step: Step, fault: Fault) -> None:
        node = self._pick(self._system.webs, step, fault)
        with _set(node.redis.traps, Trap(APPEND, "reply", 1 + step.pick % 6)) as trap:
            await self._sprung(trap, fault)
            await asyncio.sleep(step.hold_s / 4)

    async def _lose_archived(self, step: Step, fault: Fault) -> None:
        node = self._pick(self._system.workers, step, fault)
        with _set(node.redis.traps, Trap(ARCHIVED, "reply", 1 + step.pick % 6)) as trap:
            await self._sprung(trap, fault)
            await asyncio.sleep(step.hold_s / 4)

    async def _kill_before_ack(self, step: Step, fault: Fault) -> None:
        """A worker says `archived` once its commit is done: that is where it dies."""
        node = self._pick(self._system.workers, step, fault)
        await self._kill_at(node, Trap(ARCHIVED, "command", FOR_EVER), fault)

    async def _kill_after_ack(self, step: Step, fault: Fault) -> None:
        """It was acknowledged, and the worker dies before it hears of that."""
        node = self._pick(self._system.workers, step, fault)
        await self._kill_at(node, Trap(ARCHIVED, "reply", FOR_EVER), fault)

    async def _kill_at(self, node: Node, trap: Trap, fault: Fault) -> None:
        with _set(node.redis.traps, trap):
            if await self._sprung(trap, fault):
                node.kill()

    # -- data

    async def _trim(self, _: Step, fault: Fault) -> None:
        with suppress(RedisError):
            fault.note = f"{await self._system.valkeys.trim_rooms(self._rooms)} events"

    async def _cut_feed(self, _: Step, fault: Fault) -> None:
        with suppress(RedisError):
            fault.note = f"{await self._system.valkeys.cut_feeds(FEED_S)} entries"

    async def _cut_feed_past(self, step: Step, fault: Fault) -> None:
        """A web process that sleeps for longer than the feed remembers, in small.

        It sleeps for less than its readers' patience, so that they are still there after it.
        """
        node = self._pick(self._system.webs, step, fault)
        node.process.kill(signal.SIGSTOP)
        try:
            await asyncio.sleep(PAST_S)
            await self._cut_feed(step, fault)
        finally:
            node.process.kill(signal.SIGCONT)

    async def _flush(self, step: Step, fault: Fault) -> None:
        """Empty Valkey of what SQL holds; what it alone has would be lost by definition."""
        try:
            await self._gate.close(CAUGHT_UP_S)
            if await self._system.wait_until_archived(CAUGHT_UP_S):
                await self._system.valkeys.flush()
                fault.note = "done"
                await look.audit(self._system, self._stage)
                await asyncio.sleep(step.hold_s / 2)
            else:
                self._notes.troubles.append(f"not archived after {CAUGHT_UP_S} s without a send")
        except TimeoutError:
            self._notes.troubles.append(f"a send is not acknowledged after {CAUGHT_UP_S} s")
        finally:
            self._gate.open()

    async def _sql_gone(self, step: Step, _: Fault) -> None:
        async with self._system.database.gone():
            await asyncio.sleep(2 * step.hold_s)

    async def _sql_gone_for_long(self, _: Step, __: Fault) -> None:
        async with self._system.database.gone():
            await asyncio.sleep(LONG_S)

    # -- masters and replicas

    async def _hand_over(self, valkeys: Replicated, step: Step, fault: Fault) -> None:
        """As for an upgrade; Sentinels may refuse, so soon after a failover."""
        master = await self._pick_master(valkeys, step, fault)
        successor = await valkeys.replica(master)
        try:
            await valkeys.hand_over(master)
        except RedisError as error:
            fault.note = str(error)
        else:
            with suppress(TimeoutError):
                await until(lambda: valkeys.took_over(successor), TAKE_OVER_S)
        await self._settled()

    async def _lose_master(self, valkeys: Replicated, step: Step, fault: Fault) -> None:
        await valkeys.fail_over(await self._pick_master(valkeys, step, fault))
        await self._settled()

    async def _lose_tail(self, valkeys: Replicated, step: Step, fault: Fault) -> None:
        """The replica that takes over has not heard of what the master did last."""
        master = await self._pick_master(valkeys, step, fault)
        await valkeys.fail_over(master, behind_s=min(step.hold_s, BEHIND_S))
        await self._settled()

    async def _move_slots(self, valkeys: Cluster, step: Step, fault: Fault) -> None:
        partition = step.pick % self._system.partitions
        fault.target = f"partition {partition}"
        await valkeys.move(partition, at_once=step.pick % 2 == 0)

    # -- helpers

    def _pick(self, among: list[Node], step: Step, fault: Fault) -> Node:
        node = among[step.pick % len(among)]
        fault.target = node.name
        return node

    def _pick_valkey(self, step: Step, fault: Fault) -> nodes.Node:
        node = self._system.valkeys.any_node(step.pick)
        fault.target = node.directory.name
        return node

    async def _pick_master(self, valkeys: Replicated, step: Step, fault: Fault) -> nodes.Node:
        node = await valkeys.master(step.pick)
        fault.target = node.directory.name
        return node

    async def _settled(self) -> None:
        try:
            await self._system.valkeys.settled()
        except TimeoutError:
            text = f"Valkey is not as it was, at {self._clock()} s"
            self._notes.troubles.append(text)

    async def _sprung(self, trap: Trap, fault: Fault) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(trap.first.wait(), TRAP_S)
        fault.note = "sprung" if trap.sprung else "caught nothing"
        return trap.sprung > 0


@contextmanager
def _set(traps: list[Trap], trap: Trap) -> Iterator[Trap]:
    traps.append(trap)
    try:
        yield trap
    finally:
        traps.remove(trap)
