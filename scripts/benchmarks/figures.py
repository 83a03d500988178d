"""Arithmetic over measurements: percentiles, medians, and ratios within one round."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]  # one measurement: where it belongs, and its figures
Place = Mapping[str, Any]  # what a row must say of itself to belong there


def percentiles(nanoseconds: Sequence[int]) -> dict[str, float]:
    """Return how many there are, p50, p99 and the longest, in ms; nothing of nothing."""
    ordered = sorted(nanoseconds)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {
        "count": len(ordered),
        "p50_ms": ordered[round(last * 0.5)] / 1e6,
        "p99_ms": ordered[round(last * 0.99)] / 1e6,
        "max_ms": ordered[-1] / 1e6,
    }


def per(amount: float, count: float) -> float | None:
    """Return a share; None of nothing."""
    return amount / count if count else None


def median(values: Iterable[Any]) -> float | None:
    """Return the median of what there is; None of nothing."""
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


def at(rows: Iterable[Row], place: Place) -> list[Row]:
    """Return the measurements that belong to a place."""
    return [row for row in rows if all(row.get(name) == place[name] for name in place)]


def grouped(rows: Iterable[Row], by: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    """Sort measurements by their places, in the order in which those come."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    return groups


def ratios(rows: Sequence[Row], place: Place, to: Place, figure: str) -> list[float]:
    """Return a figure at one place over that at another, each time within one round."""
    return [
        row[figure] / other[figure]
        for row in at(rows, place)
        for other in at(rows, {**to, "round": row.get("round")})[:1]
        if row.get(figure) is not None and other.get(figure)
    ]


def relate(rows: Sequence[Row], figure: str, to: Place, same: Sequence[str] = ()) -> None:
    """Give each row `relative`: its figure over that of `to`, in its round and `same` places."""
    for row in rows:
        kept = {name: row.get(name) for name in ("round", *same)}
        found = at(rows, {**to, **kept})
        row["relative"] = row[figure] / found[0][figure] if found and found[0][figure] else None
