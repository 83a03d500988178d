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


def longest_pause(record: Record) -> float:
    """Return the seconds for which no send was acknowledged, at the most.

    While the writers were held, before Valkey was emptied, none was to be expected.
    """
    held = [(fault.at, fault.until) for fault in record.faults if fault.kind == EMPTIED]
    times = [answer.at for send in record.sends for answer in send.answers]
    times = [0.0, *(at for at in times if at <= record.seconds), record.seconds]
    times += [at for span in held for at in span if at <= record.seconds]
    pauses = sorted(pairwise(sorted(times)), key=lambda pause: pause[0] - pause[1])
    longest = (b - a for a, b in pauses if not any(start <= a and b <= end for start, end in held))
    return round(next(longest, 0.0), 1)


def figures(options: Options, record: Record, violations: Sequence[Violation]) -> dict[str, object]:
    """Return what is worth a column."""
    kinds = Counter(violation.kind for violation in violations)
    acknowledged = sum(bool(send.answers) for send in record.sends)
    return {
        "seed": options.seed,
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
    lines += ["", f"answers: {statuses}"]
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
