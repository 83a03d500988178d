"""A run in figures."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from faults.checker import EMPTIED, SHOWN, Violation
from faults.record import Record
from faults.run import Options

LOSSES = {
    "lost": {"lost", "changed", "hole"},
    "doubled": {"doubled", "reader: twice"},
    "reordered": {"reordered", "reader: out of order"},
}
PAUSES = 10  # are told of, if they are
PAUSE_S = 2.0  # or longer


def pauses(record: Record) -> list[tuple[float, float]]:
    """Return the times in which no send was acknowledged, the longest first.

    While the writers were held, before Valkey was emptied, none was to be expected.
    """
    held = [(fault.at, fault.until) for fault in record.faults if fault.kind == EMPTIED]
    times = [answer.at for send in record.sends for answer in send.answers]
    times = [0.0, *(at for at in times if at <= record.seconds), record.seconds]
    times += [at for span in held for at in span if at <= record.seconds]
    found = pairwise(sorted(times))
    free = (p for p in found if not any(start <= p[0] and p[1] <= end for start, end in held))
    return sorted(free, key=lambda pause: pause[0] - pause[1])


def longest_pause(record: Record) -> float:
    """Return the seconds for which no send was acknowledged, at the most."""
    return round(max((end - start for start, end in pauses(record)), default=0.0), 1)


def told_pauses(record: Record) -> list[str]:
    """Say of the long pauses what had happened just before them, and what meanwhile."""
    lines = []
    for start, end in pauses(record)[:PAUSES]:
        if end - start >= PAUSE_S:
            near = (f for f in record.faults if f.at <= end and f.until >= start - PAUSE_S)
            kinds = ", ".join(f"{f.kind} {f.target}".strip() for f in near)
            lines.append(f"no send for {end - start:.1f} s from {start:.1f} s on: {kinds}")
    return lines


def figures(options: Options, record: Record, violations: Sequence[Violation]) -> dict[str, object]:
    """Return what is worth a column."""
    kinds = Counter(violation.kind for violation in violations)
    acknowledged = sum(bool(send.answers) for send in record.sends)
    return {
        "seed": options.seed,
        "redis": options.engine,
        "database": options.database,
        "partitions": options.partitions,
        "seconds": round(record.seconds),
        "faults injected": len(record.faults),
        "sends acknowledged": acknowledged,
        **{name: sum(kinds[kind] for kind in among) for name, among in LOSSES.items()},
        "longest pause, s": longest_pause(record),
        "answers of 500": sum(
            count for name, count in record.statuses.items() if name.endswith(" 500")
        ),
        "other violations": sum(
            count for kind, count in kinds.items() if kind not in set().union(*LOSSES.values())
        ),
        "events delivered": sum(len(s.events) for log in record.logs for s in log.segments),
        "slowest request, s": round(record.slowest_s, 1),
    }


def told(options: Options, record: Record, violations: Sequence[Violation]) -> str:
    """Return the whole report as text."""
    lines = [f"{name:>20}  {value}" for name, value in figures(options, record, violations).items()]
    faults = Counter(fault.kind for fault in record.faults)
    lines += ["", *(f"{count:>4} x {kind}" for kind, count in sorted(faults.items()))]
    statuses = ", ".join(f"{name}: {count}" for name, count in sorted(record.statuses.items()))
    lines += ["", f"answers: {statuses}", *told_pauses(record)]
    shown: Counter[str] = Counter()
    for violation in violations:
        shown[violation.kind] += 1
        if shown[violation.kind] <= SHOWN:
            lines.append(f"VIOLATION {violation.kind}: {violation.text}")
    return "\n".join(lines)


def keep(directory: Path, record: Record, violations: Sequence[Violation], text: str) -> Path:
    """Keep all that is known of a failed run."""
    directory.mkdir(parents=True, exist_ok=True)
    record.save(directory / "record.json")
    (directory / "report.txt").write_text(text + "\n")
    (directory / "violations.txt").write_text("\n".join(f"{v.kind}: {v.text}" for v in violations))
    for name, output in record.outputs.items():
        (directory / f"{name}.log").write_text(output)
    return directory
