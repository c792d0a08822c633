"""A file of another program described as a recording; whatever it does not say is assumed aloud, or asked for."""

from collections.abc import Sequence
from fractions import Fraction
from math import inf
from typing import Final

from pydantic import ValidationError

from focus_server.errors import RecordingError
from focus_server.fiber import FiberGrid
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.source import part_of
from focus_server.recordings.told import Told

__all__ = ["DEFAULT_SITE", "UNKNOWN", "foreign_entry", "on_grid_of", "renamed"]

DEFAULT_SITE: Final = "imported"
UNKNOWN: Final = "unknown"
_NONE: Final = "00000000-0000-0000-0000-000000000000"
_SECOND: Final = 1_000_000_000


def foreign_entry(
    told: Told,
    *,
    fs: Fraction,
    start_ns: int,
    samples: int,
    channels: int,
    dtype: str,
    scale: str,
    units: str,
    dx: float | None,
    fiber_start_meters: float,
    notes: list[str],
) -> RecordingEntry:
    """Describe samples whose grid begins with their first one. Raises `RecordingError` when they are no recording."""
    if told.dx is None and dx is None:
        notes.append("it does not say the distance of its channels; 1 m is assumed (--dx)")
    if told.units is None and units == UNKNOWN:
        notes.append("it does not say its units (--units)")
    fields = {
        "uuid": _NONE,
        "base_path": "",
        "site": told.site or DEFAULT_SITE,
        "t0_ns": start_ns,
        "fs_num": fs.numerator,
        "fs_den": fs.denominator,
        "first_sample": 0,
        "samples": samples,
        "channels": channels,
        "dtype": dtype,
        "scale": scale,
        "units": told.units or units,
        "dx": told.dx or dx or 1.0,
        "fiber_start_meters": fiber_start_meters,
        "start_ns": start_ns,
        "end_ns": start_ns,
    }
    try:
        if not 0 < float(scale) < inf:
            raise RecordingError(f"its scale, {scale}, is none")
        entry = RecordingEntry.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise RecordingError(f"its {first['loc'][0]} is no value of a recording ({first['msg']})") from None
    return part_of(entry, 0, samples, 1, channels)


def renamed(entry: RecordingEntry, told: Told) -> RecordingEntry:
    """Give a recording of ours the site that is told."""
    return entry if told.site is None else entry.model_copy(update={"site": told.site})


def on_grid_of(entry: RecordingEntry, others: Sequence[RecordingEntry]) -> RecordingEntry:
    """Move a recording to the grid of another one when it begins where a sample of that is taken, to the nanosecond.

    So consecutive files of a recording become one again. Without such another one it stays as it is.
    """
    for other in others:
        fibre = entry.model_copy(update={"t0_ns": other.t0_ns, "first_sample": other.first_sample}).fibre_key
        if fibre != other.fibre_key or entry.start_ns < other.t0_ns:
            continue
        grid = FiberGrid(other.t0_ns, other.fs_num, other.fs_den)
        sample = round(Fraction(entry.start_ns - other.t0_ns) * other.fs / _SECOND)
        if grid.time_ns(sample) - entry.start_ns in (0, 1):  # others round times down
            moved = entry.model_copy(update={"t0_ns": other.t0_ns, "first_sample": sample})
            return part_of(moved, sample, sample + entry.samples, 1, entry.channels)
    return entry
