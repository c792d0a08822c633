"""The timeline as a picture: one lane per component, kind of event, test and fault, all on one axis of time."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from fullspan.bundle import FaultRecord, TestRecord
from fullspan.report.formats import clock, since
from fullspan.timeline import Event

__all__ = ["Bar", "Dot", "Lane", "Swimlanes", "Tick", "draw"]

WIDTH: Final = 1080.0
GUTTER: Final = 120.0  # left of the axis, for the lanes' names
RIGHT: Final = 24.0
HEAD: Final = 34.0  # above the first lane, for the axis in UTC
FOOT: Final = 26.0
ROW: Final = 20.0
PAD: Final = 5.0
CHARACTER: Final = 5.9  # mean width of one at the labels' size
MOST_ROWS: Final = 4
MOST_TICKS: Final = 9
STEPS_S: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that lasted: its place, its look, and what it says when pointed at."""

    x: float
    y: float
    width: float
    look: str
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Dot:
    """Something that happened; the label is empty where there is no room for it."""

    x: float
    y: float
    look: str
    label: str
    anchor: str
    title: str


@dataclass(slots=True)
class Lane:
    """One lane of the picture; `ends` holds, per row of labels, up to where it is taken."""

    name: str
    y: float = 0.0
    height: float = 0.0
    bars: list[Bar] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tick:
    """One line of the axis with its time as UTC and as seconds since the run began."""

    x: float
    utc: str
    relative: str


@dataclass(frozen=True, slots=True)
class Swimlanes:
    """The whole picture in its own units."""

    width: float
    height: float
    left: float
    top: float
    bottom: float
    lanes: Sequence[Lane]
    ticks: Sequence[Tick]
    bands: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Axis:
    """The span of time shown and where its moments lie."""

    began_ns: int
    ended_ns: int
    wall_offset_ns: int
    zero_ns: int

    def x(self, mono_ns: int) -> float:
        """Return where a moment lies."""
        share = (mono_ns - self.began_ns) / max(1, self.ended_ns - self.began_ns)
        return round(GUTTER + share * (WIDTH - GUTTER - RIGHT), 1)

    def told(self, mono_ns: int) -> str:
        """Return a moment in words."""
        return f"{clock(mono_ns + self.wall_offset_ns)} UTC, {since(mono_ns, self.zero_ns)}"


def draw(events: Sequence[Event], tests: Sequence[TestRecord], faults: Sequence[FaultRecord]) -> Swimlanes | None:
    """Lay the picture out; None when nothing happened."""
    moments = [event.mono_ns for event in events]
    moments += [moment for test in tests for moment in (test.began_mono_ns, test.ended_mono_ns)]
    if not events:
        return None
    zero = events[0]
    axis = Axis(min(moments), max(moments), zero.wall_ns - zero.mono_ns, zero.mono_ns)
    lanes = [*_event_lanes(axis, events), *_bar_lanes(axis, tests, faults)]
    y = HEAD
    for lane in lanes:
        lane.y = y
        y += lane.height
    bands = [Bar(bar.x, 0, bar.width, bar.look, "", "") for lane in lanes if lane.name == "faults" for bar in lane.bars]
    return Swimlanes(WIDTH, y + FOOT, GUTTER, HEAD, y, lanes, _ticks(axis), bands)


def _event_lanes(axis: Axis, events: Iterable[Event]) -> list[Lane]:
    """Return a lane per kind of event, and one per component that events name."""
    grouped: dict[str, list[Event]] = {}
    for event in events:
        component = event.attributes.get("component")
        grouped.setdefault(str(component) if component else event.kind, []).append(event)
    return [_dots(axis, name, of_lane) for name, of_lane in grouped.items() if name not in ("test", "fault")]


def _dots(axis: Axis, name: str, events: Sequence[Event]) -> Lane:
    lane = Lane(name)
    ends = [0.0]
    for event in events:
        x = axis.x(event.mono_ns)
        anchor, label, row = _room(x, event.what, ends)
        title = f"{axis.told(event.mono_ns)}: {event.what}"
        lane.dots.append(Dot(x, PAD + (row + 0.5) * ROW, _look(event), label, anchor, title))
    lane.height = len(ends) * ROW + 2 * PAD
    return lane


def _look(event: Event) -> str:
    words = f"{event.what} {event.attributes.get('state', '')}".lower()
    return "bad" if any(word in words for word in ("died", "failed", "interrupted", "lost")) else "plain"


def _room(x: float, text: str, ends: list[float]) -> tuple[str, str, int]:
    """Find a row in which a label fits beside its dot, on the right or else on the left; without room there is none."""
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
    return "start", "", 0


def _bar_lanes(axis: Axis, tests: Sequence[TestRecord], faults: Sequence[FaultRecord]) -> list[Lane]:
    lanes = []
    spans = [(t.began_mono_ns, t.ended_mono_ns, t.verdict.value, t.nodeid.rpartition("::")[2], t.reason) for t in tests]
    if spans:
        lanes.append(_bars(axis, "tests", spans))
    spans = [
        (fault.injected_mono_ns, fault.healed_mono_ns or axis.ended_ns, "fault", f"{fault.kind} {fault.target}", "")
        for fault in faults
        if fault.injected_mono_ns is not None
    ]
    if spans:
        lanes.append(_bars(axis, "faults", spans))
    return lanes


def _bars(axis: Axis, name: str, spans: Iterable[tuple[int, int, str, str, str]]) -> Lane:
    """Return a lane of bars, each in the first row that is free at its time."""
    lane = Lane(name)
    ends: list[float] = []
    for began, ended, look, label, reason in sorted(spans):
        x, width = axis.x(began), max(2.0, axis.x(ended) - axis.x(began))
        row = next((row for row, end in enumerate(ends) if end <= x), len(ends))
        ends[row:] = [max(x + width, x + CHARACTER * len(label) + 14), *ends[row + 1 :]]
        took = f"{axis.told(began)}, for {(ended - began) / 1e9:.3f} s: {label} {reason}".strip()
        lane.bars.append(Bar(x, PAD + row * ROW + 2, round(width, 1), look, label, took))
    lane.height = len(ends) * ROW + 2 * PAD
    return lane


def _ticks(axis: Axis) -> list[Tick]:
    length_s = max(0.1, (axis.ended_ns - axis.began_ns) / 1e9)
    step = next((step for step in STEPS_S if length_s / step <= MOST_TICKS), length_s / MOST_TICKS)
    first = math.ceil((axis.began_ns - axis.zero_ns) / 1e9 / step)
    ticks = []
    for count in range(first, first + MOST_TICKS + 2):
        at = axis.zero_ns + round(count * step * 1e9)
        if at <= axis.ended_ns:
            utc = clock(at + axis.wall_offset_ns)
            ticks.append(Tick(axis.x(at), utc if step < 1 else utc[:8], f"{count * step:+g} s"))
    return ticks
