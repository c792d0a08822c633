"""What a row of Focus must be: computed from the very blocks that passed the broker, by the published definition.

The amplitude is that of a one-sided spectral density: mean removed, periodic Hann window, as SciPy's `spectrogram` with
`scaling="density"` and `detrend="constant"` gives it; a bin counts when it lies within 100 dB of the row's largest.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fullspan.clients import Job

__all__ = ["BLOCK_S", "TOLERANCE_DB", "Samples", "blocks_of", "due_ns", "row_at", "window_of"]

TOLERANCE_DB: Final = 0.01
RANGE_DB: Final = 100.0
BLOCK_S: Final = 0.1
GROUP: Final = 64  # channels of one block


def window_of(job: Job, row: int) -> tuple[int, int]:
    """Return the first sample of a row's window and the one after its last."""
    start = (job.grid.first_line + row) * job.grid.hop
    return start, start + job.grid.nfft


def due_ns(job: Job, row: int) -> int:
    """Return when the last sample of a row was due, UTC, ns."""
    return job.grid.t0_ns + round(window_of(job, row)[1] * 10**9 / job.grid.fs)


def row_at(job: Job, wall_ns: int) -> int:
    """Return the newest row whose window is complete at a time, UTC, ns."""
    samples = int((wall_ns - job.grid.t0_ns) * job.grid.fs / 10**9)
    return (samples - job.grid.nfft) // job.grid.hop - job.grid.first_line


def blocks_of(job: Job, row: int) -> range:
    """Return the numbers, from the fibre's first sample on, of the blocks that a row's window lies in."""
    length = int(float(job.grid.fs) * BLOCK_S)
    start, end = window_of(job, row)
    return range(start // length, (end - 1) // length + 1)


class Samples:
    """The samples of one channel as they passed the broker, by their number."""

    def __init__(self, channel: int, scale: float) -> None:
        self._column = (channel - 1) % GROUP
        self._scale = scale
        self._known: dict[int, NDArray[np.float64]] = {}

    def take(self, header: Mapping[str, Any], body: bytes) -> None:
        """Take in a block of int16 counts, [time, channel]."""
        channels = int(header["ch_last"]) - int(header["ch_first"]) + 1
        counts = np.frombuffer(body, "<i2").reshape(-1, channels)[:, self._column]
        self._known.setdefault(int(header["first_sample"]), counts.astype(np.float64) * self._scale)

    def row(self, job: Job, row: int) -> NDArray[np.float64] | None:
        """Return a row's amplitudes over the job's bins, unit/√Hz; None when not all of its samples are known."""
        start, end = window_of(job, row)
        parts = []
        for first in sorted(self._known):
            values = self._known[first]
            if first < end and first + len(values) > start:
                parts.append(values[max(0, start - first) : end - first])
        if sum(map(len, parts)) != end - start:
            return None
        samples, n, fs = np.concatenate(parts), job.grid.nfft, float(job.grid.fs)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
        power = np.abs(np.fft.rfft(window * (samples - samples.mean()))) ** 2 / (fs * (window**2).sum())
        power[1 : len(power) - (n % 2 == 0)] *= 2
        low = round(job.frequencies[0] * n / fs)
        amplitude: NDArray[np.float64] = np.sqrt(power[low : low + len(job.frequencies)])
        return amplitude

    def deviation_db(self, job: Job, row: int, data: bytes) -> float:
        """Return by how much a row differs from what its samples give, dB; infinite when it has another shape."""
        wanted = self.row(job, row)
        if wanted is None:
            return 0.0  # its blocks tell what is wrong with it
        found = np.frombuffer(data, "<f4").astype(np.float64)
        if found.shape != wanted.shape:
            return float("inf")
        with np.errstate(divide="ignore", invalid="ignore"):
            level, asked = 20 * np.log10(found), 20 * np.log10(wanted)
        counted = asked >= asked.max() - RANGE_DB
        counted[0] = counted[0] and job.frequencies[0] > 0
        difference = np.abs(level[counted] - asked[counted])
        return float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))
