"""What the bench makes of its figures: percentiles, medians, ratios, bars, pages."""

import sys
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(ROOT / "scripts"))

from benchmarks import bars, figures, performance, report
from benchmarks.__main__ import SCENARIOS
from benchmarks.bars import Bar
from benchmarks.bench import Column, Result
from benchmarks.scenarios import carry
from benchmarks.scenarios.carry import Load

FANOUT = {"readers": 1000, "rate": 1000}


def fanout(server: str, number: int, **figures: Any) -> dict[str, Any]:
    return {"round": number, "server": server, **FANOUT, **figures}


# -- arithmetic


def test_percentiles_are_of_what_there_is() -> None:
    assert figures.percentiles([]) == {}
    assert figures.percentiles([5_000_000]) == {
        "count": 1, "p50_ms": 5, "p99_ms": 5, "max_ms": 5,
    }  # fmt: skip
    found = figures.percentiles([n * 1_000_000 for n in range(1000, 0, -1)])
    assert found == {"count": 1000, "p50_ms": 501, "p99_ms": 990, "max_ms": 1000}


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_percentiles_are_in_order(nanoseconds: list[int]) -> None:
    found = figures.percentiles(nanoseconds)
    assert min(nanoseconds) / 1e6 <= found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]


def test_a_median_leaves_out_what_was_not_measured() -> None:
    assert figures.median([]) is None
    assert figures.median([None]) is None
    assert figures.median([3, None, 1]) == 2
    assert figures.median([9, 1, 2]) == 2


def test_cpu_is_counted_for_the_web_processes_and_for_all() -> None:
    used = {"web": 2.0, "worker": 0.5, "valkey": 1.5}
    found = carry.cpu(used, delivered=1_000_000, messages=1000, seconds=10.0)
    assert (found["web_us"], found["all_us"]) == (2, 4)
    assert (found["web_per_cpu_s"], found["per_cpu_s"]) == (500_000, 250_000)
    assert (found["web_message_us"], found["message_us"]) == (2000, 4000)
    assert found["web_cores"] == 0.2


def test_cpu_of_nothing_delivered_is_not_a_figure() -> None:
    found = carry.cpu({"web": 0.0}, delivered=0, messages=1, seconds=1.0)
    assert found["web_us"] is found["per_cpu_s"] is None


@pytest.mark.parametrize(("readers", "rooms", "deliveries"), [(10, 1, 500), (10, 10, 50)])
def test_deliveries_are_messages_times_the_readers_of_their_room(
    readers: int, rooms: int, deliveries: int
) -> None:
    assert Load(readers, rate=25, seconds=2.0, rooms=rooms).deliveries == deliveries


def test_deliveries_where_the_rooms_are_not_alike() -> None:
    load = Load(readers=5, rate=4, seconds=1.0, rooms=3)  # rooms of 2, 2, 1; messages 2, 1, 1
    assert load.by_room == {1: 2, 2: 1, 3: 1}
    assert load.deliveries == 2 * 2 + 1 * 2 + 1 * 1


def test_a_ratio_is_taken_within_its_round() -> None:
    rows = [
        fanout("quartchat", 1, web_us=1.0),
        fanout("nchan", 1, web_us=4.0),
        fanout("quartchat", 2, web_us=3.0),
        fanout("nchan", 2, web_us=6.0),
        fanout("quartchat", 3, web_us=3.0),  # whose peer was not measured
    ]
    ours, theirs = {"server": "quartchat"}, {"server": "nchan"}
    assert figures.ratios(rows, ours, theirs, "web_us") == [0.25, 0.5]
    figures.relate(rows, "web_us", theirs)
    assert [row["relative"] for row in rows] == [0.25, 1, 0.5, 1, None]


# -- bars


def judged(bar: Bar, *rows: dict[str, Any]) -> tuple[str, str]:
    line = bar.judge(rows)
    return line["measured"], line["met"]


def test_a_bar_is_met_up_to_its_limit_by_the_median() -> None:
    bar = Bar("≤ 0.7", {"server": "quartchat"}, "web_us", most=0.7)
    rows = [fanout("quartchat", n, web_us=value) for n, value in enumerate((0.7, 0.1, 9.0))]
    assert judged(bar, *rows) == ("0.70", "yes")
    assert judged(bar, *rows[2:]) == ("9.00", "NO")
    assert judged(bar, fanout("nchan", 1, web_us=0.1)) == ("-", "not measured")


def test_a_ratio_has_its_bar_too() -> None:
    bar = Bar("≥ 5", {"server": "quartchat"}, "per_cpu_s", least=5, to={"server": "nchan"})
    peer = fanout("nchan", 1, per_cpu_s=100)
    assert judged(bar, peer, fanout("quartchat", 1, per_cpu_s=500)) == ("5.00", "yes")
    assert judged(bar, peer, fanout("quartchat", 1, per_cpu_s=499)) == ("4.99", "NO")
    assert judged(bar, fanout("quartchat", 1, per_cpu_s=500)) == ("-", "not measured")


def test_a_yes_must_be_one_in_every_round() -> None:
    bar = Bar("once", {"server": "quartchat"}, "exactly_once")
    rows = [fanout("quartchat", n, exactly_once=n != 2) for n in range(1, 4)]
    assert judged(bar, rows[0], rows[2]) == ("yes", "yes")
    assert judged(bar, *rows) == ("NO", "NO")


