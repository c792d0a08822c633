"""The newest rows of a table, ready as the texts of an answer: what is asked for most needs no search.

A window belongs to one snapshot and holds its rows down to an edge. It answers a question when no row beyond the edge
could belong to the answer; whatever else is asked is searched for in the files. The next snapshot's window is made of
this one and of the rows that have come, so that a commit costs what it brings.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from k2.query.question import Question

__all__ = ["MOST_CHARACTERS", "MOST_ROWS", "Newest", "Ranked"]

MOST_ROWS: Final = 10_000
"""Of one table; with trades of an exchange that is about 6 MB."""
MOST_CHARACTERS: Final = 64_000_000
"""Of the texts of one table; beyond it fewer rows are held."""

_NEVER_US: Final = 2**63 - 1


class Ranked(NamedTuple):
    """One row as its text, behind what it is sorted by: time in microseconds since 1970, number, symbol, exchange.

    A row without a number comes after those that have one, as the engine sorts it.
    """

    time_us: int
    numbered: bool
    number: int
    symbol: str
    exchange: str
    document: str


@dataclass(frozen=True, slots=True)
class Newest:
    """Rows of one snapshot, the newest first, at most `most`; `whole` when it has no others; `paths` are its files."""

    rows: tuple[Ranked, ...]
    whole: bool
    paths: frozenset[str]
    most: int

    @classmethod
    def of(cls, rows: Iterable[Ranked], paths: Iterable[str], most: int = MOST_ROWS, *, whole: bool) -> "Newest":
        """Make a window of rows, the newest first, as far as there is room; `whole` when the table has no others."""
        kept: list[Ranked] = []
        room = MOST_CHARACTERS
        for row in rows:
            room -= len(row.document)
            if len(kept) == most or room < 0:
                whole = False
                break
            kept.append(row)
        return cls(tuple(kept), whole, frozenset(paths), most)

    def and_then(self, rows: Sequence[Ranked], paths: Iterable[str]) -> "Newest":
        """Return the window of the next snapshot: it has further files, and in them these rows, the newest first.

        Those that lie before the edge may be left out.
        """
        return Newest.of(sorted((*rows, *self.rows), reverse=True), paths, self.most, whole=self.whole)

    @property
    def edge_us(self) -> int | None:
        """The time of the last row that is held, microseconds since 1970, UTC; None when all are."""
        if self.whole:
            return None
        return self.rows[-1].time_us if self.rows else _NEVER_US

    def answer(self, question: Question, others: Sequence[Ranked] = ()) -> list[str] | None:
        """Give the texts of a question's rows, and of the row after them where there is one.

        `others` are rows that count beside the table's and that the question asks for, the newest first. None when
        the answer may need rows that are not here, or is not of whole rows, the newest first.
        """
        if question.columns or question.conditions or question.ordered() != Question(question.form).ordered():
            return None
        needed = question.offset + question.limit + 1
        found = list(islice(self._chosen(question), needed))
        if others:
            found = sorted((*others, *found), reverse=True)[:needed]
        if not self._reaches(question) and not self._within(found[needed - 1 :]):
            return None
        return [row.document for row in found[question.offset :]]

    def _chosen(self, question: Question) -> Iterable[Ranked]:
        first = 0 if question.end_us is None else bisect_right(self.rows, -question.end_us, key=_age)
        last = len(self.rows) if question.start_us is None else bisect_right(self.rows, -question.start_us, key=_age)
        symbol, exchange = question.symbol, question.exchange
        return (
            row
            for row in islice(self.rows, first, last)
            if (symbol is None or row.symbol == symbol) and (exchange is None or row.exchange == exchange)
        )

    def _within(self, row: Sequence[Ranked]) -> bool:
        """Tell whether a row is there and not beyond the edge: then all before it are known."""
        return bool(row and self.rows) and row[0] >= self.rows[-1]

    def _reaches(self, question: Question) -> bool:
        """Tell whether all rows are here from which the question begins."""
        edge_us = self.edge_us
        return edge_us is None or (question.start_us is not None and question.start_us > edge_us)


def _age(row: Ranked) -> int:
    return -row.time_us
