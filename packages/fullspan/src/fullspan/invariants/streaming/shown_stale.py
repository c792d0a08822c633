"""Stale shown as stale: a view that shows old data says so, and one that shows new data does not."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fullspan.invariants.streaming.checker import Checker, told_key
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.piece import Piece

__all__ = ["ShownStale"]


class ShownStale(Checker):
    """Holds a view to its word: the true-false attribute `stale` of each look must fit the age of what it showed.

    Each observation is one look: when it was, and when the newest record it showed was due. Older than `stale_after_ns`
    + `grace_ns` must be shown as stale, younger than `stale_after_ns` - `grace_ns` must not, ns; between them both are
    right. A look without the attribute claims to be fresh; one without a due time is not checked.
    """

    kind: ClassVar[str] = "shown-stale"
    name: ClassVar[str] = "stale shown as stale"
    words: ClassVar[str] = "shown as what they are not"

    def __init__(
        self,
        hops: Sequence[str],
        stale_after_ns: int,
        grace_ns: int = 0,
        guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
        minimum: int = 1,
        attribute: str = "stale",
    ) -> None:
        super().__init__(hops, guarantee, minimum)
        if not 0 <= grace_ns <= stale_after_ns:
            raise ValueError(f"a grace of {grace_ns} ns is not between 0 and the limit of {stale_after_ns} ns")
        self._stale_after_ns, self._grace_ns, self._attribute = stale_after_ns, grace_ns, attribute

    def take(self, piece: Piece) -> None:
        """Compare what each look claims with the age of what it showed."""
        looked = piece.was_seen & (piece.event_ns != 0)
        self.checked[piece.hop] += int(looked.sum())
        claims, told = piece.attribute(self._attribute)
        stale = told & (claims != 0)
        age = piece.seen_wall_ns - piece.event_ns
        hidden = looked & ~stale & (age > self._stale_after_ns + self._grace_ns)
        slander = looked & stale & (age < self._stale_after_ns - self._grace_ns)
        self._blame(piece, hidden, age, "was shown as fresh")
        self._blame(piece, slander, age, "was shown as stale")

    def _blame(self, piece: Piece, wrong: NDArray[np.bool_], age: NDArray[np.int64], how: str) -> None:
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            limit = f"stale is what is older than {self._stale_after_ns / 1e6:g} ms"
            detail = (
                f"{told_key(piece, place)} {how} {int(age[place]) / 1e6:.0f} ms after it was due at hop {piece.hop}"
            )
            self.blame(piece.hop, int(wrong.sum()), f"{detail}; {limit}", piece.observations([place]))
