"""From samples to lines: amplitude spectral densities and waterfall values, as `signal.md` defines them.

All in float32 and still exact: a window's rounded mean is subtracted from it, so that an offset costs no accuracy, and
what rounding left of the mean is taken out of the two bins into which the periodic Hann window leaks it. A window one
of whose bins is so small beside the others that float32 could be wrong by a hundredth of a decibel is computed again in
float64; of noise that is one window in thousands.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

TILE_SAMPLES: Final = 65536
"""Samples that are worked on at once, so that they stay in the processor's cache."""

_UNIT_ROUNDOFF: Final = 2.0**-24
_ROUNDING: Final = 5.0
"""A bin's largest error in unit roundoffs · sqrt(log2 N) · root mean square of all bins: measured 4.3 in 10⁷ bins."""
_TOLERANCE: Final = 10 ** (0.009 / 20) - 1
"""A little less than the hundredth of a decibel that is promised, as a ratio."""

Samples = NDArray[Any]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Unit:
    """What turns samples into physical values: value = sample·scale, taken fs times a second."""

    fs: Fraction
    scale: float


class Spectrum:
    """Amplitude spectral density of windows of `nfft` samples, A_k = sqrt(P_k) in unit/√Hz.

    It owns its buffers: one thread at a time may use it.
    """

    def __init__(self, nfft: int, unit: Unit) -> None:
        self.nfft = nfft
        self.tile = max(1, TILE_SAMPLES // nfft)
        # The periodic Hann window; sum of its squares is 3·nfft/8. The constant in front of the density is folded in.
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(nfft) / nfft)
        self._window = hann * float(unit.scale * np.sqrt(2 / (float(unit.fs) * 3 * nfft / 8)))
        self._window32 = self._window.astype(np.float32)
        self._offset = float(self._window.sum())
        self._mean = np.full(nfft, 1 / nfft, np.float32)
        self._shifted = np.empty((self.tile, nfft), np.float32)
        self._amplitude = np.empty((self.tile, nfft // 2 + 1), np.float32)
        self._smallest = _ROUNDING * _UNIT_ROUNDOFF * np.sqrt(np.log2(nfft)) / _TOLERANCE

    def amplitude(self, windows: Samples, out: Float32) -> None:
        """Compute `windows` [..., nfft] of int16 or float32 into `out` [..., bin]; a window that holds NaN gives NaN.

        Strides are free, so overlapping views and columns of a ring need no copy.
        """
        if windows.ndim > 2:
            for part, target in zip(windows, out, strict=True):
                self.amplitude(part, target)
            return
        for first in range(0, len(windows), self.tile):
            part = windows[first : first + self.tile]
            out[first : first + self.tile] = self._compute_tile(part)

    def _compute_tile(self, windows: Samples) -> Float32:
        count = len(windows)
        shifted, amplitude = self._shifted[:count], self._amplitude[:count]
        np.copyto(shifted, windows)
        with np.errstate(invalid="ignore", over="ignore"):
            shifted -= (shifted @ self._mean)[:, None]
            mean = shifted.mean(axis=1)
            shifted *= self._window32
            spectrum = fft.rfft(shifted, axis=1, overwrite_x=True)
            spectrum[:, 0] -= mean * np.float32(self._offset)
            spectrum[:, 1] += mean * np.float32(self._offset / 2)
            np.abs(spectrum, out=amplitude)
        self._recompute_weak(windows, amplitude)
        _halve_ends(amplitude)
        amplitude[~np.isfinite(mean)] = np.nan
        return amplitude

    def _recompute_weak(self, windows: Samples, amplitude: Float32) -> None:
        """Do again in float64 what float32 may have got wrong: windows with a bin far below the others."""
        largest, smallest = amplitude.max(), amplitude[:, 1:].min()
        if smallest >= self._smallest * largest:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            power = np.einsum("ij,ij->i", amplitude, amplitude) / amplitude.shape[1]
            weak = amplitude[:, 1:].min(axis=1) < self._smallest * np.sqrt(power)
        for row in np.flatnonzero(weak):
            window = windows[row].astype(np.float64)
            window -= window.mean()
            window *= self._window
            amplitude[row] = np.abs(fft.rfft(window, overwrite_x=True))

    def mean_power_amplitude(self, windows: Samples, out: Float32) -> None:
        """Compute `windows` [sub-window, channel, nfft] into `out` [channel, bin]: the root of the mean power."""
        power: Float64 = np.zeros(out.shape)
        one = np.empty_like(out)
        for part in windows:
            self.amplitude(part, one)
            power += np.square(one, dtype=np.float64)
        out[:] = np.sqrt(power / len(windows))


def _halve_ends(amplitude: Float32) -> None:
    """Take back the doubling of the power where a bin has no mirror image: at 0 and at fs/2."""
    amplitude[:, 0] *= np.float32(np.sqrt(0.5))
    amplitude[:, -1] *= np.float32(np.sqrt(0.5))


def root_mean_square(samples: Samples, unit: Unit) -> Float32:
    """Compute a waterfall's values R = sqrt(mean((x - mean x)²)) of `samples` [channel, time], in the unit."""
    out = np.empty(len(samples), np.float32)
    rows = max(1, TILE_SAMPLES // samples.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):
        for first in range(0, len(samples), rows):
            part = samples[first : first + rows].astype(np.float64)
            out[first : first + rows] = part.std(axis=1) * unit.scale
    out[~np.isfinite(out)] = np.nan
    return out
