"""The timeline as a picture: faults, tests, what the hops measured, and events, lane below lane on one axis of time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from fullspan.bundle import DebtRecord, FaultRecord, TestRecord
from fullspan.report.axis import GUTTER, RIGHT, WIDTH, Axis, Tick
from fullspan.report.charts import debt_lane, gap_lane, latency_lane
from fullspan.report.lane import CHARACTER, PAD, ROW, Bar, Dot, Lane
from fullspan.report.resources import Samples, resource_lanes
from fullspan.report.series import HopSeries
from fullspan.timeline import Event

__all__ = ["Measured", "Swimlanes", "draw", "draw_resources", "draw_test"]

HEAD: Final = 34.0  # above the first lane, for the axis in UTC
FOOT: Final = 26.0
MOST_ROWS: Final = 4
CROWDED: Final = 3.0  # units of width within which dots are one
TOLD_ELSEWHERE: Final = ("test", "fault.injected", "fault.healed")  # as bars
MARGIN: Final = 0.01  # of a test's time, before and after it in its own picture


@dataclass(frozen=True, slots=True)
class Swimlanes:
    """The whole picture in its own units."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    lanes: Sequence[Lane]
    ticks: Sequence[Tick]
    bands: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the hops of some tests measured: their series, and the debts between them."""

    series: Sequence[HopSeries] = ()
    debts: Sequence[DebtRecord] = ()
    hops: Sequence[str] = field(default=())
    """All hops, in stage order: it gives each its colour, the same in every picture."""


def draw(
    events: Sequence[Event], tests: Sequence[TestRecord], faults: Sequence[FaultRecord], measured: Measured
) -> Swimlanes | None:
    """Lay the picture of a whole run out; None when nothing happened."""
    return _picture(_axis_of(events, tests), events, tests, faults, measured) if events else None


def draw_resources(
    events: Sequence[Event], tests: Sequence[TestRecord], faults: Sequence[FaultRecord], samples: Sequence[Samples]
) -> Swimlanes | None:
    """Lay out what the components used, below the same faults and tests, on the axis of the whole run.

    None when nothing was measured.
    """
    if not events:
        return None
    axis = _axis_of(events, tests)
    lanes = resource_lanes(axis, samples)
    return _laid_out(axis, [*_bar_lanes(axis, tests, faults), *lanes]) if lanes else None


def draw_test(events: Sequence[Event], test: TestRecord, measured: Measured) -> Swimlanes | None:
    """Lay the picture of one test out, on an axis of its own; None when nothing was measured in it."""
    if not events or not measured.series:
        return None
    margin = round((test.ended_mono_ns - test.began_mono_ns) * MARGIN)
    axis = _axis(test.began_mono_ns - margin, test.ended_mono_ns + margin, events[0])
    within = [event for event in events if test.began_mono_ns <= event.mono_ns <= test.ended_mono_ns]
    return _picture(axis, within, [], test.faults, measured)


def _axis_of(events: Sequence[Event], tests: Sequence[TestRecord]) -> Axis:
    """Return the axis of a whole run."""
    moments = [event.mono_ns for event in events]
    moments += [moment for test in tests for moment in (test.began_mono_ns, test.ended_mono_ns)]
    return _axis(min(moments), max(moments), events[0])


def _axis(began_ns: int, ended_ns: int, zero: Event) -> Axis:
    return Axis(began_ns, ended_ns, zero.wall_ns - zero.mono_ns, zero.mono_ns)


def _picture(
    axis: Axis,
    events: Sequence[Event],
    tests: Sequence[TestRecord],
    faults: Sequence[FaultRecord],
    measured: Measured,
) -> Swimlanes:
    charts = (
        latency_lane(axis, measured.series, measured.hops),
        gap_lane(axis, measured.series, measured.hops, events),
        debt_lane(axis, measured.debts, measured.hops),
    )
    return _laid_out(axis, [*_bar_lanes(axis, tests, faults), *filter(None, charts), *_event_lanes(axis, events)])


def _laid_out(axis: Axis, lanes: Sequence[Lane]) -> Swimlanes:
    """Put lanes below each other."""
    y = HEAD
    for lane in lanes:
        lane.y = y
        y += lane.height
    bands = [Bar(bar.x, 0, bar.width, bar.look, "", "") for lane in lanes if lane.name == "faults" for bar in lane.bars]
    return Swimlanes(WIDTH, y + FOOT, GUTTER, WIDTH - RIGHT, HEAD, y, lanes, axis.ticks(), bands)


def _event_lanes(axis: Axis, events: Iterable[Event]) -> list[Lane]:
    """Return a lane per kind of event, and one per component that events name."""
    grouped: dict[str, list[Event]] = {}
    for event in events:
        component = event.attributes.get("component")
        grouped.setdefault(str(component) if component else event.kind, []).append(event)
    return [_dots(axis, name, of_lane) for name, of_lane in grouped.items() if name not in TOLD_ELSEWHERE]


def _dots(axis: Axis, name: str, events: Sequence[Event]) -> Lane:
    lane = Lane(name)
    ends = [0.0]
    taken: set[tuple[int, int, str]] = set()
    for event in events:
        x = axis.x(event.mono_ns)
        anchor, label, row = _room(x, event.what, ends)
        place = round(x / CROWDED), row, _look(event)
        if not label and place in taken:
            continue  # it would hide, and be hidden by, one that looks the same
        taken.add(place)
        title = f"{axis.told(event.mono_ns)}: {event.what}"
        lane.dots.append(Dot(x, PAD + (row + 0.5) * ROW, _look(event), label, anchor, title))
    lane.height = len(ends) * ROW + 2 * PAD
    return lane


def _look(event: Event) -> str:
    words = f"{event.what} {event.attributes.get('state', '')}".lower()
    return "bad" if any(word in words for word in ("died", "failed", "interrupted", "lost")) else "plain"


def _room(x: float, text: str, ends: list[float]) -> tuple[str, str, int]:
    """Find a row in which a label fits beside its dot, on the right or else on the left; without room there is none.

    A dot without a label stands where it hides nobody else's, else in a row below all labels.
    """
    label = text if len(text) <= 48 else text[:47].rstrip() + "…"
    width = CHARACTER * len(label) + 14
    for row in range(MOST_ROWS):
        if row == len(ends):
            ends.append(0.0)
        if x + width <= WIDTH and x - 5 >= ends[row]:
            ends[row] = x + width
            return "start", label, row
        if x + width > WIDTH and x - width >= max(ends[row], GUTTER):
            ends[row] = x + 6
            return "end", label, row
    row = next((row for row, end in enumerate(ends) if x - 5 >= end), MOST_ROWS)
    if row == len(ends):
        ends.append(0.0)
    return "start", "", row


def _bar_lanes(axis: Axis, tests: Sequence[TestRecord], faults: Sequence[FaultRecord]) -> list[Lane]:
    lanes = []
    spans = [
        (fault.injected_mono_ns, fault.healed_mono_ns or axis.ended_ns, "fault", f"{fault.kind} {fault.target}", "")
        for fault in faults
        if fault.injected_mono_ns is not None
    ]
    if spans:
        lanes.append(_bars(axis, "faults", spans))
    spans = [(t.began_mono_ns, t.ended_mono_ns, t.verdict.value, t.nodeid.rpartition("::")[2], t.reason) for t in tests]
    if spans:
        lanes.append(_bars(axis, "tests", spans))
    return lanes


def _bars(axis: Axis, name: str, spans: Iterable[tuple[int, int, str, str, str]]) -> Lane:
    """Return a lane of bars, each in the first row that is free at its time."""
    lane = Lane(name)
    ends: list[float] = []
    for began, ended, look, label, reason in sorted(spans):
        x, width = axis.x(began), max(2.0, axis.x(ended) - axis.x(began))
        row = next((row for row, end in enumerate(ends) if end <= x), len(ends))
        shown = _cut(label, WIDTH - x)
        ends[row:] = [max(x + width, x + CHARACTER * len(shown) + 14), *ends[row + 1 :]]
        took = f"{axis.told(began)}, for {(ended - began) / 1e9:.3f} s: {label} {reason}".strip()
        lane.bars.append(Bar(x, PAD + row * ROW + 2, round(width, 1), look, shown, took))
    lane.height = len(ends) * ROW + 2 * PAD
    return lane


def _cut(label: str, room: float) -> str:
    """Return as much of a label as fits."""
    most = max(1, int((room - 14) / CHARACTER))
    return label if len(label) <= most else f"{label[: most - 1]}…"
