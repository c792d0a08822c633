"""After an outage live views catch up first: for the first seconds the recorder leaves late blocks with the broker."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["LATE_S", "LONGEST_S", "PAUSE_S", "Courtesy"]

LATE_S: Final = 1.0
"""A block that comes so long after it was taken is part of a backlog."""
PAUSE_S: Final = 0.5
LONGEST_S: Final = 4.0
"""So long a backlog is read slowly; after that it is read as fast as it comes."""
_NS: Final = 10**9


class Courtesy:
    """Says when to pause reading; times are of a monotonic clock (s) and since 1970 (ns)."""

    def __init__(self) -> None:
        self._late_since_s: float | None = None

    def pause_s(self, headers: Mapping[str, Any], now_ns: int, now_s: float) -> float:
        """Return for how many seconds not to read on after a message with these headers; 0 for not at all."""
        taken_ns = _taken_ns(headers)
        if taken_ns is None:
            return 0.0
        if now_ns - taken_ns < LATE_S * _NS:
            self._late_since_s = None
            return 0.0
        if self._late_since_s is None:
            self._late_since_s = now_s
        return PAUSE_S if now_s - self._late_since_s < LONGEST_S else 0.0


def _taken_ns(headers: Mapping[str, Any]) -> int | None:
    """Return when a block's first sample was taken; None for what is no block."""
    values = [headers.get(name) for name in ("t0_ns", "first_sample", "fs_num", "fs_den")]
    if not all(type(value) is int and value >= 0 for value in values) or not values[2]:
        return None
    t0_ns, first_sample, fs_num, fs_den = (int(str(value)) for value in values)
    return t0_ns + first_sample * fs_den * _NS // fs_num
