"""The samples of several recordings as if they were one; what a file cannot give is missing."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from focus_server.analyzer.coverage import Coverage
from focus_server.errors import RecordingError
from focus_server.recordings import RecordingEntry
from focus_server.recordings.reader import RecordingFile

_log = structlog.get_logger()

_OPEN_FILES: Final = 3

_Place = tuple[str, str | None]

Samples = NDArray[Any]
Missing = NDArray[np.bool_]


class Recorded:
    """Recordings on one grid, opened when they are needed. Its methods block; one thread at a time may use it."""

    def __init__(self, entries: Sequence[RecordingEntry]) -> None:
        self._entries = sorted(entries, key=lambda entry: entry.first_sample)
        self._begins = [entry.first_sample for entry in self._entries]
        self._longest = max((entry.samples for entry in entries), default=0)
        self._files: OrderedDict[_Place, RecordingFile] = OrderedDict()
        self._broken: set[_Place] = set()
        self.coverage = Coverage()
        """What the catalogue says is there."""
        for entry in self._entries:
            self.coverage.add(entry.first_sample, entry.end_sample)

    def read(self, begin: int, first_channel: int, out: Samples) -> Missing | None:
        """Read the samples from `begin` on of the channels from `first_channel` on into `out` [channel, time].

        Gives what is missing [channel, time], or None when everything is there.
        """
        end = begin + out.shape[1]
        last_channel = first_channel + len(out) - 1
        done, missing = Coverage(), None
        for entry in self._overlapping(begin, end):
            for low, high in list(done.holes(max(begin, entry.first_sample), min(end, entry.end_sample))):
                part = slice(low - begin, high - begin)
                found = self._read(entry, low, high, first_channel, last_channel)
                if found is None:
                    continue
                out[:, part], gone = found
                done.add(low, high)
                if gone is not None:
                    missing = np.zeros(out.shape, np.bool_) if missing is None else missing
                    missing[:, part] = gone
        for low, high in done.holes(begin, end):
            missing = np.zeros(out.shape, np.bool_) if missing is None else missing
            missing[:, low - begin : high - begin] = True
            out[:, low - begin : high - begin] = 0
        return missing

    def close(self) -> None:
        """Close all files."""
        while self._files:
            self._files.popitem()[1].close()

    def _overlapping(self, begin: int, end: int) -> list[RecordingEntry]:
        first = bisect_left(self._begins, begin - self._longest)
        return [entry for entry in self._entries[first : bisect_left(self._begins, end)] if entry.end_sample > begin]

    def _read(
        self, entry: RecordingEntry, begin: int, end: int, first_channel: int, last_channel: int
    ) -> tuple[Samples, Missing | None] | None:
        """Read from one recording; None when it is not to be had."""
        if _place(entry) in self._broken:
            return None
        try:
            return self._open(entry).read(begin, end, first_channel, last_channel)
        except RecordingError as error:
            _log.warning("recording.unreadable", recording=entry.uuid, cause=str(error))
            self._broken.add(_place(entry))
            return None

    def _open(self, entry: RecordingEntry) -> RecordingFile:
        file = self._files.get(_place(entry))
        if file is None:
            file = self._files[_place(entry)] = RecordingFile(entry)
            if len(self._files) > _OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        return file


def _place(entry: RecordingEntry) -> _Place:
    """Tell copies of one recording apart, which share their uuid."""
    return entry.base_path, entry.path
