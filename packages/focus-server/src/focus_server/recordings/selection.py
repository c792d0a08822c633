"""A time and some channels of several recordings on one grid, as one source; where there is no recording is a gap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from focus_server.errors import RecordingError
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.source import Gaps, Samples, Source, part_of

__all__ = ["Selection", "TimeRange"]

_SECOND = 1_000_000_000

TimeRange = tuple[int | None, int | None]
"""From one time until before another, ns since 1970; None is everything there is."""


@dataclass(frozen=True, slots=True)
class _Segment:
    begin: int
    end: int
    source: Source


class Selection:
    """Samples of `sources`, which share their fibre; of those that overlap, the one that begins earlier is read.

    `channels` are numbers of the fibre, both included; None is all of them. It begins and ends with the first and the
    last sample that is there, so a gap is never at its ends. Raises `RecordingError` when nothing is left.
    """

    def __init__(
        self, sources: Sequence[Source], times: TimeRange = (None, None), channels: tuple[int, int] | None = None
    ) -> None:
        first = sources[0].entry
        if any(source.entry.fibre_key != first.fibre_key for source in sources):
            raise RecordingError(
                "These recordings are not of one fibre on one grid in time and cannot become one file; "
                "choose a shorter time, or one --site, or fewer files."
            )
        self._low, self._high = _columns(first, channels)
        begin, end = _limits(first, sources, times)
        self._segments, holes = _segments(sources, begin, end)
        if not self._segments:
            raise RecordingError("There is nothing recorded in that time; choose another.")
        begin, end = self._segments[0].begin, self._segments[-1].end
        self.gaps: Gaps = self._gap_table(holes)
        part = part_of(first, begin, end, self._low, self._high)
        self.entry: RecordingEntry = part.model_copy(update={"gaps": bool(len(self.gaps)), "deleted": False})

    @property
    def missing_samples(self) -> int:
        """How many samples of time no recording has."""
        return self.entry.samples - sum(segment.end - segment.begin for segment in self._segments)

    def read(self, first_sample: int, end_sample: int, first_column: int, last_column: int) -> Samples:
        """Read [time, channel]. Raises `RecordingError`."""
        dtype = np.dtype(self.entry.dtype)
        shape = end_sample - first_sample, last_column - first_column + 1
        out = np.full(shape, np.nan if dtype.kind == "f" else 0, dtype)
        columns = first_column + self._low - 1, last_column + self._low - 1
        for it in self._segments:
            begin, end = max(first_sample, it.begin), min(end_sample, it.end)
            if begin < end:
                out[begin - first_sample : end - first_sample] = it.source.read(begin, end, *columns)
        return out

    def _gap_table(self, holes: list[tuple[int, int]]) -> Gaps:
        rows = [(begin, end, 1, self._high - self._low + 1) for begin, end in holes]
        for it in self._segments:
            for begin, end, low, high in it.source.gaps.tolist():
                span = max(begin, it.begin), min(end, it.end)
                columns = max(low, self._low), min(high, self._high)
                if span[0] < span[1] and columns[0] <= columns[1]:
                    rows.append((*span, columns[0] - self._low + 1, columns[1] - self._low + 1))
        return np.array(sorted(rows), np.int64).reshape(-1, 4)


def _columns(entry: RecordingEntry, channels: tuple[int, int] | None) -> tuple[int, int]:
    """Give the columns of some channels, counted from 1."""
    if channels is None:
        return 1, entry.channels
    first, last = entry.first_channel, entry.first_channel + entry.channels - 1
    if not first <= channels[0] <= channels[1] <= last:
        raise RecordingError(
            f"The channels {channels[0]}-{channels[1]} are not among {first}-{last}, which are recorded; choose others."
        )
    return channels[0] - first + 1, channels[1] - first + 1


def _limits(entry: RecordingEntry, sources: Sequence[Source], times: TimeRange) -> tuple[int, int]:
    """Give the first sample whose time, in whole ns as it is told everywhere, is the begin or later; so for the end."""

    def sample_at(time_ns: int) -> int:
        return (time_ns - 1 - entry.t0_ns) * entry.fs_num // (_SECOND * entry.fs_den) + 1

    begin = min(source.entry.first_sample for source in sources) if times[0] is None else sample_at(times[0])
    end = max(source.entry.end_sample for source in sources) if times[1] is None else sample_at(times[1])
    return begin, end


def _segments(sources: Sequence[Source], begin: int, end: int) -> tuple[list[_Segment], list[tuple[int, int]]]:
    """Give what is read from which source, in order, and the holes between."""
    segments: list[_Segment] = []
    holes: list[tuple[int, int]] = []
    for source in sorted(sources, key=lambda source: (source.entry.first_sample, -source.entry.samples)):
        done = segments[-1].end if segments else begin
        low, high = max(source.entry.first_sample, done), min(source.entry.end_sample, end)
        if low < high:
            if segments and low > done:
                holes.append((done, low))
            segments.append(_Segment(low, high, source))
    return segments, holes
