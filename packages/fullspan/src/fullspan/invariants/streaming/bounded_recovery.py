"""Bounded recovery: some time after a fault has healed everything is fresh again, and stays so."""

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from fullspan.faults import Evidence
from fullspan.invariants.streaming.checker import Book, Checker, told_key
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.piece import Piece
from fullspan.verdict import Verdict

__all__ = ["BoundedRecovery"]

FOREVER: Final = np.iinfo(np.int64).max


class BoundedRecovery(Checker):
    """Holds that from `within_ns` after each fault was healed until the next one is injected every record is fresh.

    Fresh is a record first seen at most `fresh_ns` after it was due, ns. A hop that saw no record in that time cannot
    tell, and so cannot one between two faults that follow each other sooner than `within_ns`: inconclusive. `n` counts
    records seen after a recovery was due, violations those that were still old.
    """

    kind: ClassVar[str] = "bounded-recovery"
    name: ClassVar[str] = "bounded recovery"
    words: ClassVar[str] = "still old"

    def __init__(
        self,
        hops: Sequence[str],
        faults: Sequence[Evidence],
        within_ns: int,
        fresh_ns: int,
        guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
        minimum: int = 1,
    ) -> None:
        super().__init__(hops, guarantee, minimum)
        if not faults:
            raise ValueError("bounded recovery needs at least one fault to recover from")
        self._within_ns, self._fresh_ns = within_ns, fresh_ns
        self._faults = sorted(faults, key=lambda fault: fault.healed_mono_ns)
        self._spans = [self._span(fault) for fault in self._faults]
        self._looked = {hop: [0] * len(self._spans) for hop in self.hops}

    def _span(self, fault: Evidence) -> tuple[int, int]:
        """Return from when until when everything must be fresh after a fault, CLOCK_MONOTONIC, ns."""
        due = fault.healed_mono_ns + self._within_ns
        later = [other.injected_mono_ns for other in self._faults if other is not fault]
        # A fault that was still on when this one healed leaves nothing to recover to before it is lifted itself.
        overlaps = any(
            other.injected_mono_ns <= due and other.healed_mono_ns > fault.healed_mono_ns
            for other in self._faults
            if other is not fault
        )
        return (due, due) if overlaps else (due, min((at for at in later if at > due), default=FOREVER))

    def take(self, piece: Piece) -> None:
        """Look at what was first seen when recovery was due."""
        judged = piece.first & (piece.event_ns != 0)
        old = piece.seen_wall_ns - piece.event_ns > self._fresh_ns
        for number, (begin, end) in enumerate(self._spans):
            inside = judged & (piece.seen_ns >= begin) & (piece.seen_ns < end)
            count = int(inside.sum())
            self._looked[piece.hop][number] += count
            self.checked[piece.hop] += count
            if count and (inside & old).any():
                self._blame(piece, inside & old, number)

    def _blame(self, piece: Piece, wrong: NDArray[np.bool_], number: int) -> None:
        place, fault = int(np.flatnonzero(wrong)[0]), self._faults[number]
        after_s = (int(piece.seen_ns[place]) - fault.healed_mono_ns) / 1e9
        age_s = (int(piece.seen_wall_ns[place]) - int(piece.event_ns[place])) / 1e9
        detail = (
            f"{told_key(piece, place)} was {age_s:.2f} s old at hop {piece.hop}, {after_s:.2f} s after {fault.kind} of "
            f"{fault.target} was healed; from {self._within_ns / 1e9:g} s on at most {self._fresh_ns / 1e9:g} s are"
            " right"
        )
        self.blame(piece.hop, int(wrong.sum()), detail, piece.observations([place]))

    def conclude(self, book: Book) -> None:
        """Tell after which faults nobody looked."""
        for number, fault in enumerate(self._faults):
            blind = [hop for hop in self.hops if not self._looked[hop][number]]
            if blind:
                self.remarks.append(
                    f"no record was seen at {', '.join(blind)} when {fault.kind} of {fault.target} "
                    "should have been recovered from"
                )

    @property
    def verdict(self) -> Verdict:
        """Pass, unless some hop saw nothing after some fault."""
        return Verdict.INCONCLUSIVE if self.remarks else Verdict.PASS
