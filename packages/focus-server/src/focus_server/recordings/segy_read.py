"""A SEG-Y file of ours or of another program as a source; rev 0 to 2, big or little endian, one trace each channel."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import hypot
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import segyio
from numpy.typing import NDArray

from focus_server.errors import RecordingError
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.import_entry import UNKNOWN, foreign_entry, renamed
from focus_server.recordings.rate import rate_of_interval
from focus_server.recordings.segy import HEAD, TEXT, parse_stanza
from focus_server.recordings.source import Gaps, Samples, no_gaps
from focus_server.recordings.told import Told

__all__ = ["SegySource", "is_segy"]

_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_ORDER: Final = 0x01020304
_SAMPLE_BYTES: Final = {1: 4, 2: 4, 3: 2, 5: 4, 6: 8, 8: 1, 9: 8, 10: 4, 11: 2, 12: 8, 16: 1}
"""Sample formats that can be read; 1 is IBM float, 5 and 6 are IEEE floats, the others whole numbers."""
_SMALL_INTEGERS: Final = frozenset({3, 8, 16})
_EXACT: Final = frozenset({1, 5, 11}) | _SMALL_INTEGERS
_UNITS: Final = {1: "Pa", 2: "V", 5: "m", 6: "m/s"}


@dataclass(frozen=True, slots=True)
class _Head:
    """The binary header of a file, as far as it is needed; `interval_us` is 0 when it is not there."""

    endian: Literal["big", "little"]
    format: int
    revision: int
    samples: int
    interval_us: float
    records: int
    traces: int

    @classmethod
    def read(cls, path: Path) -> "_Head | None":
        """Read it; None when the file is no SEG-Y, or one of a layout that cannot be read."""
        with path.open("rb") as file:
            head = file.read(HEAD)
        if len(head) < HEAD or head.startswith(_HDF5):
            return None
        for endian in ("big", "little"):
            found = cls._read(head, endian, path.stat().st_size)
            if found is not None:
                return found
        return None

    @classmethod
    def _read(cls, head: bytes, endian: Literal["big", "little"], size: int) -> "_Head | None":
        def field(byte: int, kind: str) -> Any:
            return struct.unpack_from((">" if endian == "big" else "<") + kind, head, byte - 1)[0]

        code, revision, records = field(3225, "h"), field(3501, "B"), field(3505, "h")
        order = field(3297, "I")
        if code not in _SAMPLE_BYTES or revision > 2 or records < 0 or (revision == 2 and order not in (0, _ORDER)):
            return None
        extended = revision == 2
        samples = (field(3269, "I") if extended else 0) or field(3221, "H")
        interval = (field(3273, "d") if extended else 0.0) or float(field(3217, "H"))
        begin = HEAD + records * TEXT
        if extended and (field(3507, "I") or field(3521, "Q") not in (0, begin)):
            return None
        traces, rest = divmod(size - begin, 240 + samples * _SAMPLE_BYTES[code])
        if not samples or rest or traces < 1 or not 0 <= interval < 1e12:
            return None
        return cls(endian, code, revision, samples, interval, records, traces)


def is_segy(path: Path) -> bool:
    """Tell whether a file is SEG-Y that can be read: its headers and its size fit together."""
    return _Head.read(path) is not None


class SegySource:
    """An open SEG-Y file; `notes` are sentences on what was assumed."""

    def __init__(self, path: Path, told: Told) -> None:
        """Read the headers. Raises `RecordingError` when they do not say what a recording must say."""
        head = _Head.read(path)
        if head is None:
            raise RecordingError(
                f"{path.name} is no SEG-Y file that can be read: its headers are not of rev 0 to 2, its traces differ "
                "in length, or it was cut short."
            )
        self._path, self._head = path, head
        self.notes: list[str] = []
        self.gaps: Gaps = no_gaps()
        try:
            with path.open("rb") as file:
                file.seek(HEAD)
                ours = parse_stanza(file.read(head.records * TEXT))
            if ours is None:
                self.entry = self._foreign(told)
            else:
                self.entry, self.gaps = self._checked(ours[0], told), ours[1]
        except RecordingError as error:
            raise RecordingError(f"{path.name} cannot be imported: {str(error).rstrip('.')}.") from None
        except (OSError, RuntimeError, ValueError) as error:
            raise RecordingError(f"{path.name} cannot be read: {' '.join(str(error).split())}.") from None

    def read(self, first_sample: int, end_sample: int, first_column: int, last_column: int) -> Samples:
        """Read [time, channel]. Raises `RecordingError` when the file is gone, or holds other than it says."""
        begin, end = first_sample - self.entry.first_sample, end_sample - self.entry.first_sample
        out = np.empty((last_column - first_column + 1, end - begin), np.dtype(self.entry.dtype))
        try:
            with self._open() as file:
                for row, column in enumerate(range(first_column, last_column + 1)):
                    trace = file.trace[column - 1, begin:end]
                    if out.dtype.kind == "i" and trace.dtype.kind == "f":
                        trace = self._counts(trace, self._missing(first_sample, end_sample, column))
                    out[row] = trace
        except (OSError, RuntimeError, ValueError) as error:
            raise RecordingError(f"{self._path.name} cannot be read: {' '.join(str(error).split())}.") from None
        return out.T

    def _counts(self, trace: Samples, missing: NDArray[np.bool_]) -> Samples:
        """Give int16 counts as what they were before they became floats; what is missing was 0 then."""
        counts = np.where(missing, np.float32(0), trace)
        with np.errstate(invalid="ignore"):
            whole = counts.astype(np.int16)
        if not np.array_equal(whole, counts):
            raise RecordingError(
                f"{self._path.name} says that it holds int16 counts and holds others: another program has changed it. "
                "Take the stanza of focus-server out of it, then it is imported as what it is."
            )
        return whole

    def _missing(self, begin: int, end: int, column: int) -> NDArray[np.bool_]:
        """Tell which samples of a column the gaps cover."""
        missing = np.zeros(end - begin, np.bool_)
        gaps = self.gaps
        for low, high, _, _ in gaps[(gaps[:, 2] <= column) & (gaps[:, 3] >= column)].tolist():
            missing[max(0, low - begin) : max(0, high - begin)] = True
        return missing

    def _open(self) -> Any:
        return segyio.open(self._path, ignore_geometry=True, endian=self._head.endian)

    def _checked(self, entry: RecordingEntry, told: Told) -> RecordingEntry:
        head = self._head
        if (entry.samples, entry.channels, head.format) != (head.samples, head.traces, 5):
            raise RecordingError(
                f"it holds {head.traces} traces of {head.samples} samples, but its stanza says {entry.channels} of "
                f"{entry.samples}"
            )
        return renamed(entry, told)

    def _foreign(self, told: Told) -> RecordingEntry:
        """Describe a file of another program from its standard fields, and what they lack from `told`."""
        head = self._head
        with self._open() as file:
            first, last = dict(file.header[0]), dict(file.header[head.traces - 1])
        if first[169]:
            raise RecordingError("its traces have weighting factors, which are not supported")
        if head.format not in _EXACT:
            self.notes.append("its samples are rounded to float32")
        place, dx = self._places(first, last)
        return foreign_entry(
            told,
            fs=self._rate(first, told),
            start_ns=_start_ns(first, told),
            samples=head.samples,
            channels=head.traces,
            dtype="int16" if head.format in _SMALL_INTEGERS else "float32",
            scale=f"{first[205]}E{first[209]}" if first[205] > 0 else "1",
            units=_UNITS.get(first[211], UNKNOWN),
            dx=dx,
            fiber_start_meters=place,
            notes=self.notes,
        )

    def _rate(self, first: dict[int, int], told: Told) -> Fraction:
        interval = self._head.interval_us or float(first[117])
        if not interval:
            if told.fs is None:
                raise RecordingError("it says no sampling interval; tell it with --fs")
            return told.fs
        found = rate_of_interval(interval)
        if told.fs is not None and abs(1_000_000 / told.fs - Fraction(interval)) > Fraction(1, 2):
            raise RecordingError(f"it has {float(found):.9g} samples per second, not {float(told.fs):.9g} as --fs says")
        return told.fs or found

    def _places(self, first: dict[int, int], last: dict[int, int]) -> tuple[float, float | None]:
        """Give where the first trace lies and the distance of two, in m; what is not there is 0 and None."""
        scale = float(first[71] or 1)
        factor = scale if scale > 0 else -1 / scale
        width = hypot(last[81] - first[81], last[85] - first[85]) * factor
        if self._head.traces < 2 or not width:
            return 0.0, None
        along = first[81] * factor if first[85] == last[85] == 0 else 0.0
        return along, width / (self._head.traces - 1)


def _start_ns(first: dict[int, int], told: Told) -> int:
    if told.start_ns is not None:
        return told.start_ns
    year, day, hour, minute, second = (first[byte] for byte in (157, 159, 161, 163, 165))
    if not (1970 <= year < 2262 and 1 <= day <= 366 and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):
        raise RecordingError("it does not say when it was recorded; tell it with --start")
    start = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second)
    return int(start.timestamp()) * 1_000_000_000
