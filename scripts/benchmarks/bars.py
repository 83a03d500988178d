"""The bars: what each scenario's figures are held against, all in one place.

A bar looks at the measurements of one place. A ratio is taken within each round; what is judged
is the median over the rounds, and a yes must be one in every round. CPU has two counts, and a
bar on it has a line for each: `web`, the chat server's own processes (quartchat's web processes,
nginx, Node.js), and `all`, with whatever stands behind them (the worker, Valkey or Redis).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import figures
from benchmarks.figures import Place, Row

CROWD = {"server": "quartchat", "readers": 1000}
HEAVY, MIDDLE, LIGHT = ({**CROWD, "rate": rate} for rate in (1000, 100, 10))
COUNTS = ("web", "all")
NOT_YET = "not measured"
SEARCH_MS = 25
OPENED_MS = 300


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure at a place, perhaps over that at another one, and what it may be."""

    text: str
    place: Place
    figure: str
    form: str = "{:.2f}"
    most: float | None = None
    least: float | None = None  # without either, the figure has to be true
    to: Place | None = None
    count: str = ""  # whose CPU

    def judge(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return the bar's line: what is asked, what was measured, whether that is met."""
        found: list[Any]
        if self.to is None:
            found = [row.get(self.figure) for row in figures.at(rows, self.place)]
        else:
            found = figures.ratios(rows, self.place, self.to, self.figure)
        found = [value for value in found if value is not None]
        line = {"bar": self.text, "count": self.count, "measured": "-", "met": NOT_YET}
        if found:
            value = all(found) if self.most is self.least is None else figures.median(found)
            line["measured"] = self._text(value)
            line["met"] = "yes" if self._holds(value) else "NO"
        return line

    def _text(self, value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "NO"
        return self.form.format(value)

    def _holds(self, value: Any) -> bool:
        if self.most is not None:
            return bool(value <= self.most)
        if self.least is not None:
            return bool(value >= self.least)
        return bool(value)


def judge(scenario: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the lines of a scenario's bars."""
    return [bar.judge(rows) for bar in BARS.get(scenario, ())]


def _cpu(
    text: str,
    place: Place,
    keys: Mapping[str, str],
    *,
    to: Place | None = None,
    form: str = "{:.2f} times",
    **limit: float,
) -> tuple[Bar, ...]:
    """Return a bar on CPU for each count; `keys` names the figure of each."""
    return tuple(
        Bar(text, place, keys[count], form=form, to=to, count=count, **limit) for count in COUNTS
    )


DELIVERY = {"web": "web_us", "all": "all_us"}
PER_CPU = {"web": "web_per_cpu_s", "all": "per_cpu_s"}
MESSAGE = {"web": "web_message_us", "all": "message_us"}


def _beside(place: Place, server: str) -> Place:
    return {**place, "server": server}


def _ms(text: str, place: Place, most: float) -> Bar:
    return Bar(text, place, "p99_ms", form="{:.0f} ms", most=most)


def _carried(at: str, place: Place) -> Bar:
    return Bar(f"{at}: every event delivered once, in order", place, "exactly_once")


BARS: dict[str, tuple[Bar, ...]] = {
    "fanout": (
        _carried("1,000 readers, 1,000/s", HEAVY),
        *_cpu(
            "1,000 readers, 1,000/s: CPU per delivery ≤ 0.7 µs",
            HEAVY,
            DELIVERY,
            form="{:.2f} µs",
            most=0.7,
        ),
        *_cpu(
            "1,000 readers, 1,000/s: deliveries per CPU second ≥ 5 times nchan's",
            HEAVY,
            PER_CPU,
            to=_beside(HEAVY, "nchan"),
            form="{:.1f} times",
            least=5,
        ),
        *_cpu(
            "1,000 readers, 1,000/s: deliveries per CPU second ≥ 10 times socket.io's",
            HEAVY,
            PER_CPU,
            to=_beside(HEAVY, "socketio"),
            form="{:.1f} times",
            least=10,
        ),
        _ms("1,000 readers, 1,000/s: p99 ≤ 300 ms", HEAVY, 300),
        _carried("1,000 readers, 100/s", MIDDLE),
        *_cpu(
            "1,000 readers, 100/s: CPU per delivery ≤ nchan's",
            MIDDLE,
            DELIVERY,
            to=_beside(MIDDLE, "nchan"),
            most=1,
        ),
        _ms("1,000 readers, 100/s: p99 ≤ 150 ms", MIDDLE, 150),
        _carried("1,000 readers, 10/s", LIGHT),
        *_cpu(
            "1,000 readers, 10/s: CPU per delivery ≤ socket.io's",
            LIGHT,
            DELIVERY,
            to=_beside(LIGHT, "socketio"),
            most=1,
        ),
        _ms("1,000 readers, 10/s: p99 ≤ 100 ms", LIGHT, 100),
    ),
    "rooms": tuple(
        bar
        for rooms in (100, 1000)
        for bar in _cpu(
            f"{rooms:,} rooms: CPU per message ≤ 1.2 times that with one room",
            {**CROWD, "rooms": rooms},
            MESSAGE,
            to={**CROWD, "rooms": 1},
            most=1.2,
        )
    ),
    "growth": _cpu(
        "300 rooms of 10 readers: CPU per message ≤ 1.2 times that with one such room",
        {"rooms": 300, "readers": 3000, "rate": 100},
        MESSAGE,
        to={"rooms": 1, "readers": 10, "rate": 100},
        most=1.2,
    ),
    "idle": (
        Bar(
            "10,000 streams: whole web process / streams ≤ 30 kB",
            {"server": "quartchat", "streams": 10_000},
            "whole_kb",
            form="{:.1f} kB",
            most=30,
        ),
        Bar(
            "10,000 streams: heartbeats ≤ 5 % of a core",
            {"server": "quartchat", "streams": 10_000},
            "heartbeat_percent",
            form="{:.1f} %",
            most=5,
        ),
        Bar(
            "streams and descriptors are back after each of five closes",
            {"server": "quartchat", "streams": 10_000, "cycle_count": 5},
            "came_back",
        ),
        Bar(
            "memory after the fifth close ≤ 1.1 times that after the first",
            {"server": "quartchat", "streams": 10_000, "cycle_count": 5},
            "grown_ratio",
            form="{:.2f} times",
            most=1.1,
        ),
    ),
    "storm": tuple(
        Bar(text, {"server": "quartchat", "readers": 5000}, figure, form=form, most=most)
        for text, figure, form, most in (
            (
                "5,000 come back 200 events behind: ≤ 1.5 times the time without catching up",
                "relative",
                "{:.2f} times",
                1.5,
            ),
            ("≤ 50 Redis commands meanwhile, of all processes", "redis", "{:.0f}", 50),
            ("≤ 50 Redis commands beyond what runs without them", "redis_beyond", "{:.0f}", 50),
            ("no SQL", "sql", "{:.0f}", 0),
            ("each event once, in order", "in_order", "", None),
        )
    ),
    "posts": (
        *(
            Bar(
                text,
                {"server": "quartchat"},
                figure,
                least=0.75,
                to={"server": server},
                count=count,
            )
            for server, hypercorn in (
                ("empty route", "Hypercorn as it comes"),
                ("empty, our HTTP", "Hypercorn with quartchat/http1.py"),
            )
            for text, figure, count in (
                (f"≥ 0.75 of an empty route's answers per second, {hypercorn}", "rate", ""),
                (f"likewise per CPU second, {hypercorn}", "per_web_cpu_s", "web"),
            )
        ),
        _ms("p99 ≤ 50 ms at 16 connections", {"server": "quartchat", "connections": 16}, 50),
    ),
    "history": tuple(
        Bar(
            f"{place} page: p99 at 1,000,000 messages ≤ 1.5 times that at 1,000",
            {"place": place, "messages": 1_000_000},
            "p99_ms",
            most=1.5,
            to={"place": place, "messages": 1000},
            form="{:.2f} times",
        )
        for place in ("newest", "middle", "oldest")
    ),
    "search": tuple(
        Bar(
            f"{kind}: p99 at 1,000,000 messages",
            {"kind": kind, "messages": 1_000_000},
            "p99_ms",
            most=SEARCH_MS,
            form="{:.1f} ms",
        )
        for kind in ("common word", "common prefix", "rare word", "phrase", "rare phrase")
    ),
    "opening": tuple(
        Bar(
            f"50,000 messages, {cache} cache: shown within 300 ms of the document",
            {"messages": 50_000, "cache": cache},
            "shown_ms",
            most=OPENED_MS,
            form="{:.0f} ms",
        )
        for cache in ("cold", "warm")
    ),
    "processes": tuple(
        bar
        for rate in (100, 1000)
        for bar in _cpu(
            f"1,000 readers, {rate:,}/s: CPU per delivery of two web processes ≤ 1.2 times one's",
            {**CROWD, "rate": rate, "web_processes": 2},
            DELIVERY,
            to={**CROWD, "rate": rate, "web_processes": 1},
            most=1.2,
        )
    ),
}
