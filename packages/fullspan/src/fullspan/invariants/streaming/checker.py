"""What all streaming checkers share: pieces come in, in the order in which they were seen, and a finding comes out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fullspan.invariants.finding import Finding
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.piece import Piece, Streams
from fullspan.ledger.reconciliation import WITNESS_LIMIT
from fullspan.ledger.record import Observation
from fullspan.ledger.sightings import Sightings
from fullspan.verdict import Verdict

__all__ = ["Book", "Checker", "Find", "told_key"]


Find: TypeAlias = Callable[[str, Sequence[str]], Sequence[Observation]]


class Book:
    """What a sweep knows of each hop: its sightings, by hop, and the names of the streams.

    `find` looks up what a hop saw of some keys, for a witness; without it there is none of what is not there any more.
    """

    def __init__(self, find: Find | None = None) -> None:
        self.streams = Streams()
        self.hops: dict[str, Sightings] = {}
        self._find = find

    def of(self, hop: str) -> Sightings:
        """Return a hop's sightings; empty ones for a hop that saw nothing."""
        known = self.hops.get(hop)
        if known is None:
            known = self.hops[hop] = Sightings(hop)
        return known

    def find(self, hop: str, keys: Sequence[str]) -> Sequence[Observation]:
        """Return what a hop saw of at most three keys, at most five observations."""
        return () if self._find is None else self._find(hop, keys)[:WITNESS_LIMIT]


class Checker(ABC):
    """Base of the streaming checkers: holds one invariant at the hops named, which are in stage order.

    Memory does not grow with the number of records. `minimum` records must have been checked at every hop, else the
    finding is inconclusive. Records are told apart by stream and sequence. A checker is used for one sweep.
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    words: ClassVar[str]  # of what is counted, as in "0 missing"

    def __init__(self, hops: Sequence[str], guarantee: Guarantee = Guarantee.EXACTLY_ONCE, minimum: int = 1) -> None:
        if isinstance(hops, str) or not hops or len(set(hops)) < len(hops):
            raise ValueError(f"{self.name} is held at a sequence of different hops in stage order, not {hops!r}")
        self.hops = tuple(hops)
        self.guarantee = guarantee
        self.minimum = minimum
        self.wrong: dict[str, int] = dict.fromkeys(self.hops, 0)
        self.checked: dict[str, int] = dict.fromkeys(self.hops, 0)
        self.remarks: list[str] = []
        self._detail: dict[str, str] = {}
        self._witness: dict[str, list[Observation]] = {}

    @abstractmethod
    def take(self, piece: Piece) -> None:
        """Take in a piece of one of the hops; `piece.first` is set."""

    def conclude(self, book: Book) -> None:  # noqa: B027 - most know all by then
        """Find what shows only at the end."""

    def finding(self, book: Book) -> Finding:
        """Return what the whole stream comes to; called once, after the last piece."""
        self.conclude(book)
        n = sum(self.checked.values())
        bad = [hop for hop in self.hops if self.wrong[hop]]
        remarks = "".join(f"; {remark}" for remark in self.remarks)
        promise = self.guarantee.value
        if bad:
            told = ", ".join(f"{self.wrong[hop]:,} {self.words} of {self.checked[hop]:,} at {hop}" for hop in bad)
            detail = self._detail.get(bad[0], "")
            summary = f"{told}; first bad hop {bad[0]}: {detail}{remarks}"
            witness = tuple(self._witness.get(bad[0], ()))[:WITNESS_LIMIT]
            return Finding(self.name, Verdict.FAIL, summary, n, witness, bad[0], guarantee=promise)
        few = {hop: count for hop, count in self.checked.items() if count < self.minimum}
        if few:
            told = ", ".join(f"{count:,} at {hop} of at least {self.minimum:,}" for hop, count in few.items())
            summary = f"too few records to tell: {told}{remarks}"
            return Finding(self.name, Verdict.INCONCLUSIVE, summary, n, guarantee=promise)
        told = ", ".join(f"{count:,} at {hop}" for hop, count in self.checked.items())
        return Finding(self.name, self.verdict, f"0 {self.words} of {told}{remarks}", n, guarantee=promise)

    @property
    def verdict(self) -> Verdict:
        """Return what it comes to when nothing is wrong: pass, unless a checker could not tell of some."""
        return Verdict.PASS

    def blame(self, hop: str, count: int, detail: str, witness: Sequence[Observation] = ()) -> None:
        """Count what is wrong at a hop; the first detail and its witness are kept."""
        self.wrong[hop] += count
        if hop not in self._detail:
            self._detail[hop] = detail
            self._witness[hop] = list(witness)[:WITNESS_LIMIT]

    def show(self, hop: str, witness: Sequence[Observation]) -> None:
        """Use a better witness of what was blamed first, when there is one."""
        if witness:
            self._witness[hop] = list(witness)[:WITNESS_LIMIT]

    def details_missing(self, hop: str) -> bool:
        """Tell whether nothing was said yet of what is wrong at a hop, so that a detail is worth its time."""
        return hop not in self._detail


def told_key(piece: Piece, place: int | NDArray[np.int64]) -> str:
    """Return the key of the record in a row."""
    at = int(place)
    return piece.streams.key(int(piece.stream[at]), int(piece.sequence[at]))
