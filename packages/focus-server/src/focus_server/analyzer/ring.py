"""The newest samples of every channel, [channel, time] in the source's own type, written once and read in place."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from focus_server.analyzer.coverage import Coverage
from focus_server.fiber import group_count
from focus_server.fiber.blocks import GROUP_CHANNELS

_PAGE_BYTES: Final = 4096

Rows = slice | NDArray[np.intp]


class Ring:
    """`samples` of each of `channels` channels; sample n lies in column n mod `samples`.

    A group of channels that arrives together shares one record of which samples are there. One thread writes and asks
    `holds`; another one may read meanwhile, and asks `overwritten` afterwards, because a writer that is a whole ring
    ahead overwrites what is being read.
    """

    def __init__(self, channels: int, samples: int, dtype: np.dtype[Any]) -> None:
        self.channels = channels
        self.samples = samples
        self.dtype = dtype
        self._data = np.empty((channels, samples), dtype)
        # Touch the pages now, so that the first blocks do not wait for the kernel.
        self._data.reshape(-1)[:: _PAGE_BYTES // dtype.itemsize] = 0
        self._coverage = [Coverage() for _ in range(group_count(channels))]
        self._oldest = [0] * len(self._coverage)

    def coverage(self, group: int) -> Coverage:
        """Tell which samples of a group are there."""
        return self._coverage[group]

    def write(self, group: int, first_sample: int, data: NDArray[Any]) -> None:
        """Store `data` [time, channel] of a group from `first_sample` on; what is older than the ring is left out."""
        coverage = self._coverage[group]
        end = first_sample + len(data)
        oldest = (max(end, coverage.end) if coverage else end) - self.samples
        skip = max(0, oldest - first_sample)
        if skip >= len(data):
            return
        coverage.forget_below(oldest)
        self._oldest[group] = max(self._oldest[group], oldest)
        first_sample, data = first_sample + skip, data[skip:]
        channel = group * GROUP_CHANNELS
        rows = self._data[channel : channel + data.shape[1]]
        column = first_sample % self.samples
        until_edge = min(len(data), self.samples - column)
        rows[:, column : column + until_edge] = data[:until_edge].T
        rows[:, : len(data) - until_edge] = data[until_edge:].T
        coverage.add(first_sample, end)

    def read(self, rows: Rows, begin: int, end: int) -> NDArray[Any]:
        """Give samples `begin` up to `end` of some channels (counted from 0), [channel, time].

        A view when `rows` is a slice, wherever the ring's edge allows it.
        """
        column = begin % self.samples
        count = end - begin
        if column + count <= self.samples:
            return self._data[rows, column : column + count]
        until_edge = self.samples - column
        return np.concatenate((self._data[rows, column:], self._data[rows, : count - until_edge]), axis=1)

    def holds(self, group: int, begin: int, end: int) -> bool:
        """Tell whether all samples from `begin` up to `end` of a group are there."""
        return self._coverage[group].holds(begin, end)

    def overwritten(self, group: int, begin: int) -> bool:
        """Tell whether a sample of a group is too old to be there any more; from any thread."""
        return begin < self._oldest[group]
