"""One pass over what all hops saw, for any number of checkers at once."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fullspan.errors import Inconclusive
from fullspan.invariants.finding import Finding
from fullspan.invariants.streaming.checker import Book, Checker, Find
from fullspan.ledger.explain import look_up
from fullspan.ledger.ledger import Ledger
from fullspan.ledger.piece import Piece
from fullspan.ledger.store import PIECE_ROWS, files_in, read_pieces
from fullspan.verdict import Verdict

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Source", "pieces_in", "pieces_of", "sweep"]


Source: TypeAlias = "Ledger | Path | Iterable[tuple[str, pa.Table]]"


def sweep(checkers: Sequence[Checker], source: Source) -> list[Finding]:
    """Lead all that hops saw past all checkers, once; return their findings in the same order.

    `source` is a ledger, the folder of one, or pieces: hops and tables of `fullspan.ledger.columns.SCHEMA`, those of
    one hop in the order in which it saw them. Memory stays bounded; when that cannot be, all findings are inconclusive
    and say why. Raises UsageError when a file cannot be read.
    """
    book = Book(_finder(source))
    asked = {hop for checker in checkers for hop in checker.hops}
    try:
        for hop, table in _pieces(source, asked):
            if hop in asked and table.num_rows:
                piece = Piece(hop, table, book.streams)
                book.of(hop).take(piece)
                for checker in checkers:
                    if hop in checker.hops:
                        checker.take(piece)
    except Inconclusive as unable:
        return [
            Finding(checker.name, Verdict.INCONCLUSIVE, str(unable), 0, guarantee=checker.guarantee.value)
            for checker in checkers
        ]
    return [checker.finding(book) for checker in checkers]


def _pieces(source: Source, asked: Collection[str]) -> "Iterable[tuple[str, pa.Table]]":
    if isinstance(source, Ledger):
        return pieces_of(source, asked)
    return pieces_in(source, asked) if isinstance(source, Path) else source


def _finder(source: Source) -> Find | None:
    if isinstance(source, Ledger):
        return lambda hop, keys: [seen for seen in source.observations(hop) if seen.key in keys]
    if isinstance(source, Path):
        return lambda hop, keys: look_up(source, keys, hop)
    return None


def pieces_of(ledger: Ledger, hops: Collection[str], rows: int = PIECE_ROWS) -> "Iterator[tuple[str, pa.Table]]":
    """Yield what a ledger holds of some hops, in about the order of time, at most `rows` rows at a time."""
    yield from _in_time({hop: _cut(ledger.pieces(hop), rows) for hop in ledger.hops if hop in hops})


def pieces_in(folder: Path, hops: Collection[str], rows: int = PIECE_ROWS) -> "Iterator[tuple[str, pa.Table]]":
    """Yield what a ledger's folder holds, likewise; raises UsageError when a file cannot be read."""
    yield from _in_time(
        {
            hop: (piece for file in files for piece in read_pieces(file, rows=rows))
            for hop, files in files_in(folder).items()
            if hop in hops
        }
    )


def _cut(pieces: "Iterable[pa.Table]", rows: int) -> "Iterator[pa.Table]":
    for piece in pieces:
        for first in range(0, piece.num_rows, rows):
            yield piece.slice(first, rows)


def _in_time(hops: "dict[str, Iterator[pa.Table]]") -> "Iterator[tuple[str, pa.Table]]":
    """Yield always the next piece of the hop that has fallen behind the others."""
    waiting = {hop: piece for hop, pieces in hops.items() if (piece := next(pieces, None)) is not None}
    while waiting:
        hop = min(waiting, key=lambda name: waiting[name].column("seen_ns")[0].as_py())
        yield hop, waiting[hop]
        following = next(hops[hop], None)
        if following is None:
            del waiting[hop]
        else:
            waiting[hop] = following
