"""Freshness: no record was seen later than its limit."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fullspan.invariants.streaming.checker import Book, Checker, told_key
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.piece import Piece
from fullspan.verdict import Verdict

__all__ = ["Freshness"]


class Freshness(Checker):
    """Holds that each record was first seen at most `late_after_ns` after it was due, ns: at every hop, or by hop.

    Records that nobody gave a due time are not checked. One that was there at a moment nobody knows (`not_before_ns`),
    before or after its limit, leaves the finding inconclusive.
    """

    kind: ClassVar[str] = "freshness"
    name: ClassVar[str] = "freshness"
    words: ClassVar[str] = "late"

    def __init__(
        self,
        hops: Sequence[str],
        late_after_ns: int | Mapping[str, int],
        guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
        minimum: int = 1,
    ) -> None:
        super().__init__(hops, guarantee, minimum)
        by_hop = late_after_ns if isinstance(late_after_ns, Mapping) else dict.fromkeys(self.hops, late_after_ns)
        if lacking := [hop for hop in self.hops if hop not in by_hop]:
            raise ValueError(f"freshness has no limit for hop {lacking[0]}")
        self._limits = dict(by_hop)
        self._undecided = dict.fromkeys(self.hops, 0)

    def take(self, piece: Piece) -> None:
        """Compare each first sight with when the record was due."""
        limit = self._limits[piece.hop]
        judged = piece.first & (piece.event_ns != 0)
        late = judged & (piece.seen_wall_ns - piece.event_ns > limit)
        unsure = self._unsure(piece, late, limit) if late.any() else late
        self._undecided[piece.hop] += int(unsure.sum())
        self.checked[piece.hop] += int(judged.sum() - unsure.sum())
        late = late & ~unsure
        if late.any():
            place = int(np.flatnonzero(late)[0])
            by_ms = (int(piece.seen_wall_ns[place]) - int(piece.event_ns[place])) / 1e6
            detail = f"{told_key(piece, place)} was seen {by_ms:.0f} ms after it was due at hop {piece.hop}"
            told = f"{detail}, allowed are {limit / 1e6:.0f}"
            self.blame(piece.hop, int(late.sum()), told, piece.observations([place]))

    def _unsure(self, piece: Piece, late: NDArray[np.bool_], limit: int) -> NDArray[np.bool_]:
        absent_until, told = piece.attribute("not_before_ns")
        return late & told & (absent_until - piece.event_ns <= limit)

    @property
    def verdict(self) -> Verdict:
        """Pass, unless of some record nobody can tell."""
        return Verdict.INCONCLUSIVE if any(self._undecided.values()) else Verdict.PASS

    def conclude(self, book: Book) -> None:
        """Tell what is undecided."""
        told = ", ".join(f"{count:,} at {hop}" for hop, count in self._undecided.items() if count)
        if told:
            self.remarks.append(f"undecided for {told}: they were first looked at after their limit")
