"""From Avro records to Arrow columns without a Python object per value."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from k2.bus.lockstep import Lockstep, Spans
from k2.schema import Column, Kind, Record

__all__ = ["Columns"]

_WORD: Final = 2**64
# The years 1 to 9999: nothing that reads tables knows others.
_FIRST_MICROS: Final = -62_135_596_800_000_000
_LAST_MICROS: Final = 253_402_300_799_999_999


class Columns:
    """All columns of many records, read at once; afterwards `bad` and `unfit`, (n,), say which rows are none.

    `unfit` are decimals that do not fit their precision.
    """

    def __init__(self, record: Record, joined: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        self._lockstep = Lockstep(joined, starts, ends)
        self.unfit = np.zeros(len(starts), dtype=np.bool_)
        self._arrays = [self._read(column) for column in record.columns]
        self._schema = record.arrow()
        self._lockstep.finish()
        self.bad = self._lockstep.bad

    def table(self) -> pa.Table:
        """Return the good rows, in order."""
        table = pa.Table.from_arrays(self._arrays, schema=self._schema)
        wrong = self.bad | self.unfit
        return table.filter(pa.array(~wrong)) if wrong.any() else table

    def _read(self, column: Column) -> pa.Array:
        if not column.nullable:
            return self._values(column)
        # A union of null and something: 0 is null, 1 is the value. Only numbers are ever absent.
        branch = self._lockstep.longs()
        self._lockstep.bad |= (branch != 0) & (branch != 1)
        return pa.array(self._lockstep.of(branch == 1), mask=branch != 1)

    def _values(self, column: Column) -> pa.Array:
        match column.kind:
            case Kind.TEXT:
                return self._texts(self._lockstep.spans())
            case Kind.CHOICE:
                return self._choices(column.choices)
            case Kind.MICROS:
                return self._times()
            case Kind.LONG:
                return pa.array(self._lockstep.longs())
            case Kind.DECIMAL:
                return self._decimals(column.precision, column.scale)
            case Kind.TEXTS:
                return self._lists()
            case Kind.MAP:
                return self._maps()

    def _texts(self, spans: Spans, rows: NDArray[np.int64] | None = None) -> pa.Array:
        """Gather texts; `rows` says to which record each belongs when it is not one per record."""
        gathered, offsets = spans.within(self._lockstep.data)
        if gathered.size and gathered.max() >= 0x80:
            self._check_unicode(gathered, offsets, rows)
        return pa.StringArray.from_buffers(len(spans.lengths), pa.py_buffer(offsets), pa.py_buffer(gathered))

    def _check_unicode(
        self, gathered: NDArray[np.uint8], offsets: NDArray[np.int32], rows: NDArray[np.int64] | None
    ) -> None:
        beyond = np.searchsorted(offsets, np.flatnonzero(gathered >= 0x80), side="right") - 1
        for number in np.unique(beyond):
            try:
                bytes(gathered[offsets[number] : offsets[number + 1]]).decode()
            except UnicodeDecodeError:
                self._lockstep.bad[number if rows is None else rows[number]] = True

    def _choices(self, choices: tuple[str, ...]) -> pa.Array:
        index = self._lockstep.longs()
        wrong = (index < 0) | (index >= len(choices))
        self._lockstep.bad |= wrong
        index[wrong] = 0
        return pa.array(choices).take(pa.array(index))

    def _times(self) -> pa.Array:
        micros = self._lockstep.longs()
        self._lockstep.bad |= (micros < _FIRST_MICROS) | (micros > _LAST_MICROS)
        return pa.array(micros).cast(pa.timestamp("us", tz="UTC"))

    def _decimals(self, precision: int, scale: int) -> pa.Array:
        """Read big-endian numbers of 0 to 16 bytes as the 128-bit little-endian ones that Arrow keeps."""
        spans, data = self._lockstep.spans(), self._lockstep.data
        lengths = spans.lengths
        self.unfit |= lengths > 16
        words = np.zeros((len(lengths), 2), dtype="<u8")
        ends = spans.starts + lengths
        sign = np.where((lengths > 0) & (data[spans.starts] >= 0x80), np.uint64(0xFF), np.uint64(0))
        longest = min(16, int(lengths.max(initial=0)))
        for place in range(16):
            if place < longest:
                byte = np.where(place < lengths, data[np.maximum(ends - 1 - place, 0)].astype(np.uint64), sign)
            else:
                byte = sign
            words[:, place // 8] |= byte << np.uint64(8 * (place % 8))
        self.unfit |= _beyond(words, 10**precision)
        return pa.Array.from_buffers(
            pa.decimal128(precision, scale), len(lengths), [None, pa.py_buffer(np.ascontiguousarray(words))]
        )

    def _lists(self) -> pa.Array:
        rows, (texts,) = self._items(1)
        return pa.ListArray.from_arrays(
            self._offsets(rows), texts, type=pa.list_(pa.field("element", pa.string(), nullable=False))
        )

    def _maps(self) -> pa.Array:
        rows, (keys, values) = self._items(2)
        return pa.MapArray.from_arrays(
            self._offsets(rows),
            keys,
            values,
            type=pa.map_(pa.string(), pa.field("value", pa.string(), nullable=False)),
        )

    def _items(self, texts: int) -> tuple[NDArray[np.int64], list[pa.Array]]:
        """Read the items of a list or map, each of so many texts: the record of each, sorted, and the texts."""
        rows: list[NDArray[np.int64]] = []
        spans: list[list[Spans]] = [[] for _ in range(texts)]
        for having in self._lockstep.items():
            rows.append(np.flatnonzero(having))
            for place in range(texts):
                spans[place].append(self._lockstep.spans_of(having))
        if not rows:
            return np.zeros(0, dtype=np.int64), [pa.array([], pa.string()) for _ in range(texts)]
        owner = np.concatenate(rows)
        order = np.argsort(owner, kind="stable")
        owner = owner[order]
        made: list[Any] = []
        for parts in spans:
            starts = np.concatenate([part.starts for part in parts])[order]
            lengths = np.concatenate([part.lengths for part in parts])[order]
            made.append(self._texts(Spans(starts, lengths), owner))
        return owner, made

    def _offsets(self, rows: NDArray[np.int64]) -> pa.Array:
        offsets = np.zeros(len(self._lockstep) + 1, dtype=np.int32)
        np.cumsum(np.bincount(rows, minlength=len(self._lockstep)), out=offsets[1:])
        return pa.array(offsets)


def _beyond(words: NDArray[np.uint64], bound: int) -> NDArray[np.bool_]:
    """Tell which 128-bit numbers, (n, 2) low word first, are not between -bound and bound."""
    low, high = words[:, 0], words[:, 1].view(np.int64)
    top, rest = divmod(bound, _WORD)
    over = (high > top) | ((high == top) & (low >= np.uint64(rest)))
    top, rest = divmod(-bound, _WORD)
    under = (high < top) | ((high == top) & (low <= np.uint64(rest)))
    return np.asarray(over | under)
