"""Order: within a stream no record was first seen after a later one."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from fullspan.invariants.streaming.checker import Checker, told_key
from fullspan.invariants.streaming.summit import Summit
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.piece import Piece

__all__ = ["Order"]


class Order(Checker):
    """Holds that at each hop the records of a stream were first seen in the order of their sequence numbers.

    Streams keep their own order; between them there is none. What comes again is not out of order.
    """

    kind: ClassVar[str] = "order"
    name: ClassVar[str] = "order"
    words: ClassVar[str] = "out of order"

    def __init__(self, hops: Sequence[str], guarantee: Guarantee = Guarantee.EXACTLY_ONCE, minimum: int = 1) -> None:
        super().__init__(hops, guarantee, minimum)
        self._summits = {hop: Summit() for hop in self.hops}

    def take(self, piece: Piece) -> None:
        """Compare each first sight with the highest number of its stream before it."""
        self.checked[piece.hop] += int(piece.first.sum())
        above = self._summits[piece.hop].before(piece, piece.sequence, piece.first)
        late = piece.first & (piece.sequence < above)
        if late.any():
            place = int(np.flatnonzero(late)[0])
            ahead = piece.streams.key(int(piece.stream[place]), int(above[place]))
            detail = f"{told_key(piece, place)} was seen after {ahead} at hop {piece.hop}"
            self.blame(piece.hop, int(late.sum()), detail, piece.observations([place]))
