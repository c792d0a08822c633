"""Monotonic watermark: what a stream says is complete up to some time stays complete, and the time never goes back."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fullspan.invariants.streaming.checker import Checker, told_key
from fullspan.invariants.streaming.summit import LOWEST, Summit
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.piece import Piece

__all__ = ["MonotonicWatermark"]


class MonotonicWatermark(Checker):
    """Holds two things of the whole-number attribute that carries a stream's watermark, UTC, ns (or any other count).

    It never falls, in the order in which its carriers were seen; and no record comes for the first time that was due
    before it. Rows without the attribute are held to the second only. Every row counts as checked that has a watermark
    or comes after one.
    """

    kind: ClassVar[str] = "watermark"
    name: ClassVar[str] = "monotonic watermark"
    words: ClassVar[str] = "against the watermark"

    def __init__(
        self,
        hops: Sequence[str],
        attribute: str = "watermark_ns",
        guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
        minimum: int = 1,
    ) -> None:
        super().__init__(hops, guarantee, minimum)
        self._attribute = attribute
        self._summits = {hop: Summit() for hop in self.hops}

    def take(self, piece: Piece) -> None:
        """Compare each row with the highest watermark of its stream before it."""
        marks, marked = piece.attribute(self._attribute)
        marked = marked & piece.was_seen
        above = self._summits[piece.hop].before(piece, marks, marked)
        after = above != LOWEST
        self.checked[piece.hop] += int((marked | (after & piece.first)).sum())
        fell = marked & after & (marks < above)
        behind = piece.first & after & (piece.event_ns != 0) & (piece.event_ns < above) & ~fell
        self._blame(piece, fell, above, "brought the watermark back to", marks)
        self._blame(piece, behind, above, "came for the first time though it was due at", piece.event_ns)

    def _blame(
        self, piece: Piece, wrong: NDArray[np.bool_], above: NDArray[np.int64], how: str, values: NDArray[np.int64]
    ) -> None:
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            detail = (
                f"{told_key(piece, place)} {how} {int(values[place])}, when it stood at {int(above[place])}, at hop "
            )
            self.blame(piece.hop, int(wrong.sum()), detail + piece.hop, piece.observations([place]))
