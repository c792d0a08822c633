"""Lanes of measured values: latency per hop, gaps per hop, and the debt between hops."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fullspan.bundle import DebtRecord
from fullspan.report.axis import GUTTER, Axis
from fullspan.report.formats import duration, number
from fullspan.report.lane import PAD, Bar, Dot, Key, Lane, Line, Rule
from fullspan.report.series import HopSeries
from fullspan.timeline import Event

__all__ = ["LOOKS", "debt_lane", "gap_lane", "latency_lane"]

LOOKS: Final = 6  # as many colours the style sheet has for lines
LATENCY_HEIGHT: Final = 120.0
DEBT_HEIGHT: Final = 72.0
HEAD: Final = 18.0  # above the top of a scale, where a peak's label may stand
PEAK_LIFT: Final = 4.0
BIN: Final = 2.0  # units of width for which one value is drawn
SHORTEST_BREAK: Final = 8.0
KEY_TOP: Final = 36.0
KEY_ROW: Final = 15.0
KEY_INDENT: Final = 46.0  # beside the lane's name, not below it
GAP_ROW: Final = 17.0
SILENT_S: Final = 0.5
FLOOR_MS: Final = 1.0
LABEL: Final = 96.0  # room that the label of a peak needs


def look_of(hops: Sequence[str], hop: str) -> str:
    """Return the look of a hop's line; with more hops than colours they come round again."""
    return f"s{hops.index(hop) % LOOKS}" if hop in hops else "s0"


def latency_lane(axis: Axis, series: Iterable[HopSeries], hops: Sequence[str]) -> Lane | None:
    """Draw per hop how long after it was due each record was seen, at its due time: the longest of every few pixels."""
    columns = {hop: _columns(axis, [one for one in series if one.hop == hop]) for hop in hops}
    columns = {hop: points for hop, points in columns.items() if points}
    if not columns:
        return None
    values = [value for points in columns.values() for _, value in points]
    low, high = math.floor(math.log10(max(FLOOR_MS, min(values)))), math.ceil(math.log10(max(10.0, *values)))
    low = min(low, high - 1)
    keys = KEY_TOP + KEY_ROW * len(columns)
    lane = Lane("latency", height=max(LATENCY_HEIGHT, keys + PAD))

    def y(value: float) -> float:
        share = (math.log10(max(value, 10.0**low)) - low) / (high - low)
        return round(lane.height - PAD - share * (lane.height - PAD - HEAD), 1)

    lane.rules = [Rule(y(10.0**power), duration(10.0**power)) for power in range(low, high + 1)]
    for place, (hop, points) in enumerate(columns.items()):
        look = look_of(hops, hop)
        worst = max(points, key=lambda point: point[1])
        title = f"{hop}: at most {duration(worst[1])} after due"
        lane.lines.append(Line(_path([(x, y(value)) for x, value in points]), look, title))
        lane.keys.append(Key(0.0, KEY_TOP + KEY_ROW * place, look, hop))
    hop, (x, value) = max(
        ((hop, max(points, key=lambda point: point[1])) for hop, points in columns.items()), key=lambda peak: peak[1][1]
    )
    lane.dots.append(_peak(x, y(value), f"{hop} {duration(value)}", f"the longest latency: {duration(value)} at {hop}"))
    return lane


