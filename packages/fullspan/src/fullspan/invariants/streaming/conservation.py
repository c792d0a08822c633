"""Conservation: what is added up at one hop is there, neither more nor less, at the next."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fullspan.invariants.streaming.checker import Book, Checker
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.piece import CODES, Piece
from fullspan.ledger.record import Outcome

__all__ = ["Conservation"]

HALF = 32


class Conservation(Checker):
    """Holds that the sums of a whole-number attribute are the same at all hops, stream by stream, or of all streams.

    Amounts are whole numbers of their smallest unit (a price of 0.1 as 10,000,000 of 1e-8), so sums are exact however
    long they grow. Records need not be the same: a candle conserves the volume of its trades. Whatever is of unknown
    outcome at the first hop may be in the later sums or not. Under at least once, what comes again is not added again.
    A sum may be wrong by `tolerance`. `n` counts amounts, violations count streams.
    """

    kind: ClassVar[str] = "conservation"
    name: ClassVar[str] = "conservation"
    words: ClassVar[str] = "sums that differ"

    def __init__(
        self,
        hops: Sequence[str],
        attribute: str,
        guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
        minimum: int = 1,
        tolerance: int = 0,
        by_stream: bool = True,
    ) -> None:
        super().__init__(hops, guarantee, minimum)
        if len(self.hops) == 1:
            raise ValueError("conservation needs a second hop to compare with")
        self._attribute = attribute
        self._tolerance = tolerance
        self._by_stream = by_stream
        self._sums: dict[str, dict[int, int]] = {hop: {} for hop in self.hops}
        self._slack: dict[int, tuple[int, int]] = {}

    def take(self, piece: Piece) -> None:
        """Add up."""
        amounts, told = piece.attribute(self._attribute)
        repeats = self.guarantee.allows_repeats
        added = told & (piece.first if repeats else piece.was_seen)
        self.checked[piece.hop] += int(added.sum())
        sums = self._sums[piece.hop]
        for stream, total in self._totals(piece, amounts, added):
            sums[stream] = sums.get(stream, 0) + total
        unsure = told & (piece.outcome == CODES[Outcome.UNKNOWN])
        if piece.hop == self.hops[0] and unsure.any():
            for stream, amount in zip(piece.stream[unsure].tolist(), amounts[unsure].tolist(), strict=True):
                at = stream if self._by_stream else 0
                low, high = self._slack.get(at, (0, 0))
                self._slack[at] = (low + min(0, amount), high + max(0, amount))

    def _totals(self, piece: Piece, amounts: NDArray[np.int64], added: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Return exact sums; 64 bits can overflow, so the two halves of the amounts are added apart."""
        if not self._by_stream:
            kept = amounts[added]
            return [(0, (int((kept >> HALF).sum()) << HALF) + int((kept & (2**HALF - 1)).sum()))] if kept.size else []
        order, begins = piece.by_stream
        kept = np.where(added, amounts, 0)[order]
        high, low = np.add.reduceat(kept >> HALF, begins), np.add.reduceat(kept & (2**HALF - 1), begins)
        any_added = np.add.reduceat(added[order].astype(np.int64), begins)
        streams = piece.stream[order[begins]]
        rows = zip(streams.tolist(), high.tolist(), low.tolist(), any_added.tolist(), strict=True)
        return [(stream, (above << HALF) + below) for stream, above, below, count in rows if count]

    def conclude(self, book: Book) -> None:
        """Compare each hop with the one before."""
        for before, hop in zip(self.hops, self.hops[1:], strict=False):
            for stream in sorted(self._sums[before].keys() | self._sums[hop].keys()):
                had, has = self._sums[before].get(stream, 0), self._sums[hop].get(stream, 0)
                low, high = self._slack.get(stream, (0, 0)) if before == self.hops[0] else (0, 0)
                if had + low - self._tolerance <= has <= had + high + self._tolerance:
                    continue
                of = f"of {book.streams.names[stream] or 'the records'}" if self._by_stream else "of all streams"
                slack = f", of which {low:+,} to {high:+,} is unknown" if (low, high) != (0, 0) else ""
                detail = f"the sum {of} is {has:,} at hop {hop} and {had:,} at hop {before}{slack}"
                self.blame(hop, 1, detail)
