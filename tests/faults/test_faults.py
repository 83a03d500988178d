"""A minute of the fault suite, always the same one, and what it stands on."""

import asyncio
from itertools import islice
from pathlib import Path

import harness
import pytest

from faults import checker, nemesis, report, run, seeded, valkeys
from faults.record import Record
from faults.stage import Stage
from faults.system import System

SEED = 1


@pytest.mark.faults
def test_a_minute_of_faults_loses_doubles_and_reorders_nothing(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    engine, database = pytestconfig.getoption("redis"), pytestconfig.getoption("database")
    options = run.Options(SEED, 60, engine, database, valkeys.partitions(engine))
    record = asyncio.run(run.run(options, tmp_path))
    violations = checker.check(record)
    text = report.told(options, record, violations)
    print(text)  # noqa: T201  (for `pytest -s`)
    if violations:
        report.keep(harness.ROOT / "var" / "faults" / f"test-seed-{SEED}", record, violations, text)
    assert not violations, text
    assert len(record.faults) > 5
    assert any(send.answers for send in record.sends)
    changes = {"message.update", "message.delete", "reaction.add"}
    assert {change.kind for change in record.changes} == (
        changes if options.partitions == 1 else set()
    )


def hands(directory: Path, engine: str = "standalone") -> nemesis.Nemesis:
    """Those of a run that has not begun."""
    return nemesis.Nemesis(System(directory, engine=engine), Stage(Record(SEED), {}, []))


def test_a_seed_names_the_same_faults_each_time() -> None:
    kinds = ["a", "b", "c"]
    steps = [list(islice(nemesis.plan(seed, kinds), 30)) for seed in (1, 1, 2)]
    assert steps[0] == steps[1] != steps[2]
    for start in range(0, 30, len(kinds)):
        assert sorted(step.kind for step in steps[0][start : start + len(kinds)]) == kinds


def test_what_is_to_come_first_comes_first_and_then_everything_else() -> None:
    kinds = ["a", "b", "c", "d"]
    steps = list(islice(nemesis.plan(1, kinds, ["c", "c", "a"]), 9))
    assert [step.kind for step in steps[:3]] == ["c", "c", "a"]
    assert sorted(step.kind for step in steps[3:5]) == ["b", "d"]
    assert sorted(step.kind for step in steps[5:9]) == kinds


@pytest.mark.parametrize("bug", seeded.BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_seeded_bug_still_fits_the_code(bug: seeded.Bug, tmp_path: Path) -> None:
    bug.applied(harness.ROOT, tmp_path / "tree")
    assert set(bug.first) <= hands(tmp_path, bug.engine or "standalone").kinds.keys()


@pytest.mark.parametrize(
    ("engine", "more"),
    [
        ("standalone", set()),
        ("tls", set()),
        ("sentinel", {"master handed over", "master lost", "master lost with its tail"}),
        (
            "cluster",
            {"master handed over", "master lost", "master lost with its tail", "slots moved"},
        ),
    ],
)
def test_masters_die_where_there_are_replicas(engine: str, more: set[str], tmp_path: Path) -> None:
    plain = hands(tmp_path / "plain").kinds.keys()
    assert hands(tmp_path / "other", engine).kinds.keys() - plain == more


def test_sql_is_gone_for_30_s_in_longer_runs_alone(tmp_path: Path) -> None:
    these = hands(tmp_path)
    assert nemesis.LONG_GONE not in these.drawn(60)
    assert nemesis.LONG_GONE in these.drawn(180)
    assert set(these.drawn(180)) == these.kinds.keys()
