"""`scripts/bench [scenario …]`: measures, prints, and writes it all down."""

import argparse
import importlib
import os
import signal
import sys
from pathlib import Path

from benchmarks import peers, performance, plots, procs, report
from benchmarks.bench import Bench, Result

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "var" / "bench"
DOCS = ROOT / "docs"
SCENARIOS = (
    "fanout",
    "growth",
    "rooms",
    "idle",
    "storm",
    "posts",
    "history",
    "search",
    "startup",
    "opening",
    "processes",
)
INTERRUPTED = 130


def main() -> int:
    """Run what was asked for; return the exit code."""
    options = _parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    files = procs.raise_file_limit()
    wanted = _peers(options.peers)
    closer = (options.readers, options.seconds, options.rates)
    bench = Bench(options.quick, wanted, CACHE, options.rounds, *closer)
    partial = options.quick or any(closer)
    out = options.out or (CACHE / "quick" if partial else DOCS / "benchmarks")
    bench.say(f"{os.cpu_count()} cores, {files} files, into {out}")
    failed = False
    try:
        for name in options.scenario or SCENARIOS:
            try:
                result: Result = importlib.import_module(f"benchmarks.scenarios.{name}").run(bench)
            except procs.StartError as error:
                bench.say(f"{name}: {error}")
                failed = True
                continue
            sys.stdout.write(_keep(result, out) + "\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        bench.say("interrupted; everything is ended")
        return INTERRUPTED
    return int(failed)


def _keep(result: Result, out: Path) -> str:
    """Write everything down; return what the person reads."""
    out.mkdir(parents=True, exist_ok=True)
    if result.charts:
        try:
            plots.draw(result, out / f"{result.scenario}.png")
        except ImportError as error:  # the tests' environment has no matplotlib
            sys.stderr.write(f"no plots: {error}\n")
    text = report.write(result, out)
    if out == DOCS / "benchmarks":
        performance.fill(DOCS / "performance.md", report.read(out))
    return text


def _peers(text: str) -> tuple[str, ...]:
    names = peers.NAMES if text == "all" else () if text == "none" else tuple(text.split(","))
    unknown = set(names) - set(peers.NAMES)
    if unknown:
        sys.exit(f"scripts/bench: no such peer: {', '.join(sorted(unknown))}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures quartchat beside its peers, on loopback; writes tables and plots.",
    )
    parser.add_argument(
        "scenario", nargs="*", type=_scenario, help=f"some of {', '.join(SCENARIOS)}; else all"
    )
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes: fewer readers, one round"
    )
    parser.add_argument("--rounds", type=int, help="how often each is measured, in turn (1 to 3)")
    parser.add_argument(
        "--peers", default="all", help=f"`all`, `none`, or some of {','.join(peers.NAMES)}"
    )
    parser.add_argument(
        "--readers",
        type=int,
        help="for a closer look: so many, instead of a scenario's own",
    )
    parser.add_argument("--seconds", type=float, help="likewise: for so long")
    parser.add_argument("--rates", type=_numbers, help="likewise: messages a second, like 10,1000")
    parser.add_argument(
        "--out",
        type=Path,
        help="where to write (docs/benchmarks; for quick or closer looks var/bench/quick)",
    )
    return parser


def _scenario(text: str) -> str:
    if text not in SCENARIOS:
        raise argparse.ArgumentTypeError(f"no such scenario: {text}")
    return text


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
