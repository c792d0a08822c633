"""The axis of time that all lanes of a picture share."""

import math
from dataclasses import dataclass
from typing import Final

from fullspan.report.formats import clock, since

__all__ = ["GUTTER", "RIGHT", "WIDTH", "Axis", "Tick"]

WIDTH: Final = 1080.0
GUTTER: Final = 120.0  # left of the axis, for the lanes' names
RIGHT: Final = 52.0  # right of it, for the scales
MOST_TICKS: Final = 9
STEPS_S: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Tick:
    """One line of the axis with its time as UTC and as seconds since the run began."""

    x: float
    utc: str
    relative: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The span of time shown, CLOCK_MONOTONIC, ns, and where its moments lie."""

    began_ns: int
    ended_ns: int
    wall_offset_ns: int
    zero_ns: int

    def x(self, mono_ns: int) -> float:
        """Return where a moment lies."""
        share = (mono_ns - self.began_ns) / max(1, self.ended_ns - self.began_ns)
        return round(GUTTER + share * (WIDTH - GUTTER - RIGHT), 1)

    def shows(self, mono_ns: int) -> bool:
        """Tell whether a moment lies within the span."""
        return self.began_ns <= mono_ns <= self.ended_ns

    def told(self, mono_ns: int) -> str:
        """Return a moment in words."""
        return f"{clock(mono_ns + self.wall_offset_ns)} UTC, {since(mono_ns, self.zero_ns)}"

    @property
    def ns_per_pixel(self) -> float:
        """How much time one unit of width stands for."""
        return max(1, self.ended_ns - self.began_ns) / (WIDTH - GUTTER - RIGHT)

    def ticks(self) -> list[Tick]:
        """Return the lines of the axis, at round numbers of seconds."""
        length_s = max(0.1, (self.ended_ns - self.began_ns) / 1e9)
        step = next((step for step in STEPS_S if length_s / step <= MOST_TICKS), length_s / MOST_TICKS)
        first = math.ceil((self.began_ns - self.zero_ns) / 1e9 / step)
        ticks = []
        for count in range(first, first + MOST_TICKS + 2):
            at = self.zero_ns + round(count * step * 1e9)
            if at <= self.ended_ns:
                utc = clock(at + self.wall_offset_ns)
                ticks.append(Tick(self.x(at), utc if step < 1 else utc[:8], f"{count * step:+g} s"))
        return ticks
