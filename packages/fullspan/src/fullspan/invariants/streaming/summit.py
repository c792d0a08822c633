"""The highest value of each stream so far: what order and watermarks are compared with."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fullspan.ledger.piece import Piece

__all__ = ["LOWEST", "Summit"]

LOWEST: Final = np.iinfo(np.int64).min
WIDEST: Final = 2**62


class Summit:
    """Follows the highest value of every stream over any number of pieces; memory is 8 bytes a stream."""

    def __init__(self) -> None:
        self._highest = np.full(16, LOWEST, np.int64)

    def before(self, piece: Piece, values: NDArray[np.int64], counts: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return for each of n rows the highest value of its stream before it, `LOWEST` where there was none.

        Only rows where `counts` is True raise it.
        """
        if len(piece.streams) > self._highest.size:
            more = np.full(2 * len(piece.streams), LOWEST, np.int64)
            more[: self._highest.size] = self._highest
            self._highest = more
        order, begins = piece.by_stream
        found = np.empty(len(piece), np.int64)
        ordered = np.where(counts, values, LOWEST)[order]
        streams = piece.stream[order[begins]]
        running = _running(ordered, begins)
        ends = np.concatenate((begins[1:], [len(order)])) - 1
        held = np.repeat(self._highest[streams], np.diff(np.concatenate((begins, [len(order)]))))
        earlier = np.empty_like(running)
        earlier[1:] = running[:-1]
        earlier[begins] = LOWEST
        found[order] = np.maximum(earlier, held)
        self._highest[streams] = np.maximum(self._highest[streams], running[ends])
        return found


def _running(values: NDArray[np.int64], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the running maximum of each segment."""
    counted = values[values != LOWEST]
    if not counted.size:
        return values.copy()
    low, width = int(counted.min()), int(counted.max()) - int(counted.min()) + 2
    if width * begins.size < WIDEST:
        # Every segment on a floor of its own, above all of the one before: then one pass does for all of them.
        floors = np.zeros(values.size, np.int64)
        floors[begins[1:]] = width
        floors = np.cumsum(floors)
        raised = np.where(values == LOWEST, 0, values - low + 1) + floors
        highest = np.maximum.accumulate(raised) - floors
        return np.where(highest == 0, LOWEST, highest + low - 1)
    running = np.empty_like(values)
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), values.size], strict=True):
        np.maximum.accumulate(values[begin:end], out=running[begin:end])
    return running