def test_nothing_may_be_asked() -> None:
    bar = Bar("no SQL", {}, "sql", most=0, form="{:.0f}")
    assert judged(bar, {"sql": 0}) == ("0", "yes")
    assert judged(bar, {"sql": 1}) == ("1", "NO")


def test_each_bar_is_of_a_scenario_and_cpu_has_both_counts() -> None:
    assert set(bars.BARS) <= set(SCENARIOS)
    for scenario, found in bars.BARS.items():
        texts = [(bar.text, bar.count) for bar in found]
        assert len(set(texts)) == len(texts), scenario
        for text in {text for text, count in texts if count and scenario != "posts"}:
            assert {count for each, count in texts if each == text} == set(bars.COUNTS)


# -- pages


@pytest.fixture
def result() -> Result:
    columns = (Column("web_us", "web", "{:.2f}"), Column("in_order", "in order", "{}"))
    rows = [
        fanout("quartchat", 1, web_us=0.5, in_order=True, per_cpu_s=600, p99_ms=301.0),
        fanout("nchan", 1, web_us=5.0, in_order=True, per_cpu_s=100),
        fanout("quartchat", 2, web_us=0.7, in_order=False, per_cpu_s=800, p99_ms=303.0),
        fanout("nchan", 2, web_us=None, in_order=True, per_cpu_s=100),
    ]
    return Result("fanout", "many", "How.", ("rate", "server"), columns, (), rows, {"nchan": "1"})


def test_the_table_has_medians_and_one_no_is_no(result: Result, tmp_path: Path) -> None:
    report.write(result, tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "| 1000 | quartchat | 0.60 | NO |" in page
    assert "| 1000 | nchan | 5.00 | yes |" in page
    assert "2 rounds, " in page


def test_the_page_says_which_bars_are_met(result: Result, tmp_path: Path) -> None:
    text = report.write(result, tmp_path)
    lines = (tmp_path / "README.md").read_text().splitlines()
    bar = "| fanout | 1,000 readers, 1,000/s: "
    assert bar + "CPU per delivery ≤ 0.7 µs | web | 0.60 µs | yes |" in lines
    assert bar + "deliveries per CPU second ≥ 5 times nchan's | all | 7.0 times | yes |" in lines
    assert bar + "p99 ≤ 300 ms |  | 302 ms | NO |" in lines
    assert bar + "every event delivered once, in order |  | - | not measured |" in lines
    assert "p99 ≤ 300 ms" in text
    assert bars.NOT_YET not in text, "a person is not told what was not asked for"
    kept = report.read(tmp_path)["fanout"]["bars"]
    assert {"yes", "NO", bars.NOT_YET} == {line["met"] for line in kept}


def test_the_page_has_every_scenario_that_was_measured(result: Result, tmp_path: Path) -> None:
    report.write(result, tmp_path)
    result.scenario = "rooms"
    report.write(result, tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert page.index("## The bars") < page.index("## fanout: many") < page.index("## rooms: many")


TABLE = "Before.\n<!-- table: {} -->\nold\n<!-- end -->\nAfter.\n"


def test_tables_of_performance_are_filled_between_their_marks() -> None:
    text = performance.filled(TABLE.format("readers"), {})
    assert text == TABLE.format("readers").replace(
        "old", "Not measured yet: `scripts/bench growth` makes this table."
    )
    columns = [{"key": key, "form": "{:.1f}"} for key in performance.COST]
    rows = [
        {"rooms": 1, "rate": 100, "readers": readers, "round": number, "web_us": cost}
        for readers, number, cost in ((3000, 1, 2.0), (100, 1, 5.0), (100, 2, 7.0))
    ]
    rows.append({"rooms": 2, "rate": 100, "readers": 100, "round": 1, "web_us": 99.0})
    made = performance.filled(text, {"growth": {"columns": columns, "rows": rows}})
    lines = made.splitlines()
    assert lines[4].startswith("| 100 | 6.0 |")
    assert lines[5].startswith("| 3,000 | 2.0 |")
    assert lines[-2:] == ["<!-- end -->", "After."]


def test_what_a_hundred_thousand_readers_need_is_worked_out() -> None:
    streams = {"streams": 10_000, "whole_kb": 30.0, "stream_kb": 20.0, "heartbeat_percent": 4.0}
    idle = [{"server": "quartchat", **streams}]
    carried = [
        {"server": "quartchat", "readers": 1000, "rate": rate, "web_us": cost, "event_bytes": 500}
        for rate, cost in ((10, 12.0), (100, 4.0))
    ]
    text = performance.filled(
        TABLE.format("sizing"), {"fanout": {"rows": carried}, "idle": {"rows": idle}}
    )
    assert "100,000 streams are 2.0 GB" in text
    assert "3.0 GB in all" in text
    table = {line.split(" | ")[0]: line.split(" | ")[1:] for line in text.splitlines()}
    assert table["| cores for that, with heartbeats"] == ["1.6", "12.4", "40.4 |"]
    processes = next(cells for name, cells in table.items() if "web processes" in name)
    assert processes == ["10", "21", "68 |"]  # by streams; by CPU; by CPU


def test_every_table_of_performance_is_one_that_can_be_made() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    names = [match[2] for match in performance._TABLE.finditer(text)]
    assert sorted(names) == sorted(performance.TABLES)
