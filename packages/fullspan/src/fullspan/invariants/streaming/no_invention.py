"""No invention: nothing was seen that the source never sent."""

from typing import ClassVar

from fullspan.invariants.streaming.checker import Book, Checker
from fullspan.ledger.piece import Piece
from fullspan.ledger.runs import Runs

__all__ = ["NoInvention"]


class NoInvention(Checker):
    """Holds that every record a later hop saw was seen by the first one, or is of unknown outcome there.

    A record that the first hop was refused, and that is there all the same, is an invention too.
    """

    kind: ClassVar[str] = "no-invention"
    name: ClassVar[str] = "no invention"
    words: ClassVar[str] = "never sent"

    def take(self, piece: Piece) -> None:
        """Nothing to do: what was seen stands in the book."""

    def conclude(self, book: Book) -> None:
        """Compare what was seen."""
        source = book.of(self.hops[0])
        del self.checked[self.hops[0]]
        for hop in self.hops[1:]:
            for stream, runs in book.of(hop).seen.items():
                self.checked[hop] += runs.count
                sent = source.seen.get(stream, Runs()) | source.unknown.get(stream, Runs())
                invented = runs - sent
                if invented:
                    first = int(invented.starts[0])
                    key = book.streams.key(stream, first)
                    was = (
                        "refused" if source.refused.get(stream, Runs()) & Runs.spanning(first, first) else "never seen"
                    )
                    detail = f"{key} was {was} at hop {self.hops[0]} and yet seen at hop {hop}"
                    witness = book.find(hop, [key]) if self.details_missing(hop) else ()
                    self.blame(hop, invented.count, detail, witness)
