"""Recorded samples as they are wanted: piece after piece, each beginning where lines of the last one overlap it."""

import numpy as np

from focus_server.analyzer.history.recorded import Missing, Recorded, Samples


class Reel:
    """A run through the samples of some channels, `capacity` of each at most at a time, each read once."""

    def __init__(self, recorded: Recorded, first_channel: int, samples: Samples) -> None:
        """Use `samples` [channel, capacity], whose content is undefined, as memory."""
        self._recorded = recorded
        self._first_channel = first_channel
        self._samples = samples
        self._missing: Missing | None = None
        self._begin = 0
        self._end = 0

    def take(self, begin: int, end: int) -> tuple[Samples, Missing | None]:
        """Give the samples from `begin` up to `end` [channel, time] and which are missing; valid until the next call.

        What overlaps the piece before is not read again.
        """
        kept = max(0, self._end - begin) if self._begin <= begin else 0
        count = end - begin
        if kept:
            came = begin - self._begin
            self._samples[:, :kept] = self._samples[:, came : came + kept]
        fresh = self._recorded.read(begin + kept, self._first_channel, self._samples[:, kept:count])
        self._missing = self._joined(begin, kept, count, fresh)
        self._begin, self._end = begin, end
        return self._samples[:, :count], self._missing

    def _joined(self, begin: int, kept: int, count: int, fresh: Missing | None) -> Missing | None:
        old = None
        if self._missing is not None and kept:
            came = begin - self._begin
            old = self._missing[:, came : came + kept]
        if fresh is None and (old is None or not old.any()):
            return None
        missing = np.zeros((len(self._samples), count), np.bool_)
        if old is not None:
            missing[:, :kept] = old
        if fresh is not None:
            missing[:, kept:] = fresh
        return missing
