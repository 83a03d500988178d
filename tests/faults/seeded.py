"""Bugs on purpose, each in a copy of the code: a suite that finds none of them proves nothing.

A bug is a text of the code and what stands there instead; a test sees that the text is there.
"""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from faults import checker, report, valkeys
from faults.record import Record
from faults.run import Options, copied, once

WITHIN_S = 60.0  # from the start of the system to the report


@dataclass(frozen=True)
class Bug:
    """A change that breaks a promise, and the violations of which one must be reported."""

    name: str
    file: str
    was: str
    now: str
    seen_as: frozenset[str]
    first: tuple[str, ...] = ()  # the faults that bring it out, as they come before the others
    engine: str = ""  # where alone it is a bug

    def applied(self, tree: Path, target: Path) -> Path:
        """Copy a tree with the bug in it."""
        copied(tree, target)
        file = target / self.file
        text = file.read_text()
        assert text.count(self.was) == 1, f"{self.file} has changed: {self.name}"
        file.write_text(text.replace(self.was, self.now))
        return target

    def is_seen(self, record: Record) -> bool:
        """Whether what a run wrote down so far is enough to tell."""
        return any(violation.kind in self.seen_as for violation in checker.so_far(record))


LOST = frozenset({"lost", "hole", "pages"})
MISSED = frozenset({"reader: gap", "reader: behind"})
GHOSTS = frozenset({"reader: content", "reset"})  # they had what no master has any more
LOST_TAILS = ("master lost with its tail",) * 3
BUGS = (
    Bug(
        "the feed is trimmed without regard to what is archived",
        "quartchat/lua/append.lua",
        "redis.call('XADD', KEYS[4], '*',",
        "redis.call('XADD', KEYS[4], 'MAXLEN', '100', '*',",
        LOST,
        ("sql gone", "valkey emptied"),
    ),
    Bug(
        "the key of a send is not remembered",
        "quartchat/lua/append.lua",
        "redis.call('SET', KEYS[2], n",
        "redis.call('SET', KEYS[2] .. n, n",
        frozenset({"doubled"}),
    ),
    Bug(
        "a worker acknowledges before it commits",
        "quartchat/archive.py",
        "        if events:\n            for clash in",
        "        await self._group.archived(partition, entries)\n"
        "        if events:\n            for clash in",
        LOST,
        # Three, since a worker may die with a batch that has no message in it.
        ("worker killed after XACK",) * 3 + ("valkey emptied",),
    ),
    Bug(
        "a reader resumes one event too late",
        "quartchat/room_reader.py",
        "                self.cursor = asked\n",
        "                self.cursor = min(asked + 1, head)\n",
        MISSED,
    ),
    Bug(
        "a reader whose socket was full goes on at the head",
        "quartchat/readers.py",
        "                    await out.finish()\n",
        "                    await out.finish()\n"
        "                    if hasattr(self, 'room_id'):\n"
        "                        self.cursor = self._home.recent.heads[self.room_id]\n",
        MISSED,
    ),
    Bug(
        "a room that Redis forgot is numbered from 1 again",
        "quartchat/lua/seed.lua",
        "= tonumber(ARGV[1]), ",
        "= 0, ",
        LOST,
        ("valkey emptied",),
    ),
    Bug(
        "a reader of all rooms skips what is no more in memory",
        "quartchat/feed_reader.py",
        "                await self._replay(out)\n",
        "                self.position = recent.position\n",
        MISSED,
        ("web killed", "web restarted"),
    ),
    Bug(
        "a send is acknowledged though no replica has it",
        "quartchat/replicas.py",
        "await confirmed(self._redis, batch[0][0][0], self._commands(batch))",
        "await round_trip(self._redis, self._commands(batch))",
        LOST,
        LOST_TAILS,
        "sentinel",
    ),
    Bug(
        "streams show what no replica has",
        "quartchat/feed.py",
        "kept = await self._kept(entries)\n",
        "kept = entries\n",
        GHOSTS,
        LOST_TAILS,
        "cluster",
    ),
    Bug(
        "a worker archives what no replica has",
        "quartchat/archive.py",
        "        if not self._kept:\n",
        "        if self._kept is None:\n",
        GHOSTS,
        LOST_TAILS,
        "sentinel",
    ),
)


def main(options: Options) -> int:
    """Run with each bug until it is found; 1 if one was not, or too late."""
    missed = 0
    for bug in BUGS:
        began = time.monotonic()
        where = options
        if engine := bug.engine:
            where = replace(options, engine=engine, partitions=valkeys.partitions(engine))
        with tempfile.TemporaryDirectory(prefix="seeded-") as directory:
            broken = bug.applied(options.tree, Path(directory) / "tree")
            record = once(replace(where, tree=broken, first=bug.first), bug.is_seen)
        violations = checker.check(record)
        took = time.monotonic() - began
        kinds = {violation.kind for violation in violations}
        found = bool(kinds & bug.seen_as) and took <= WITHIN_S
        missed += not found
        print(  # noqa: T201  (what the command is for)
            f"{'found ' if found else 'MISSED'} {took:4.0f} s  {bug.name}: "
            f"{', '.join(sorted(kinds)) or 'nothing'}",
            flush=True,
        )
        if not found:
            print(report.told(options, record, violations), flush=True)  # noqa: T201
    return bool(missed)
