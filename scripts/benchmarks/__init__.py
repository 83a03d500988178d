"""The benchmarks: `scripts/bench`. Servers, load, scenarios and the report, in that order."""
