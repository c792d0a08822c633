"""The times in which there are recordings: files that follow each other without a sample missing are one range."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from focus_server.recordings.document import date_ns

_KEY: Final = ("site", "t0_ns", "fs_num", "fs_den", "channels", "dtype", "scale")
_SECOND: Final = 1_000_000_000

SPAN_FIELDS: Final = ("start_time", "end_time", "start_ns", "end_ns", *_KEY)
"""What a document must be asked for to make a `Span` of it."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time of one recording, `start_ns` to `end_ns` since 1970; spans adjoin within `period_ns` on one grid."""

    start_ns: int
    end_ns: int
    grid: tuple[str, ...]
    period_ns: Fraction

    @classmethod
    def of(cls, document: Mapping[str, Any], now_ns: int) -> "Span | None":
        """Read a document, also one that only has dates; a running recording ends now. None when it has no times."""
        running = document.get("end_time") is None
        start_ns = _time(document, "start")
        end_ns = now_ns if running else _time(document, "end")
        if start_ns is None or end_ns is None or end_ns <= start_ns:
            return None
        grid = tuple(str(document.get(name)) for name in _KEY)
        return cls(start_ns, end_ns, grid, _period_ns(document))


def joined(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """Join what adjoins or overlaps on the same grid; the result is sorted by start."""
    grids: defaultdict[tuple[str, ...], list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: (span.start_ns, span.end_ns)):
        grids[span.grid].append(span)
    return sorted(pair for grid in grids.values() for pair in _joined_on_one_grid(grid))


def _joined_on_one_grid(spans: list[Span]) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for span in spans:
        if pairs and span.start_ns - pairs[-1][1] < span.period_ns:
            pairs[-1] = pairs[-1][0], max(pairs[-1][1], span.end_ns)
        else:
            pairs.append((span.start_ns, span.end_ns))
    return pairs


def _time(document: Mapping[str, Any], which: str) -> int | None:
    exact = document.get(f"{which}_ns")
    return int(exact) if isinstance(exact, int) else date_ns(document.get(f"{which}_time"))


def _period_ns(document: Mapping[str, Any]) -> Fraction:
    num, den = document.get("fs_num"), document.get("fs_den")
    if isinstance(num, int) and isinstance(den, int) and num > 0 and den > 0:
        return Fraction(_SECOND * den, num)
    return Fraction(1)
