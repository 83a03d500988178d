"""The command: `python -m faults`, which `scripts/test --faults` starts."""

import argparse
import random
import signal
import sys
import time
from pathlib import Path

import harness

from faults import checker, report, seeded, valkeys
from faults.run import Options, once

KEPT = harness.ROOT / "var" / "faults"


def main() -> int:
    """Run with the options of the command line; 1 if a promise was broken."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to end what was started
    parser = argparse.ArgumentParser(prog="scripts/test --faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the faults; without it any")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--redis", choices=valkeys.ENGINES, default="standalone")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--partitions", type=int, help="1; on a cluster 16")
    parser.add_argument(
        "--seeded-bugs", action="store_true", help="break the code and see it found"
    )
    parser.add_argument("--tree", type=Path, default=harness.ROOT, help="another copy of the code")
    asked = parser.parse_args()
    seed = random.randrange(1 << 31) if asked.seed is None else asked.seed
    partitions = asked.partitions or valkeys.partitions(asked.redis)
    options = Options(seed, 60 * asked.minutes, asked.redis, asked.database, partitions, asked.tree)
    if asked.seeded_bugs:
        return seeded.main(options)
    record = once(options)
    violations = checker.check(record)
    text = report.told(options, record, violations)
    print(text)  # noqa: T201  (what the command is for)
    if violations:
        kept = KEPT / f"{time.strftime('%Y%m%d-%H%M%S')}-seed-{seed}"
        print(f"kept in {report.keep(kept, record, violations, text)}")  # noqa: T201
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
