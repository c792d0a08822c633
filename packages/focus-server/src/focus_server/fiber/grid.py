"""The fibre's grid in time: when each sample is due and which samples a block holds, in exact integer arithmetic."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from focus_server.errors import FocusError

NANOSECONDS: Final = 1_000_000_000
BLOCKS_PER_SECOND: Final = 10
MAX_RATE: Final = 100_000
MAX_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class FiberGrid:
    """Sample n is taken at t0_ns + n * 10^9 * fs_den / fs_num ns since 1970 (UTC); a block is 100 ms of samples."""

    t0_ns: int
    fs_num: int
    fs_den: int

    def time_ns(self, sample: int) -> int:
        """Return when `sample` is taken, rounded up to a whole nanosecond."""
        return self.t0_ns - (-sample * NANOSECONDS * self.fs_den // self.fs_num)

    def first_sample(self, block: int) -> int:
        """Return the first sample of a block; the samples up to the next block's first one belong to it."""
        return block * self.fs_num // (BLOCKS_PER_SECOND * self.fs_den)

    def block_at(self, wall_ns: int) -> int:
        """Return the first block all of whose samples are taken at `wall_ns` or later, not before block 0."""
        block = max(0, (wall_ns - self.t0_ns) * BLOCKS_PER_SECOND // NANOSECONDS)
        while self.time_ns(self.first_sample(block)) < wall_ns:
            block += 1
        return block

    def due_ns(self, block: int) -> int:
        """Return when a block is complete: its last sample's period is over."""
        return self.time_ns(self.first_sample(block + 1))


def exact_rate(rate: Decimal) -> Fraction:
    """Return samples per second, such as 1999.976, as the exact number that the decimal says."""
    if not BLOCKS_PER_SECOND <= rate <= MAX_RATE:
        raise FocusError(
            f"A sampling rate of {rate} samples per second cannot be replayed; {BLOCKS_PER_SECOND} to {MAX_RATE} can."
        )
    if rate != round(rate, MAX_DECIMALS):
        raise FocusError(f"The sampling rate {rate} has more than {MAX_DECIMALS} decimals.")
    return Fraction(rate)
