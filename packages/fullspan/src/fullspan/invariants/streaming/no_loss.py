"""No loss: every record that should pass a hop was seen there."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from fullspan.invariants.streaming.checker import Book, Checker
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.piece import Piece
from fullspan.ledger.runs import Runs

__all__ = ["NoLoss"]


class NoLoss(Checker):
    """Holds that whatever the first hop saw, every later one saw too; or, at all hops, what `expected` names.

    `expected` gives the first and the last sequence number of each stream, both included. What some hop said is unknown
    or refused is not missing after it, unless a later hop saw it after all.
    """

    kind: ClassVar[str] = "no-loss"
    name: ClassVar[str] = "no loss"
    words: ClassVar[str] = "missing"

    def __init__(
        self,
        hops: Sequence[str],
        guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
        minimum: int = 1,
        expected: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(hops, guarantee, minimum)
        if expected is None and len(self.hops) == 1:
            raise ValueError("no loss needs a second hop to compare with, or `expected`")
        self._expected = expected

    def take(self, piece: Piece) -> None:
        """Nothing to do: what was seen stands in the book."""

    def conclude(self, book: Book) -> None:
        """Compare what was seen."""
        expected = self._expected
        unknown = book.of(self.hops[0]).unknown
        if expected is None:
            due = {stream: Runs() for stream in unknown} | book.of(self.hops[0]).seen
            del self.checked[self.hops[0]]
        else:
            due = {book.streams.number(stream): Runs.spanning(*ends) for stream, ends in expected.items()}
        excused: dict[int, Runs] = {}
        marked: dict[int, Runs] = {}
        for hop in self.hops:
            seen = book.of(hop)
            for stream in list(due):
                there = seen.seen.get(stream, Runs())
                unsaid = seen.unknown.get(stream, Runs()) | seen.refused.get(stream, Runs())
                excused[stream] = (excused.get(stream, Runs()) | unsaid) - there
                marked[stream] = (marked.get(stream, Runs()) | seen.marked.get(stream, Runs())) - there
                if hop in self.checked:
                    self._judge(book, hop, stream, due[stream] - excused[stream], there, marked[stream])
                if expected is None:
                    # Whether it was sent nobody knew; that it was, is known from here on.
                    due[stream] = due[stream] | (unknown.get(stream, Runs()) & there)
        if unsure := self._unresolved(book):
            self.remarks.append(f"{unsure:,} of unknown outcome or refused")

    def _unresolved(self, book: Book) -> int:
        """Count the records that some hop could not tell of, or refused, and none has seen after it."""
        pending: dict[int, Runs] = {}
        for hop in self.hops:
            told = book.of(hop)
            for of_stream in (told.unknown, told.refused):
                for stream, runs in of_stream.items():
                    pending[stream] = pending.get(stream, Runs()) | runs
            for stream, runs in told.seen.items():
                pending[stream] = pending.get(stream, Runs()) - runs
        return sum(runs.count for runs in pending.values())

    def _judge(self, book: Book, hop: str, stream: int, due: Runs, there: Runs, marked: Runs) -> None:
        self.checked[hop] += due.count
        missing = due - there
        allowed = (missing & marked).count
        if allowed and self.guarantee.allows_marked_loss:
            missing = missing - marked
            self.remarks.append(f"{allowed:,} marked as left out at {hop}")
        if missing:
            first = int(missing.starts[0])
            keys = [book.streams.key(stream, number) for number in (first - 1, first, int(missing.ends[0]) + 1)]
            before = self.hops[max(0, self.hops.index(hop) - 1)]
            witness = [] if not self.details_missing(hop) else [*book.find(before, keys[1:2]), *book.find(hop, keys)]
            self.blame(hop, missing.count, f"{keys[1]} was not seen at hop {hop}", witness)
