"""What the components used while the tests ran: the samples of a bundle, as lanes and as a table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fullspan.report.axis import Axis
from fullspan.report.formats import number
from fullspan.report.lane import PAD, Key, Lane, Line, Rule

__all__ = ["MEASURES", "Samples", "read_resources", "resource_lanes", "resource_table"]

FILE: Final = "resources.jsonl"
HEAD: Final = 24.0  # for the lane's name, above its first row
ROW: Final = 22.0
RISE: Final = 17.0  # of a row, from nothing to its highest value
BIN: Final = 2.0  # units of width for which the lowest and the highest value are drawn
LONGEST_PAUSE: Final = 3.0  # of the usual time between two samples
SHORTEST_BREAK_NS: Final = 5_000_000_000  # short tests are sampled at their ends too, which makes the usual time short
LONGEST_NAME: Final = 16
LOOKS: Final = 6

MEASURES: Final[Mapping[str, tuple[str, str]]] = {
    "cpu_percent": ("processor", "%"),
    "memory_mb": ("memory", "MB"),
    "handles": ("handles", ""),
    "threads": ("threads", ""),
    "disk_mb": ("disk", "MB"),
}
"""What is measured, as the samples name it, with its name and its unit here."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What one component used: n moments (CLOCK_MONOTONIC, ns) and a value of each measure, NaN where there is none."""

    component: str
    mono_ns: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]


def read_resources(bundle: Path) -> list[Samples]:
    """Return the samples of a bundle by component, in the order in which they were first measured.

    Components that had no process in any sample, since somebody else runs them, are left out, and so is a line that
    its writer could not finish.
    """
    path = bundle / FILE
    if not path.is_file():
        return []
    found: dict[str, list[tuple[float, ...]]] = {}
    alive: set[str] = set()
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                sample = json.loads(line)
                row = (int(sample["mono_ns"]), *(_value(sample.get(what)) for what in MEASURES))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            component = str(sample.get("component", ""))
            found.setdefault(component, []).append(row)
            if sample.get("processes"):
                alive.add(component)
    return [_samples(component, rows) for component, rows in found.items() if component in alive]


def _value(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _samples(component: str, rows: list[tuple[float, ...]]) -> Samples:
    rows.sort(key=lambda row: row[0])
    columns = list(zip(*rows, strict=True))
    values = {what: np.array(column, np.float64) for what, column in zip(MEASURES, columns[1:], strict=True)}
    return Samples(component, np.array(columns[0], np.int64), values)


def resource_lanes(axis: Axis, samples: Sequence[Samples]) -> list[Lane]:
    """Return a lane per measure with a row per component, each from nothing to the highest value that it had.

    Of what shares two units of width the lowest and the highest are drawn, in the order in which they came, so that no
    peak is lost, however long the run was.
    """
    lanes = [_lane(axis, what, samples) for what in MEASURES]
    return [lane for lane in lanes if lane.lines]


def _lane(axis: Axis, what: str, samples: Sequence[Samples]) -> Lane:
    name, unit = MEASURES[what]
    lane = Lane(name, height=HEAD)
    for place, of_one in enumerate(samples):
        here = ~np.isnan(of_one.values[what]) & (of_one.mono_ns >= axis.began_ns) & (of_one.mono_ns <= axis.ended_ns)
        if not here.any():
            continue
        moments, values = of_one.mono_ns[here], of_one.values[what][here]
        highest = float(values.max())
        ground, look = lane.height + ROW - 3, f"s{place % LOOKS}"
        points = _points(axis, moments, values)
        path = _path([(x, round(ground - RISE * value / (highest or 1.0), 1), joined) for x, value, joined in points])
        at = axis.told(int(moments[values.argmax()]))
        title = f"{of_one.component}, {name}: {_told(float(values.min()), unit)} to {_told(highest, unit)} ({at})"
        lane.lines.append(Line(path, look, title))
        lane.rules.append(Rule(ground, _told(highest, unit), RISE / 2))
        lane.keys.append(Key(0.0, ground - RISE / 2, look, _short(of_one.component)))
        lane.height += ROW
    lane.height += PAD
    return lane


def _points(axis: Axis, moments: NDArray[np.int64], values: NDArray[np.float64]) -> list[tuple[float, float, bool]]:
    """Return place, value and whether the line comes from the point before, at most two points a column."""
    columns = ((moments - axis.began_ns) / (axis.ns_per_pixel * BIN)).astype(np.int64)
    begins = np.flatnonzero(np.concatenate(([True], columns[1:] != columns[:-1])))
    pauses = np.diff(moments)
    longest = max(SHORTEST_BREAK_NS, LONGEST_PAUSE * float(np.median(pauses))) if pauses.size else 0.0
    found: list[tuple[float, float, bool]] = []
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(moments)], strict=True):
        # Nobody looked for a while: what was used meanwhile is not known, and no line says otherwise.
        joined = bool(found) and int(moments[begin] - moments[begin - 1]) <= longest
        low, high = begin + int(values[begin:end].argmin()), begin + int(values[begin:end].argmax())
        for one in sorted({low, high}) if values[low] != values[high] else [begin]:
            found.append((axis.x(int(moments[one])), float(values[one]), joined))
            joined = True
    return found


def _path(points: Sequence[tuple[float, float, bool]]) -> str:
    """Return the path through points; where the value stays, only the last place of it is written."""
    path: list[str] = []
    y_before = None
    for x, y, joined in points:
        if not joined:
            # A point of its own is a line without length, which a round end makes visible.
            path.append(f"M{x:g} {y:g}h0")
        elif y == y_before:
            if path[-1].startswith("H"):
                path.pop()
            path.append(f"H{x:g}")
        else:
            path.append(f"L{x:g} {y:g}")
        y_before = y
    return "".join(path)


def resource_table(samples: Sequence[Samples]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return per component the median and the highest value of each measure, in words; empty where there is none."""
    rows = []
    for of_one in samples:
        cells = []
        for what, (_, unit) in MEASURES.items():
            values = of_one.values[what][~np.isnan(of_one.values[what])]
            known = values.size > 0
            cells.append(
                (_told(float(np.median(values)), unit), _told(float(values.max()), unit)) if known else ("", "")
            )
        rows.append((of_one.component, cells))
    return rows


def _told(value: float, unit: str) -> str:
    """Return a value with its unit, short enough to stand beside the axis."""
    if unit == "MB" and value >= 1000:
        return f"{value / 1000:.3g} GB"
    shown = f"{value:.3g}" if value < 1000 else number(round(value))
    return f"{shown} {unit}".rstrip()


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
