"""No duplicate: no record was seen twice at a hop."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from fullspan.invariants.streaming.checker import Book, Checker, told_key
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.piece import Piece

__all__ = ["NoDuplicate"]


class NoDuplicate(Checker):
    """Holds that no record was seen again; under at least once that is counted, and right."""

    kind: ClassVar[str] = "no-duplicate"
    name: ClassVar[str] = "no duplicate"
    words: ClassVar[str] = "surplus"

    def __init__(self, hops: Sequence[str], guarantee: Guarantee = Guarantee.EXACTLY_ONCE, minimum: int = 1) -> None:
        super().__init__(hops, guarantee, minimum)
        self._again: dict[str, str] = {}

    def take(self, piece: Piece) -> None:
        """Look for the first record that came again."""
        if not self.guarantee.allows_repeats and self.details_missing(piece.hop):
            again = piece.was_seen & ~piece.first
            if again.any():
                place = int(np.flatnonzero(again)[0])
                key = told_key(piece, place)
                self.blame(piece.hop, 0, f"{key} was seen again at hop {piece.hop}", piece.observations([place]))
                self._again[piece.hop] = key

    def conclude(self, book: Book) -> None:
        """Count."""
        for hop in self.hops:
            self.checked[hop] = book.of(hop).count
            surplus = book.of(hop).surplus
            if self.guarantee.allows_repeats and surplus:
                self.remarks.append(f"{surplus:,} seen again at {hop}, as {self.guarantee} allows")
            elif surplus:
                self.wrong[hop] = surplus
                self.show(hop, book.find(hop, [self._again[hop]]))
