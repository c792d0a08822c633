"""What the picture must show: the published replay formula, and SciPy on its samples.

Nothing here uses the server's code: the formula is written from the documentation, its parameters come over the wire
(`/live_metadata`, field `fiber_source`), the recording from its file, whose sha256 must be the announced one.
"""

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE_DB = 0.01
DYNAMIC_RANGE_DB = 100.0


def mix32(x: int) -> int:
    """Mix 32 bits, as the interrogator's documentation gives it."""
    x ^= x >> 16
    x = (x * 0x7FEB352D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x846CA68B) & 0xFFFFFFFF
    return x ^ (x >> 16)


@dataclass(frozen=True, slots=True)
class Fibre:
    """The replayed fibre as a pure function of channel and sample."""

    recording: NDArray[np.float64]  # [channel, sample], physical unit
    seed: int
    scale: float
    dtype: str
    dc: float
    nan_channels: frozenset[int]  # channel numbers, the first is 1
    t0_ns: int
    fs: Fraction

    @classmethod
    def from_metadata(cls, source: dict[str, Any], file: Path) -> "Fibre":
        """Read the announced formula's parameters and the recording, whose sha256 must be the announced one."""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest != source["sha256"]:
            raise ValueError(f"{file.name} has sha256 {digest}, the fibre replays {source['sha256']}")
        recording = np.load(file, allow_pickle=False)
        layout = json.loads(file.with_suffix(".json").read_text())["dims"]
        if layout[0] == "time":
            recording = recording.T
        return cls(
            recording=np.ascontiguousarray(recording, dtype=np.float64),
            seed=int(source["seed"]),
            scale=float(source["scale"]),
            dtype=str(source["dtype"]),
            dc=float(source["dc"]),
            nan_channels=frozenset(source["nan_channels"]),
            t0_ns=int(source["t0_ns"]),
            fs=Fraction(int(source["fs_num"]), int(source["fs_den"])),
        )

    def gain(self, channel: int, loop: int) -> float:
        """Return g = 1 + h/4 of a channel (the first is 1) in one loop of the recording."""
        tile = (channel - 1) // len(self.recording)
        return 1.0 + 0.25 * mix32(mix32(mix32(self.seed) ^ tile) ^ loop) / 2**32

    def counts(self, channel: int, first: int, n: int) -> NDArray[Any]:
        """Return samples [first, first + n) of one channel as sent: int16 counts or float32."""
        return self.window(first, n, channel, channel)[:, 0]

    def block(self, first_channel: int, last_channel: int, first: int, n: int) -> bytes:
        """Return a block's body: samples [time, channel] of an inclusive channel range, C order, little-endian."""
        return np.ascontiguousarray(self.window(first, n, first_channel, last_channel)).tobytes()

    def window(self, first: int, n: int, first_channel: int, last_channel: int) -> NDArray[Any]:
        """Return samples [first, first + n) of an inclusive channel range as sent, [time, channel]."""
        channels = range(first_channel, last_channel + 1)
        rows = [(channel - 1) % len(self.recording) for channel in channels]
        out = np.empty((n, len(rows)), np.int16 if self.dtype == "int16" else np.float32)
        length, done = self.recording.shape[1], 0
        while done < n:
            loop, start = divmod(first + done, length)
            count = min(n - done, length - start)
            gains = np.array([self.gain(channel, loop) for channel in channels])
            values = gains * (self.recording[rows, start : start + count].T + self.dc)
            if self.dtype == "int16":
                values = np.clip(np.rint(values / self.scale), -32768, 32767)
            out[done : done + count] = values
            done += count
        dead = [channel - first_channel for channel in channels if channel in self.nan_channels]
        if dead:
            out[:, dead] = np.nan
        return out

    def amplitude(self, channel: int, first: int, lines: int, nfft: int, hop: int) -> NDArray[np.float64]:
        """Return A of `lines` lines of one channel from sample `first` on, [line, bin], unit/√Hz."""
        return self.amplitudes(channel, channel, first, lines, nfft, hop)[:, 0]

    def amplitudes(
        self, first_channel: int, last_channel: int, first: int, lines: int, nfft: int, hop: int
    ) -> NDArray[np.float64]:
        """Return A of an inclusive channel range, [line, channel, bin], unit/√Hz: SciPy in float64."""
        # Half of what there is to import; suites on outages ask for no amplitude.
        from scipy.signal import spectrogram
        from scipy.signal.windows import hann

        samples = self.window(first, (lines - 1) * hop + nfft, first_channel, last_channel)
        _, _, power = spectrogram(
            samples.T.astype(np.float64) * self.scale,
            fs=float(self.fs),
            window=hann(nfft, sym=False),
            nperseg=nfft,
            noverlap=nfft - hop,
            detrend="constant",
            scaling="density",
            mode="psd",
        )
        amplitude: NDArray[np.float64] = np.sqrt(power.transpose(2, 0, 1))
        return amplitude


def band_level(amplitude: NDArray[np.float64], fs: Fraction, nfft: int) -> NDArray[np.float64]:
    """Return what a multichannel view draws of each channel, in the fibre's unit: B = sqrt(sum of P_k·fs/N)."""
    level: NDArray[np.float64] = np.sqrt((amplitude**2).sum(axis=-1) * float(fs) / nfft)
    return level


def decibel(amplitude: NDArray[Any]) -> NDArray[np.float64]:
    """Return 20·log10 of an amplitude; zero becomes -inf without a warning."""
    with np.errstate(divide="ignore"):
        level: NDArray[np.float64] = 20.0 * np.log10(amplitude.astype(np.float64))
    return level


def deviation_db(row: NDArray[Any], expected: NDArray[np.float64], first_bin: int) -> float:
    """Return the largest deviation in dB over the bins within 100 dB of the line's maximum, bin 0 excluded.

    `row` and `expected` hold the same bins, [bin] or [channel, bin], where each channel has a maximum of its own;
    `first_bin` is the number of the first one. A bin that is not finite in one of the two only deviates by infinity.
    """
    if row.shape != expected.shape:
        return float("inf")
    level, wanted = decibel(row), decibel(expected)
    counted = wanted >= np.nanmax(wanted, axis=-1, keepdims=True) - DYNAMIC_RANGE_DB
    if first_bin == 0:
        counted[..., 0] = False
    difference = np.abs(level[counted] - wanted[counted])
    return float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))


def lut_codes(amplitude: NDArray[Any], low_db: float, high_db: float) -> NDArray[np.int64]:
    """Return the colour table's index of each value: clamp(floor(256·(dB - lo)/(hi - lo)), 0, 255)."""
    scaled = np.floor(256.0 * (decibel(amplitude) - low_db) / (high_db - low_db))
    return np.clip(scaled, 0, 255).astype(np.int64)
