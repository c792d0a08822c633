"""How the report writes times and numbers."""

import math
from datetime import UTC, datetime

__all__ = ["clock", "day_and_time", "duration", "number", "seconds", "since"]


def clock(wall_ns: int) -> str:
    """Return a UTC time of day to the millisecond."""
    return datetime.fromtimestamp(wall_ns // 1_000_000 / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]


def day_and_time(wall_ns: int) -> str:
    """Return a UTC date and time to the second."""
    return datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def seconds(value: float) -> str:
    """Return a duration: tenths below a hundred seconds, whole minutes and seconds above."""
    if value < 100:
        return f"{value:.1f} s"
    return f"{int(value) // 60} min {int(value) % 60} s"


def duration(ms: float) -> str:
    """Return a short duration in the unit that suits it."""
    if abs(ms) < 10:
        return f"{ms:.2g} ms"
    return f"{ms:.0f} ms" if abs(ms) < 1000 else f"{ms / 1000:.3g} s"


def since(mono_ns: int, began_mono_ns: int) -> str:
    """Return seconds since the run began, with their sign."""
    return f"{(mono_ns - began_mono_ns) / 1e9:+.3f} s"


def number(value: float | str) -> str:
    """Return a figure with grouped thousands and at most four significant digits after the point."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
