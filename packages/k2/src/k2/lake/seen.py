"""Which numbers of an exchange are stored already: ranges per symbol, so that no trade is stored twice.

Offsets make sure that a record of Kafka is stored once. Yet one trade can be two records: a feed that was killed
sends again what it does not know to have arrived, and at the rotation of a connection two of them bring the same.
Trades carry the exchange's own number, which has no holes, so all that are stored are one range per symbol, and one
more for each gap. The ranges stand in the snapshot beside the offsets.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from k2.errors import LakeError

__all__ = ["Seen"]

Ranges = npt.NDArray[np.int64]
"""Shape (n, 2): first and last number of each range, both included, ascending, never touching."""

_NONE: Final[Ranges] = np.empty((0, 2), dtype=np.int64)


class Seen:
    """Stored numbers by exchange and symbol. Never changes: `add` returns the next one."""

    __slots__ = ("_ranges",)

    def __init__(self, ranges: Mapping[str, Ranges] | None = None) -> None:
        self._ranges: Final = dict(ranges or {})

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the ranges from their text. Raises LakeError for a text that is none."""
        try:
            document = json.loads(text)
            ranges = {str(key): np.array(pairs, dtype=np.int64).reshape(-1, 2) for key, pairs in document.items()}
        except (ValueError, AttributeError, TypeError):
            raise LakeError("The newest snapshot's k2.seen is no map of ranges; `k2 repair` makes it anew.") from None
        return cls(ranges)

    @classmethod
    def of(cls, rows: pa.Table) -> Self:
        """Find the ranges of rows from their columns `exchange`, `symbol`, `source_sequence`."""
        return cls({key: _ranges_of(np.unique(numbers)) for key, numbers, _ in _groups(rows)})

    def text(self) -> str:
        """Write the ranges as the property holds them, always in the same order."""
        document = {key: ranges.tolist() for key, ranges in sorted(self._ranges.items())}
        return json.dumps(document, separators=(",", ":"))

    def keys(self) -> frozenset[str]:
        """Name every `EXCHANGE:SYMBOL` that something is stored of."""
        return frozenset(self._ranges)

    def ranges(self, key: str) -> list[tuple[int, int]]:
        """List the stored numbers of `EXCHANGE:SYMBOL`: first and last of each range, ascending."""
        return [(int(first), int(last)) for first, last in self._ranges.get(key, _NONE)]

    def gaps(self) -> dict[str, list[tuple[int, int]]]:
        """List the numbers between stored ones that are not stored: first and last of each gap, by symbol."""
        return {
            key: [(int(last) + 1, int(first) - 1) for (_, last), (first, _) in pairwise(ranges)]
            for key, ranges in self._ranges.items()
            if len(ranges) > 1
        }

    def add(self, rows: pa.Table) -> tuple[pa.Table, "Seen"]:
        """Return the rows whose number is new, in their order, the first of each number; and what is stored with them.

        `rows` has the columns `exchange`, `symbol`, `source_sequence`; rows without a number are kept.
        """
        keep = np.ones(rows.num_rows, dtype=bool)
        ranges = dict(self._ranges)
        for key, numbers, places in _groups(rows):
            known = ranges.get(key, _NONE)
            fresh, first_places = np.unique(numbers, return_index=True)
            new = ~_within(fresh, known)
            keep[places] = False
            keep[places[first_places[new]]] = True
            ranges[key] = _joined(known, _ranges_of(fresh[new]))
        kept = rows if keep.all() else rows.filter(pa.array(keep))
        return kept, Seen(ranges)

    def join(self, others: Iterable["Seen"]) -> "Seen":
        """Return what is stored here or in any of the others."""
        ranges = dict(self._ranges)
        for other in others:
            for key, more in other._ranges.items():
                ranges[key] = _joined(ranges.get(key, _NONE), more)
        return Seen(ranges)


def _groups(rows: pa.Table) -> Iterable[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Give each symbol's key, its numbers, and the places of the rows that have them."""
    if not rows.num_rows:
        return
    names = [_codes(rows.column(name)) for name in ("exchange", "symbol")]
    (exchanges, of_exchange), (symbols, of_symbol) = names
    sequence = rows.column("source_sequence")
    valid = pc.is_valid(sequence).to_numpy(zero_copy_only=False)
    numbers = pc.fill_null(sequence, 0).to_numpy().astype(np.int64, copy=False)
    both = of_exchange.astype(np.int64) * len(symbols) + of_symbol
    for code in np.unique(both[valid]):
        places = np.flatnonzero((both == code) & valid)
        exchange, symbol = divmod(int(code), len(symbols))
        yield f"{exchanges[exchange]}:{symbols[symbol]}", numbers[places], places


def _codes(column: pa.ChunkedArray) -> tuple[list[str], npt.NDArray[Any]]:
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)


def _ranges_of(numbers: npt.NDArray[np.int64]) -> Ranges:
    """Make ranges of ascending numbers, each there once."""
    if not len(numbers):
        return _NONE
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    firsts = numbers[np.concatenate(([0], breaks + 1))]
    lasts = numbers[np.concatenate((breaks, [len(numbers) - 1]))]
    return np.stack([firsts, lasts], axis=1)


def _within(numbers: npt.NDArray[np.int64], ranges: Ranges) -> npt.NDArray[np.bool_]:
    if not len(ranges):
        return np.zeros(len(numbers), dtype=bool)
    place = np.searchsorted(ranges[:, 0], numbers, side="right") - 1
    return np.asarray((place >= 0) & (numbers <= ranges[np.maximum(place, 0), 1]))


def _joined(one: Ranges, other: Ranges) -> Ranges:
    """Join two sets of ranges; ranges that touch become one."""
    if not len(one) or not len(other):
        return one if len(one) else other
    every = np.concatenate((one, other))
    every = every[np.argsort(every[:, 0], kind="stable")]
    reach = np.maximum.accumulate(every[:, 1])
    starts = np.concatenate(([True], every[1:, 0] > reach[:-1] + 1))
    ends = np.concatenate((np.flatnonzero(starts)[1:] - 1, [len(every) - 1]))
    return np.stack([every[starts, 0], reach[ends]], axis=1)