def _columns(axis: Axis, series: Iterable[HopSeries]) -> list[tuple[float, float]]:
    """Return the longest latency, ms, per column of the picture, at the column's place.

    What was due before the picture begins, and yet seen in it, is shown at its left edge.
    """
    longest: dict[int, float] = {}
    for one in series:
        inside = (one.due_ns > 0) & (one.seen_ns >= axis.began_ns) & (one.due_ns <= axis.ended_ns)
        due, seen = one.due_ns[inside], one.seen_ns[inside]
        places = (np.maximum(0, due - axis.began_ns) / (axis.ns_per_pixel * BIN)).astype(np.int64)
        for place, value in zip(places.tolist(), ((seen - due) / 1e6).tolist(), strict=True):
            longest[place] = max(value, longest.get(place, value))
    start = axis.x(axis.began_ns)
    return [(round(start + (place + 0.5) * BIN, 1), longest[place]) for place in sorted(longest)]


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Return the path through points; it is broken where several of them are missing."""
    usual = float(np.median([b[0] - a[0] for a, b in pairwise(points)])) if len(points) > 1 else BIN
    farthest = max(SHORTEST_BREAK, 3 * usual)
    path = []
    before: float | None = None
    for x, y in points:
        joined = before is not None and x - before <= farthest
        # A point of its own is a line without length, which a round end makes visible.
        path.append(f"L{x:g} {y:g}" if joined else f"M{x:g} {y:g}h0")
        before = x
    return "".join(path)


def _peak(x: float, y: float, label: str, title: str) -> Dot:
    """Name a peak above the line, on its left, unless there is no room."""
    return Dot(x, y, "plain", label, "end" if x > GUTTER + LABEL else "start", title, lift=PEAK_LIFT)


def gap_lane(axis: Axis, series: Sequence[HopSeries], hops: Sequence[str], events: Iterable[Event]) -> Lane | None:
    """Draw per hop when it was silent, what it never saw, and when its observer itself could not look."""
    here = [hop for hop in hops if any(one.hop == hop for one in series)]
    if not here:
        return None
    blind = _blind(axis, events)
    lane = Lane("gaps", height=2 * PAD + max(GAP_ROW * len(here), KEY_TOP - PAD))
    for row, hop in enumerate(here):
        y = PAD + row * GAP_ROW
        lane.keys.append(Key(KEY_INDENT, y + 9, look_of(hops, hop), hop))
        for one in (one for one in series if one.hop == hop):
            first, last = int(one.seen_ns.min()), int(one.seen_ns.max())
            lane.bars += _bar(axis, first, last, y + 6, "track", f"{hop} saw {len(one.seen_ns):,} records", 3.0)
            for began, ended in _silences(one.seen_ns):
                said = f"{hop}: silent for {(ended - began) / 1e9:.2f} s"
                lane.bars += _bar(axis, began, ended, y + 2, "silent", said, 11.0)
        for began, ended, why in blind.get(hop, ()):
            lane.bars += _bar(axis, began, ended, y + 2, "blind", why, 11.0)
        # Last, so that nothing lies above what was lost.
        for lost in (lost for one in series if one.hop == hop for lost in one.lost):
            lane.bars += _bar(axis, lost.began_ns, lost.ended_ns, y, "lost", f"{hop}: {lost.told}", 15.0)
    return lane


def _bar(axis: Axis, began: int, ended: int, y: float, look: str, title: str, height: float) -> list[Bar]:
    """Return the bar of a span, as far as the axis shows it."""
    if ended < axis.began_ns or began > axis.ended_ns:
        return []
    x, until = axis.x(max(began, axis.began_ns)), axis.x(min(ended, axis.ended_ns))
    return [Bar(x, y, round(max(2.0, until - x), 1), look, "", f"{axis.told(began)}: {title}", height)]


def _silences(seen_ns: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the spans without any record that are far longer than usual."""
    moments = np.unique(seen_ns)
    pauses = np.diff(moments)
    if not pauses.size:
        return
    limit = max(SILENT_S * 1e9, 5 * float(np.quantile(pauses, 0.9)))
    for place in np.flatnonzero(pauses > limit):
        yield int(moments[place]), int(moments[place + 1])


def _blind(axis: Axis, events: Iterable[Event]) -> Mapping[str, list[tuple[int, int, str]]]:
    """Return per hop when its observer could not look, and why, as the observers themselves told."""
    spans: dict[str, list[tuple[int, int, str]]] = {}
    since: dict[str, Event] = {}
    for event in (event for event in events if event.kind == "hop" and "hop" in event.attributes):
        hop = str(event.attributes["hop"])
        began = since.pop(hop, None)
        if began is not None:
            spans.setdefault(hop, []).append((began.mono_ns, event.mono_ns, began.what))
        if "interrupted" in event.what:
            since[hop] = event
    for hop, event in since.items():
        spans.setdefault(hop, []).append((event.mono_ns, axis.ended_ns, event.what))
    return spans


def debt_lane(axis: Axis, debts: Iterable[DebtRecord], hops: Sequence[str]) -> Lane | None:
    """Draw how many records each hop owed: the one before it had seen them, and it had not yet."""
    pairs: dict[tuple[str, str], list[list[tuple[int, int]]]] = {}
    for debt in debts:
        steps = [step for step in debt.steps if axis.shows(step[0])]
        if steps:
            pairs.setdefault((debt.before, debt.after), []).append(steps)
    most = max((count for runs in pairs.values() for steps in runs for _, count in steps), default=0)
    if not most:
        return None
    lane = Lane("debt", height=max(DEBT_HEIGHT, KEY_TOP + KEY_ROW * len(pairs) + PAD))

    def y(count: int) -> float:
        return round(lane.height - PAD - count / most * (lane.height - PAD - HEAD), 1)

    lane.rules = [Rule(y(0), "0"), Rule(y(most), number(most))]
    for place, ((before, after), of_pair) in enumerate(pairs.items()):
        look = look_of(hops, after)
        largest = max(count for steps in of_pair for _, count in steps)
        path = "".join(_stairs([(axis.x(moment), y(count)) for moment, count in steps], y(0)) for steps in of_pair)
        title = f"{after} owed at most {number(largest)} records that {before} had seen"
        lane.lines.append(Line(path, look, title))
        lane.keys.append(Key(0.0, KEY_TOP + KEY_ROW * place, look, f"{before} → {after}"))
    return lane


def _stairs(steps: Sequence[tuple[float, float]], ground: float) -> str:
    """Return a path that keeps each value until the next one."""
    path = [f"M{steps[0][0]:g} {ground:g}"]
    last = ""
    for x, y in steps:
        step = f"H{x:g}V{y:g}"
        if step != last:
            path.append(step)
        last = step
    return "".join(path)
