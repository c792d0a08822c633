"""From samples to lines: amplitude spectral densities and waterfall values, as `signal.md` defines them.

Fast in float32 where that is exact: a window's rounded mean is subtracted from it, so that an offset costs no accuracy,
and what rounding left of the mean is taken out of the two bins into which the periodic Hann window leaks it. A window
one of whose bins is so small beside the others, or beside its counterpart nfft/2 - k, that float32 could be wrong by a
hundredth of a decibel is computed in float64: of noise that is one window in thousands, of an earthquake nearly every
one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from focus_server.analyzer.kernel import NativeKernel, NativeTransform

TILE_SAMPLES: Final = 65536
"""Samples that SciPy works on at once, so that they stay in the processor's cache."""

_UNIT_ROUNDOFF: Final = 2.0**-24
_ROUNDING: Final = 8.0
"""A bin's largest error in unit roundoffs · sqrt(log2 N) · root mean square of all bins: measured 4.3 in 10⁷ bins of
noise, and 5.6 on a real recording, whose energy is not spread evenly."""
_SHADOW: Final = 3.0
"""What the rounding of a strong bin puts into bin nfft/2 - k, in unit roundoffs of its magnitude, because a real
transform makes both from the same two complex values: measured 2.1 with tones and with a fibre that moves slowly."""
_TOLERANCE: Final = 10 ** (0.009 / 20) - 1
"""A little less than the hundredth of a decibel that is promised, as a ratio."""

Samples = NDArray[Any]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

Transform = Callable[[Samples, Float32], Float32]
"""Computes windows [..., nfft] into amplitudes [..., bin]; returns for each window its smallest magnitude |X_k| but bin
0's over the root mean square of all, and 0 when a bin is smaller than a share, the shadow, of bin nfft/2 - k."""

_MOSTLY: Final = 0.5
_CALLS_WITHOUT_TRIAL: Final = 15
"""Where most windows need float64, float32 is only tried now and then."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What turns samples into physical values: value = sample·scale, taken fs times a second."""

    fs: Fraction
    scale: float


class Spectrum:
    """Amplitude spectral density of windows of `nfft` samples, A_k = sqrt(P_k) in unit/√Hz.

    Computed by the compiled kernel, if there is one, else by SciPy. It owns buffers: one thread at a time may use it.
    """

    def __init__(self, nfft: int, unit: Unit, kernel: NativeKernel | None) -> None:
        self.nfft = nfft
        self._single = make_transform(nfft, unit, kernel, double=False)
        self._double = make_transform(nfft, unit, kernel, double=True)
        self._weak = _ROUNDING * _UNIT_ROUNDOFF * float(np.sqrt(np.log2(nfft))) / _TOLERANCE
        self._calls_without_trial = 0

    def amplitude(self, windows: Samples, out: Float32) -> None:
        """Compute `windows` [..., nfft] of int16 or float32 into `out` [..., bin]; a window that holds NaN gives NaN.

        Strides are free, so overlapping views and columns of a ring need no copy.
        """
        if self._calls_without_trial > 0:
            self._calls_without_trial -= 1
            self._double(windows, out)
        else:
            self._try_single(windows, out)

    def _try_single(self, windows: Samples, out: Float32) -> None:
        weak = self._single(windows, out) < self._weak
        count = np.count_nonzero(weak)
        if count:
            exact = np.empty((count, out.shape[-1]), np.float32)
            self._double(windows[weak], exact)
            out[weak] = exact
        if count > _MOSTLY * weak.size:
            self._calls_without_trial = _CALLS_WITHOUT_TRIAL

    def mean_power_amplitude(self, windows: Samples, out: Float32) -> None:
        """Compute `windows` [sub-window, channel, nfft] into `out` [channel, bin]: the root of the mean power."""
        power: Float64 = np.zeros(out.shape)
        one = np.empty_like(out)
        for part in windows:
            self.amplitude(part, one)
            power += np.square(one, dtype=np.float64)
        out[:] = np.sqrt(power / len(windows))


class SciPyTransform:
    """The transform without the compiled kernel, in tiles that stay in the cache."""

    def __init__(self, nfft: int, unit: Unit, *, double: bool) -> None:
        # Loading it takes as long as all else of the analyzer, and nearly always there is the kernel.
        from scipy import fft

        self._rfft = fft.rfft
        self._rows = max(1, TILE_SAMPLES // nfft)
        self._real = np.float64 if double else np.float32
        self._hann = hann_window(nfft).astype(self._real)
        self._factor = self._real(amplitude_factor(nfft, unit))
        self._shadow = self._real(0 if double else shadow())
        self._mean = np.full(nfft, 1 / nfft, self._real)
        self._shifted = np.empty((self._rows, nfft), self._real)

    def __call__(self, windows: Samples, out: Float32) -> Float32:
        """Be a `Transform`."""
        if windows.ndim > 2:
            return np.stack([self(part, target) for part, target in zip(windows, out, strict=True)])
        weakness = np.empty(len(windows), np.float32)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            for first in range(0, len(windows), self._rows):
                tile = slice(first, first + self._rows)
                weakness[tile] = self._compute(windows[tile], out[tile])
        return weakness

    def _compute(self, windows: Samples, out: Float32) -> Samples:
        nfft = windows.shape[-1]
        shifted = self._shifted[: len(windows)]
        np.copyto(shifted, windows)
        shifted -= (shifted @ self._mean)[:, None]
        rest = shifted.mean(axis=1)
        shifted *= self._hann
        spectrum = self._rfft(shifted, axis=1, overwrite_x=True)
        spectrum[:, 0] -= rest * self._real(nfft / 2)
        spectrum[:, 1] += rest * self._real(nfft / 4)
        magnitude = np.abs(spectrum)
        mean_power = np.einsum("ij,ij->i", magnitude, magnitude) / magnitude.shape[1]
        np.multiply(magnitude, self._factor, out=out, casting="same_kind")
        out[:, [0, -1]] *= np.float32(np.sqrt(0.5))  # these have no mirror image and do not count twice
        out[~np.isfinite(rest)] = np.nan
        weakness: Samples = magnitude[:, 1:].min(axis=1) / np.sqrt(mean_power)
        weakness[(magnitude[:, 1:] < self._shadow * magnitude[:, -2::-1]).any(axis=1)] = 0
        return weakness


def make_transform(nfft: int, unit: Unit, kernel: NativeKernel | None, *, double: bool) -> Transform:
    """Give the transform for windows of one length, by the compiled kernel if there is one."""
    if kernel is None:
        return SciPyTransform(nfft, unit, double=double)
    share = 0.0 if double else shadow()
    return NativeTransform(kernel, hann_window(nfft), amplitude_factor(nfft, unit), share, double=double)


def shadow() -> float:
    """Give the share of a bin's magnitude below which bin nfft/2 - k is not exact in float32."""
    return _SHADOW * _UNIT_ROUNDOFF / _TOLERANCE


def hann_window(nfft: int) -> Float64:
    """Give the periodic Hann window; its sum is nfft/2, that of its squares 3·nfft/8."""
    window: Float64 = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(nfft) / nfft)
    return window


def amplitude_factor(nfft: int, unit: Unit) -> float:
    """Give what turns |X_k| of windowed samples into A_k of a bin that has a mirror image."""
    return unit.scale * float(np.sqrt(2 / (float(unit.fs) * 3 * nfft / 8)))


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
