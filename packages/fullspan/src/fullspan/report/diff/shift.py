"""By how much two samples differ, with an interval that does not take neighbours in time for independent.

Latencies of a stream come in rows: what delays one record delays the next ones. So each sample is cut into consecutive
batches, and whole batches are drawn (a block bootstrap); the interval is that of the ratio of their medians.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL", "Shift", "Way", "shift_of"]

LEVEL: Final = 0.95
MATTERS: Final = 0.05
"""A change of the median by less is none that anybody would act on."""
MOST_BATCHES: Final = 40
FEWEST_BATCHES: Final = 8
FEWEST_IN_BATCH: Final = 5
DRAWS: Final = 4_000
SEED: Final = 20_260


class Way(StrEnum):
    """In which way a time differs, as far as it can be told."""

    SLOWER = "slower"
    FASTER = "faster"
    ALIKE = "not told apart"
    FEW = "too few to tell"


@dataclass(frozen=True, slots=True)
class Shift:
    """The medians of two samples, in their unit, and the interval of B's in terms of A's: 0.1 is a tenth more."""

    before: float
    after: float
    low: float
    high: float
    n_before: int
    n_after: int
    level: float

    @property
    def change(self) -> float:
        """Return how much larger B's median is than A's, in terms of A's."""
        return self.after / self.before - 1 if self.before else 0.0

    @property
    def way(self) -> Way:
        """Return what can be told: a difference is one only when all of its interval matters."""
        if not np.isfinite(self.low) or not np.isfinite(self.high):
            return Way.FEW
        if self.low > MATTERS:
            return Way.SLOWER
        return Way.FASTER if self.high < -MATTERS / (1 + MATTERS) else Way.ALIKE


def shift_of(before: NDArray[np.float64], after: NDArray[np.float64], comparisons: int = 1) -> Shift:
    """Compare two samples in the order in which they were measured.

    Of several `comparisons` each is made at a stricter level (Bonferroni), so that all of them together hold at 95 %.
    With less than 8 batches of 5 values in one of them the interval is not a number.
    """
    level = 1 - (1 - LEVEL) / max(1, comparisons)
    medians = [_batch_medians(sample) for sample in (before, after)]
    middle, later = (float(np.median(sample)) if sample.size else float("nan") for sample in (before, after))
    low = high = float("nan")
    if min(map(len, medians)) >= FEWEST_BATCHES and middle > 0:
        draw = np.random.default_rng(SEED)
        drawn = [np.median(draw.choice(one, (DRAWS, len(one))), axis=1) for one in medians]
        ratio = drawn[1] / np.maximum(drawn[0], np.finfo(float).tiny) - 1
        low, high = (float(value) for value in np.quantile(ratio, [(1 - level) / 2, (1 + level) / 2]))
    return Shift(middle, later, low, high, before.size, after.size, level)


def _batch_medians(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    batches = min(MOST_BATCHES, sample.size // FEWEST_IN_BATCH)
    if not batches:
        return np.empty(0)
    return np.array([float(np.median(batch)) for batch in np.array_split(sample, batches)])
