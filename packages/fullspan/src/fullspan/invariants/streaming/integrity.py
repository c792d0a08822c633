"""Integrity: every record carries the content that it should."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fullspan.invariants.streaming.checker import Book, Checker, told_key
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.piece import Piece
from fullspan.ledger.window import SLOTS, Window

__all__ = ["Integrity"]


class Integrity(Checker):
    """Holds that each hop saw the content that the hop before it saw first, and deviates no further than tolerated.

    `tolerance` is the largest deviation that is right, in the unit of the observations' `deviation`: at every hop, or
    by hop; one that is no number is wrong. Digests are compared within a window of the newest records of each stream
    (`slots` places a hop, shared by the streams), whichever hop sees a record sooner; what was never compared counts
    as unchecked. Each comparison counts, and each one that fails.
    """

    kind: ClassVar[str] = "integrity"
    name: ClassVar[str] = "integrity"
    words: ClassVar[str] = "altered"

    def __init__(
        self,
        hops: Sequence[str],
        tolerance: float | Mapping[str, float] | None = None,
        guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
        minimum: int = 1,
        slots: int = SLOTS,
    ) -> None:
        super().__init__(hops, guarantee, minimum)
        if slots < 1 or slots & (slots - 1):
            raise ValueError(f"a window has a power of two of places, not {slots:,}")
        by_hop = tolerance if isinstance(tolerance, Mapping) else dict.fromkeys(self.hops, tolerance)
        self._tolerance = {hop: limit for hop, limit in by_hop.items() if limit is not None}
        self._windows = {hop: Window(slots) for hop in self.hops}
        self._before = {after: before for before, after in pairwise(self.hops)}
        self._after = dict(pairwise(self.hops))
        self._altered: dict[str, str] = {}
        if self.hops[0] not in self._tolerance:
            del self.checked[self.hops[0]]  # its content is what the others are compared with

    def take(self, piece: Piece) -> None:
        """Compare with the hop before, and with what the hop after has seen already."""
        limit = self._tolerance.get(piece.hop)
        if limit is not None:
            measured = piece.was_seen & piece.has_deviation
            self.checked[piece.hop] += int(measured.sum())
            # This way round, so that a deviation that is no number is wrong too.
            far = measured & ~(piece.deviation <= limit)
            if far.any():
                self._blame_deviation(piece, far, limit)
        told = np.flatnonzero(piece.was_seen & piece.has_digest)
        if told.size and len(self.hops) > 1:
            self._compare(piece, told)

    def _compare(self, piece: Piece, rows: NDArray[np.int64]) -> None:
        before, after = self._before.get(piece.hop), self._after.get(piece.hop)
        stream, sequence, digest = piece.stream[rows], piece.sequence[rows], piece.digest[rows]
        if before is not None:
            wanted, known = self._windows[before].get(stream, sequence)
            self.checked[piece.hop] += int(known.sum())
            self._blame(piece, piece.hop, rows, known & (wanted != digest))
        first = piece.first[rows]
        if after is not None:
            there, known = self._windows[after].get(stream, sequence)
            known &= first
            self.checked[after] += int(known.sum())
            self._blame(piece, after, rows, known & (there != digest))
        self._windows[piece.hop].put(stream[first], sequence[first], digest[first])

    def _blame(self, piece: Piece, hop: str, rows: NDArray[np.int64], wrong: NDArray[np.bool_]) -> None:
        if wrong.any():
            place = int(rows[np.flatnonzero(wrong)[0]])
            key = told_key(piece, place)
            detail = f"{key} was altered at hop {hop}: its digest is not the one seen at the hop before"
            self.blame(hop, int(wrong.sum()), detail, piece.observations([place]))
            self._altered.setdefault(hop, key)

    def _blame_deviation(self, piece: Piece, far: NDArray[np.bool_], limit: float) -> None:
        place = int(np.flatnonzero(far)[0])
        told = f"it deviates by {float(piece.deviation[place]):g}, allowed are {limit:g}"
        detail = f"{told_key(piece, place)} was altered at hop {piece.hop}: {told}"
        self.blame(piece.hop, int(far.sum()), detail, piece.observations([place]))
        self._altered.setdefault(piece.hop, told_key(piece, place))

    def conclude(self, book: Book) -> None:
        """Look up what the hop before saw, for the witness."""
        for hop, key in self._altered.items():
            before = self._before.get(hop)
            self.show(hop, [*(book.find(before, [key]) if before else ()), *book.find(hop, [key])])
