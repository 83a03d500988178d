"""What is wrong with what readers received; nothing of it depends on the server's own word.

A reader's `Tally` has what was wrong with its stream alone: places of a writer that were skipped
or came again, jumps in the server's numbers. Here the readers are compared with each other and
with what was posted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.framing import Tally

COUNTED = ("messages", "bytes", "missing", "repeated", "holes", "heartbeats", "resets")
ALWAYS = ("missing", "repeated", "holes", "resets")  # what no stream may have
IN_THE_END = ("orders", "short")  # what no reader may have once all is delivered


def summary(streams: Iterable[tuple[int, Tally]], goal: Mapping[int, int]) -> dict[str, int]:
    """Add up the streams of (room, tally); `goal` is what each reader of a room should have.

    `short` counts readers that have more or less than that; `orders` the orders of messages
    that were seen in a room beyond the one.
    """
    orders: defaultdict[int, set[int]] = defaultdict(set)
    totals: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    short = 0
    for room, tally in streams:
        orders[room].add(tally.order)
        for name in COUNTED:
            totals[name] += getattr(tally, name)
        short += room in goal and tally.messages != goal[room]
    extra = sum(len(found) for found in orders.values()) - len(orders)
    return {"short": short, "orders": extra, **totals}


def faults(got: Mapping[str, Any], *, complete: bool) -> dict[str, int]:
    """Return what a summary has that is wrong, by name.

    Where a server fell behind (not `complete`) its readers stand at different places, and
    neither their counts nor their orders can be compared.
    """
    names = ALWAYS + IN_THE_END if complete else ALWAYS
    return {name: got[name] for name in names if got[name]}


def exactly_once(got: Mapping[str, Any], due: int) -> bool:
    """Whether all that was due was delivered, once, in order."""
    return bool(got["done"]) and int(got["delivered"]) == due and not faults(got, complete=True)
