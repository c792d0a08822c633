"""Gap-free: between the first and the last record of a stream none is missing."""

from typing import ClassVar

from fullspan.invariants.streaming.checker import Book, Checker
from fullspan.ledger.piece import Piece
from fullspan.ledger.runs import Runs

__all__ = ["GapFree"]


class GapFree(Checker):
    """Holds that the sequence numbers of each stream that a hop saw count by one without a hole.

    It needs no other hop to compare with; so it cannot see what is missing at either end. Numbers of unknown outcome,
    or refused, are no hole, nor are marked ones under best effort.
    """

    kind: ClassVar[str] = "gap-free"
    name: ClassVar[str] = "gap-free"
    words: ClassVar[str] = "missing in between"

    def take(self, piece: Piece) -> None:
        """Nothing to do: what was seen stands in the book."""

    def conclude(self, book: Book) -> None:
        """Look for holes."""
        for hop in self.hops:
            told = book.of(hop)
            for stream, runs in told.seen.items():
                self.checked[hop] += runs.count
                holes = runs.holes - (told.unknown.get(stream, Runs()) | told.refused.get(stream, Runs()))
                if self.guarantee.allows_marked_loss:
                    holes = holes - told.marked.get(stream, Runs())
                if holes:
                    first, last = int(holes.starts[0]), int(holes.ends[0])
                    keys = [book.streams.key(stream, number) for number in (first - 1, first, last, last + 1)]
                    upto = f" to {keys[2]}" if last > first else ""
                    detail = f"{keys[1]}{upto} is missing between {keys[0]} and {keys[3]} at hop {hop}"
                    witness = book.find(hop, [keys[0], keys[3]]) if self.details_missing(hop) else ()
                    self.blame(hop, holes.count, detail, witness)
