"""What one hop has seen so far, as sets of sequence numbers: exact, and as small as the stream has holes."""

import json
from typing import Final

import numpy as np

from fullspan.errors import Inconclusive
from fullspan.ledger.piece import CODES, Piece
from fullspan.ledger.record import Outcome
from fullspan.ledger.runs import Runs

__all__ = ["MOST_RUNS", "Sightings"]

MOST_RUNS: Final = 4_000_000  # 64 MB; a stream numbered by one has as many as it has holes


class Sightings:
    """The records of one hop, by stream: `seen`, and those of which it says something else.

    `surplus` counts what was seen again, `rows` everything.
    """

    def __init__(self, hop: str) -> None:
        self.hop = hop
        self.rows = self.surplus = 0
        self.seen: dict[int, Runs] = {}
        self.unknown: dict[int, Runs] = {}
        self.refused: dict[int, Runs] = {}
        self.marked: dict[int, Runs] = {}

    @property
    def count(self) -> int:
        """Return how many different records were seen."""
        return sum(runs.count for runs in self.seen.values())

    def take(self, piece: Piece) -> None:
        """Take in a piece and set its `first`.

        Raises Inconclusive when the numbers have more holes at once than memory should hold.
        """
        self.rows += len(piece)
        seen = piece.was_seen
        if seen.all():
            for stream, places in piece.segments():
                self._see(piece, stream, places)
        else:
            for stream, places in piece.segments():
                self._see(piece, stream, places[seen[places]])
            self._note(piece)
        if sum(map(len, self.seen.values())) > MOST_RUNS:
            raise Inconclusive(
                f"Hop {self.hop} saw more than {MOST_RUNS:,} separate runs of sequence numbers, which memory is not "
                "to hold.",
                "Number the records of a stream by one, or follow fewer of them with `reconcile`.",
            )

    def _see(self, piece: Piece, stream: int, places: "np.typing.NDArray[np.int64]") -> None:
        if not places.size:
            return
        numbers = piece.sequence[places]
        runs = self.seen.setdefault(stream, Runs())
        if numbers.size > 1 and not (numbers[1:] > numbers[:-1]).all():
            order = np.argsort(numbers, kind="stable")  # of equal ones the earliest stays in front
            places, numbers = places[order], numbers[order]
            different = np.concatenate(([True], numbers[1:] != numbers[:-1]))
            self.surplus += int(places.size - different.sum())
            places, numbers = places[different], numbers[different]
        fresh = runs.add(numbers)
        self.surplus += int(fresh.size - fresh.sum())
        piece.first[places[fresh]] = True

    def _note(self, piece: Piece) -> None:
        """Take in what was not seen but told; there is little of it."""
        kinds = {Outcome.UNKNOWN: self.unknown, Outcome.REFUSED: self.refused, Outcome.MARKED: self.marked}
        for outcome, of_stream in kinds.items():
            for place in np.flatnonzero(piece.outcome == CODES[outcome]).tolist():
                stream, sequence = int(piece.stream[place]), int(piece.sequence[place])
                last = sequence
                if outcome is Outcome.MARKED:
                    text = piece.table.column("attributes")[place].as_py()
                    last = int(json.loads(text or "{}").get("last", sequence))
                known = of_stream.get(stream, Runs())
                of_stream[stream] = known | Runs.spanning(sequence, last)
