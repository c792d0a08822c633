"""The published replay formula: every sample of the replayed fibre as a pure function of its channel and number.

Sample n >= 0 of channel c >= 1, from a recording rec of C channels and L samples, with l = n div L and
t = (c - 1) div C, is g * (rec[(c - 1) mod C, n mod L] + dc), where g = 1 + h/4 and h in [0, 1) is a 32-bit hash of
(seed, t, l). So no two tiles and no two loops are equal: a shifted, stale or swapped line shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from focus_server.errors import FocusError
from focus_server.fiber.recording import Recording

Dtype = Literal["int16", "float32"]

FORMULA: Final = (
    "sample n >= 0 of channel c >= 1: l = n div L, t = (c - 1) div C,"
    " x = (1 + h/4) * (rec[(c - 1) mod C, n mod L] + dc) in float64,"
    " h = mix32(mix32(mix32(seed) xor t) xor l) / 2^32;"
    " mix32(u): u ^= u >> 16; u = u * 0x7FEB352D mod 2^32; u ^= u >> 15; u = u * 0x846CA68B mod 2^32; u ^= u >> 16;"
    " int16: round half to even of x / scale; float32: x rounded to float32, NaN in nan_channels"
)

INT16_MAX: Final = 32767
MAX_GAIN: Final = Decimal("1.25")
MASK: Final = 0xFFFFFFFF


def mix32(value: int) -> int:
    """Mix the bits of a 32-bit number so that each output bit depends on every input bit."""
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & MASK
    value = ((value ^ (value >> 15)) * 0x846CA68B) & MASK
    return value ^ (value >> 16)


def choose_scale(largest: float) -> str:
    """Return the smallest scale of three significant digits with which 1.25 * largest still fits into int16."""
    if largest == 0:
        return "1"
    return str(Context(prec=3, rounding=ROUND_CEILING).divide(MAX_GAIN * Decimal(largest), Decimal(INT16_MAX)))


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What is asked of a replay: `dc` in the recording's unit, `nan_channels` are channel numbers from 1 on."""

    channels: int
    seed: int = 1
    dtype: Dtype = "int16"
    dc: float = 0.0
    nan_channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise FocusError(f"A fibre of {self.channels} channels cannot be replayed; ask for at least 1.")
        if not 0 <= self.seed <= MASK:
            raise FocusError(f"The seed {self.seed} is not a 32-bit number; choose one from 0 to {MASK}.")
        if not np.isfinite(self.dc):
            raise FocusError(f"The offset {self.dc} is not a finite number.")
        if self.nan_channels and self.dtype != "float32":
            raise FocusError("NaN channels need --dtype float32: int16 has no NaN.")
        beyond = [channel for channel in self.nan_channels if not 1 <= channel <= self.channels]
        if beyond:
            raise FocusError(f"NaN channel {beyond[0]} is not one of the channels 1 to {self.channels}.")


class ReplayFormula:
    """The formula bound to one recording; `scale` is the decimal string that turns counts into the physical unit."""

    def __init__(self, recording: Recording, options: ReplayOptions) -> None:
        self.recording = recording
        self.options = options
        self._source = recording.values + options.dc if options.dc else recording.values
        self.scale = "1" if options.dtype == "float32" else choose_scale(float(np.abs(self._source).max()))
        self._divisor = float(self.scale)
        self._seed = mix32(options.seed)
        self._nan_columns = np.array(options.nan_channels, dtype=np.intp) - 1
        self._work = np.empty((0, recording.channels))

    def gain(self, tile: int, loop: int) -> float:
        """Return g of one tile (channels) and one loop (time) of the recording, 1 <= g < 1.25."""
        return 1.0 + 0.25 * (mix32(mix32(self._seed ^ tile) ^ loop) / 2**32)

    def samples(self, first: int, count: int) -> NDArray[Any]:
        """Return samples first .. first + count - 1 of all channels as sent, [time, channel], little-endian."""
        dtype = np.dtype("<i2" if self.options.dtype == "int16" else "<f4")
        out = np.empty((count, self.options.channels), dtype)
        length = self.recording.samples
        row = 0
        while row < count:
            loop, start = divmod(first + row, length)
            rows = min(count - row, length - start)
            self._fill(out[row : row + rows], loop, start)
            row += rows
        if self._nan_columns.size:
            out[:, self._nan_columns] = np.nan
        return out

    def _fill(self, out: NDArray[Any], loop: int, start: int) -> None:
        """Fill rows that all lie in one loop of the recording, tile by tile through one buffer that stays in cache."""
        rows, width = len(out), self.recording.channels
        if len(self._work) < rows:
            self._work = np.empty((rows, width))
        for tile, left in enumerate(range(0, self.options.channels, width)):
            columns = min(width, self.options.channels - left)
            work = self._work[:rows, :columns]
            np.multiply(self._source[start : start + rows, :columns], self.gain(tile, loop), out=work)
            if self.options.dtype == "int16":
                work /= self._divisor
                np.rint(work, out=work)
            out[:, left : left + columns] = work

    def describe(self) -> dict[str, Any]:
        """Return the formula and all its parameters, from which anybody can compute every sample."""
        recording, options = self.recording, self.options
        return {
            "kind": "replay",
            "formula": FORMULA,
            "file": recording.name,
            "sha256": recording.sha256,
            "C": recording.channels,
            "L": recording.samples,
            "seed": options.seed,
            "dtype": options.dtype,
            "scale": self.scale,
            "dc": options.dc,
            "nan_channels": list(options.nan_channels),
            "origin": recording.info.origin,
            "license": recording.info.license,
        }


def parse_channels(text: str) -> tuple[int, ...]:
    """Read a list such as "7,9-12" as channel numbers, sorted, each once."""
    numbers: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        numbers.update(_parse_range(part))
    return tuple(sorted(numbers))


def _parse_range(part: str) -> Sequence[int]:
    first, dash, last = part.partition("-")
    try:
        low = int(first)
        high = int(last) if dash else low
    except ValueError:
        raise FocusError(f"{part!r} is not a channel or a range of channels; write for example 7,9-12.") from None
    if not 1 <= low <= high <= MASK:
        raise FocusError(f"The range of channels {part!r} is empty or begins below 1.")
    return range(low, high + 1)
