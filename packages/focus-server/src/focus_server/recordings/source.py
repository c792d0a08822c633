"""Samples that can be read piece by piece, wherever they are from: a recording, another program's file, a selection."""

import uuid
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from focus_server.fiber import FiberGrid
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.prodml import gap_table, open_recording
from focus_server.recordings.reader import RecordingFile

__all__ = ["ArraySource", "Gaps", "MovedSource", "RecordedSource", "Samples", "Source", "no_gaps", "part_of"]

Samples = NDArray[Any]
Gaps = NDArray[np.int64]


class Source(Protocol):
    """Samples on a fibre's grid, which `entry` describes; it lies in no catalogue."""

    @property
    def entry(self) -> RecordingEntry:
        """What the samples are and where they lie in time."""

    @property
    def gaps(self) -> Gaps:
        """What is missing, [n, 4]: first_sample, end_sample, first column, last column; columns count from 1."""

    def read(self, first_sample: int, end_sample: int, first_column: int, last_column: int) -> Samples:
        """Read [time, channel]; what is missing is 0 (int16) or NaN (float32). Raises `RecordingError`."""


class RecordedSource:
    """One of our own files, opened for each reading, because an export may hold thousands of them."""

    def __init__(self, entry: RecordingEntry) -> None:
        """Look into the file. Raises `RecordingError` when it is gone, broken, or another one than the entry's."""
        self.entry = entry
        RecordingFile(entry).close()
        with open_recording(entry.file()) as file:
            self.gaps = gap_table(file)

    def read(self, first_sample: int, end_sample: int, first_column: int, last_column: int) -> Samples:
        """Read [time, channel]. Raises `RecordingError`."""
        file = RecordingFile(self.entry)
        try:
            return file.read(first_sample, end_sample, first_column, last_column)[0].T
        finally:
            file.close()


@dataclass(frozen=True, slots=True)
class ArraySource:
    """Samples [time, channel] that are in memory."""

    entry: RecordingEntry
    data: Samples
    gaps: Gaps

    def read(self, first_sample: int, end_sample: int, first_column: int, last_column: int) -> Samples:
        """Read [time, channel]."""
        begin = self.entry.first_sample
        return self.data[first_sample - begin : end_sample - begin, first_column - 1 : last_column]


class MovedSource:
    """A source whose samples have other numbers: `entry` says from which one on."""

    def __init__(self, source: Source, entry: RecordingEntry) -> None:
        self.entry = entry
        self._source = source
        self._by = entry.first_sample - source.entry.first_sample
        self.gaps: Gaps = source.gaps + np.array([self._by, self._by, 0, 0])

    def read(self, first_sample: int, end_sample: int, first_column: int, last_column: int) -> Samples:
        """Read [time, channel]. Raises `RecordingError`."""
        return self._source.read(first_sample - self._by, end_sample - self._by, first_column, last_column)


def no_gaps() -> Gaps:
    """Return the table of a recording that lacks nothing."""
    return np.empty((0, 4), np.int64)


def part_of(
    entry: RecordingEntry, first_sample: int, end_sample: int, first_column: int, last_column: int
) -> RecordingEntry:
    """Describe a part of a recording, columns counted from 1; its identity follows from what it is a part of."""
    grid = FiberGrid(entry.t0_ns, entry.fs_num, entry.fs_den)
    first_channel, channels = entry.first_channel + first_column - 1, last_column - first_column + 1
    name = (
        f"focus:{entry.site}:{entry.t0_ns}:{entry.fs_num}/{entry.fs_den}:{entry.dtype}:{entry.scale}"
        f":{first_sample}-{end_sample}:{first_channel}+{channels}"
    )
    changes = {
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "path": None,
        "start_ns": grid.time_ns(first_sample),
        "end_ns": grid.time_ns(end_sample),
        "first_sample": first_sample,
        "samples": end_sample - first_sample,
        "channels": channels,
        "first_channel": first_channel,
        "fiber_start_meters": entry.fiber_start_meters + (first_column - 1) * entry.dx,
    }
    return entry.model_copy(update=changes)
