"""What DASCore reads, as sources: the formats of many interrogators. DASCore is an extra that need not be there."""

import logging
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from focus_server.errors import RecordingError
from focus_server.recordings.import_entry import UNKNOWN, foreign_entry
from focus_server.recordings.rate import rate_of_period
from focus_server.recordings.source import ArraySource, Samples, no_gaps
from focus_server.recordings.told import Told

__all__ = ["read_with_dascore"]

_REFUSED: Final = frozenset({"PICKLE", "H5SIMPLE", "XMLBINARY"})
"""The first two run code that a file may hold (PyTables unpickles attributes); the last one reads whole folders."""
_DATA: Final = "time", "distance"


def read_with_dascore(path: Path, told: Told, notes: list[str]) -> list[ArraySource]:
    """Read a file; `notes` gets sentences on what was assumed.

    Raises `RecordingError` when DASCore is not there, does not know the file, or when the file is no recording.
    """
    dascore = _dascore(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            name, version = _format(dascore, path)
            patches = list(dascore.read(path, file_format=name, file_version=version))
    except RecordingError:
        raise
    except Exception as error:  # readers of thirty formats, each with errors of its own
        cause = " ".join(str(error).split())[:200]
        raise RecordingError(f"{path.name} cannot be read by DASCore: {type(error).__name__}: {cause}") from None
    if not patches:
        raise RecordingError(f"{path.name} has no samples.")
    try:
        return [_source(patch, told, notes) for patch in patches]
    except RecordingError as error:
        raise RecordingError(f"{path.name} cannot be imported: {str(error).rstrip('.')}.") from None


def _dascore(path: Path) -> ModuleType:
    logging.getLogger("pint").setLevel(logging.ERROR)  # DASCore defines its units anew, which nobody can change
    try:
        import dascore  # an extra, and seconds to import
    except ImportError:
        raise RecordingError(
            f"{path.name} is neither SEG-Y nor a recording of ours; to read files of other programs install DASCore: "
            "pip install 'focus-server[dascore]'."
        ) from None
    return dascore  # type: ignore[no-any-return]


def _format(dascore: Any, path: Path) -> tuple[str, str]:
    """Ask each format but those that are refused; asking all of them at once would unpickle the file."""
    for name in _formats(dascore):
        try:
            found = dascore.get_format(path, file_format=name)
        except dascore.exceptions.UnknownFiberFormatError:
            continue
        return str(found[0]), str(found[1])
    raise RecordingError(
        f"{path.name} is of no format that DASCore knows, or of one that could run code (pickles, bare HDF5); "
        "convert it with the program that wrote it."
    )


def _formats(dascore: Any) -> Iterator[str]:
    names = dascore.io.core.FiberIO.manager.known_formats
    yield from sorted(name for name in names if name.upper() not in _REFUSED | {"SEGY"})


def _source(patch: Any, told: Told, notes: list[str]) -> ArraySource:
    dims = tuple(patch.dims)
    places = next((name for name in dims if name != "time"), None)
    if len(dims) != len(_DATA) or "time" not in dims or places is None:
        raise RecordingError(f"it has the dimensions {', '.join(dims)}, not time and distance")
    data = _samples(patch.transpose("time", places).data, notes)
    fs, start_ns = _times(patch.get_coord("time"), told, notes)
    dx, begin = _distances(patch.get_coord(places))
    if dx is not None and dx < 0:
        dx, begin, data = -dx, begin + dx * (data.shape[1] - 1), data[:, ::-1]
    scale, units = _units(patch.attrs.data_units)
    entry = foreign_entry(
        told,
        fs=fs,
        start_ns=start_ns,
        samples=data.shape[0],
        channels=data.shape[1],
        dtype=data.dtype.name,
        scale=scale,
        units=units,
        dx=dx,
        fiber_start_meters=begin,
        notes=notes,
    )
    return ArraySource(entry, data, no_gaps())


def _samples(data: Samples, notes: list[str]) -> Samples:
    """Give int16 or float32, which hold the same values; what float32 rounds is noted."""
    if data.dtype.kind not in "iuf" or not data.size:
        raise RecordingError(f"its samples are {data.dtype} of shape {data.shape}; int and float can be imported")
    if data.dtype.kind in "iu" and np.can_cast(data.dtype, np.int16):
        return data.astype(np.int16)
    with np.errstate(over="ignore"):
        single = data.astype(np.float32)
    same = single.astype(data.dtype) == data
    if data.dtype.kind == "f":
        same |= np.isnan(data)
    if not same.all():
        notes.append(f"its {data.dtype} samples are rounded to float32")
    return single


def _times(coord: Any, told: Told, notes: list[str]) -> tuple[Fraction, int]:
    if coord.dtype.kind != "M":
        if told.start_ns is None or told.fs is None:
            raise RecordingError("its time is no time of day; tell it with --start and --fs")
        return told.fs, told.start_ns
    start_ns = int(coord.min().astype("datetime64[ns]").astype(np.int64)) if told.start_ns is None else told.start_ns
    if coord.step is None:
        if told.fs is None:
            raise RecordingError("its samples are not evenly spaced in time; tell the rate with --fs if they should be")
        return told.fs, start_ns
    period_ns = int(coord.step.astype("timedelta64[ns]").astype(np.int64))
    if period_ns <= 0:
        raise RecordingError("its time runs backwards or stands")
    fs = rate_of_period(period_ns) if told.fs is None else told.fs
    if abs(Fraction(10**9) / fs - period_ns) > Fraction(1, 2):
        raise RecordingError(f"its samples are {period_ns} ns apart, which --fs {float(fs):.9g} does not fit")
    if told.fs is None and fs * period_ns != 10**9:
        notes.append(f"its period, {period_ns} ns, is rounded; {float(fs):.9g} samples per second are taken (--fs)")
    return fs, start_ns


def _distances(coord: Any) -> tuple[float | None, float]:
    """Give the distance of two channels, None when that is not told, and where the first one is, in m."""
    if coord.dtype.kind not in "iuf" or len(coord) < 1 or (coord.dtype.kind in "iu" and coord.units is None):
        return None, 0.0
    values = np.asarray(coord.data, dtype=np.float64)
    begin = float(values[0])
    if len(values) < 2 or not np.isfinite(values).all() or values[0] == values[-1]:
        return None, begin if np.isfinite(begin) else 0.0
    step = coord.step
    return (float(values[-1] - values[0]) / (len(values) - 1) if step is None else float(step)), begin


def _units(quantity: Any) -> tuple[str, str]:
    """Give the scale as a decimal, and the units without it."""
    if quantity is None:
        return "1", UNKNOWN
    magnitude = float(quantity.magnitude)
    if not 0 < magnitude < float("inf"):
        return "1", UNKNOWN
    scale = "1" if magnitude == 1 else repr(magnitude).upper()
    return scale, f"{quantity.units:~C}".replace("ϵ", "strain") or "1"
