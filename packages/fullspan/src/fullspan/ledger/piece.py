"""A piece of what a hop saw, as arrays: what the streaming checkers work on, some hundred thousand rows at a time."""

import io
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.json
from numpy.typing import NDArray

from fullspan.ledger.columns import to_observations
from fullspan.ledger.record import Observation, Outcome

__all__ = ["CODES", "Piece", "Streams"]

CODES: Final = MappingProxyType({outcome: code for code, outcome in enumerate(Outcome)})
SMALL: Final = 65_536
FEW: Final = 4_096
LARGEST: Final = 2**63
_Told: TypeAlias = tuple[NDArray[np.int64], NDArray[np.bool_]]
_MIX: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class Streams:
    """Numbers the streams of all hops from 0 on, in the order in which they are first met."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str | None, int] = {}

    def number(self, name: str | None) -> int:
        """Return the number of a stream; None, of keys of one part, is the stream without a name."""
        known = self._numbers.get(name)
        if known is None:
            known = self._numbers[name] = len(self.names)
            self.names.append("" if name is None else name)
        return known

    def __len__(self) -> int:
        return len(self.names)

    def key(self, stream: int, sequence: int) -> str:
        """Return the key of a record."""
        name = self.names[stream]
        return f"{name}/{sequence}" if name else str(sequence)


class Piece:
    """n rows of one hop in the order in which they came in; every array has n elements.

    `first` is True where a record was seen for the first time at the hop, once a sweep has told. Times as in
    `fullspan.ledger.columns.SCHEMA`.
    """

    def __init__(self, hop: str, table: pa.Table, streams: Streams) -> None:
        self.hop = hop
        self.table = table
        self.streams = streams
        self.first: NDArray[np.bool_] = np.zeros(table.num_rows, bool)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def stream(self) -> NDArray[np.int64]:
        """Return the number of each row's stream."""
        column = self.table.column("stream").combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.unify_dictionaries().combine_chunks().chunk(0) if column.num_chunks else column
        names = column.dictionary.to_pylist()
        if column.null_count:
            numbers = np.array([self.streams.number(name) for name in [*names, None]], np.int64)
            return np.asarray(numbers[column.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)])
        numbers = np.array([self.streams.number(name) for name in names], np.int64)
        return np.asarray(numbers[column.indices.to_numpy()])

    @cached_property
    def sequence(self) -> NDArray[np.int64]:
        """Return each row's sequence number."""
        return self._numbers("sequence")

    @cached_property
    def event_ns(self) -> NDArray[np.int64]:
        """Return when each record was due, UTC, ns; 0 where nobody said."""
        return self._numbers("event_ns")

    @cached_property
    def seen_ns(self) -> NDArray[np.int64]:
        """Return when each was seen, CLOCK_MONOTONIC, ns."""
        return self._numbers("seen_ns")

    @cached_property
    def seen_wall_ns(self) -> NDArray[np.int64]:
        """Return when each was seen, UTC, ns."""
        return self._numbers("seen_wall_ns")

    @cached_property
    def outcome(self) -> NDArray[np.int8]:
        """Return what the hop says of each, as `CODES`."""
        column = self.table.column("outcome")
        if column.null_count == len(self):
            return np.zeros(len(self), np.int8)
        said = column.fill_null(Outcome.SEEN.value).to_pylist()
        return np.array([CODES[Outcome(word)] for word in said], np.int8)

    @cached_property
    def was_seen(self) -> NDArray[np.bool_]:
        """Return where a record was really there."""
        return np.asarray(self.outcome == CODES[Outcome.SEEN])

    @cached_property
    def deviation(self) -> NDArray[np.float64]:
        """Return each deviation; which of them mean something says `has_deviation`."""
        return np.asarray(_filled(self.table.column("deviation"), 0.0).to_numpy())

    @cached_property
    def has_deviation(self) -> NDArray[np.bool_]:
        """Return where a deviation was measured."""
        return _valid(self.table.column("deviation"))

    @cached_property
    def has_digest(self) -> NDArray[np.bool_]:
        """Return where a digest was taken."""
        return _valid(self.table.column("digest"))

    @cached_property
    def digest(self) -> NDArray[np.uint64]:
        """Return 64 bits that stand for each digest: equal digests have equal bits, others nearly never (2^-64)."""
        return _hashed(_filled(self.table.column("digest"), ""))

    def attribute(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return a whole-number (or true-false) attribute of each row, and where there is one.

        Raises ValueError when it is something else, or needs more than 64 bits.
        """
        column = self.table.column("attributes")
        if column.null_count == len(self):
            return np.zeros(len(self), np.int64), np.zeros(len(self), bool)
        found = self._few(name) if len(self) <= FEW else self._many(name)
        if found is None:
            raise ValueError(
                f"attribute {name!r} at hop {self.hop} is not a whole number of 64 bits wherever it is told"
            )
        return found

    @cached_property
    def _attributes(self) -> list[dict[str, Any]]:
        return [json.loads(text) if text else {} for text in self.table.column("attributes").to_pylist()]

    def _few(self, name: str) -> _Told | None:
        """Read an attribute row by row, which for a few rows is done before Arrow has begun."""
        values = [told.get(name) for told in self._attributes]
        if any(value is not None and not (isinstance(value, int) and abs(value) < LARGEST) for value in values):
            return None
        numbers = np.array([value or 0 for value in values], np.int64)
        return numbers, np.array([value is not None for value in values], bool)

    def _many(self, name: str) -> _Told | None:
        text = "\n".join(self.table.column("attributes").fill_null("{}").to_pylist()).encode()
        for kind in (pa.int64(), pa.bool_()):
            options = pa.json.ParseOptions(pa.schema([(name, kind)]), unexpected_field_behavior="ignore")
            try:
                read = pa.json.read_json(io.BytesIO(text), pa.json.ReadOptions(False, len(text) + 1), options)
            except pa.ArrowInvalid:
                continue
            values = read.column(name).cast(pa.int64()).combine_chunks()
            return np.asarray(_filled(values, 0).to_numpy(zero_copy_only=False)), _valid(values)
        return None

    @cached_property
    def by_stream(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows' places, stream after stream and in each as they came in, and where each stream begins."""
        stream = self.stream
        if not len(self):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        # Numpy sorts 16-bit numbers by their digits, in a tenth of the time.
        narrow = stream.astype(np.uint16) if len(self.streams) <= SMALL else stream
        order = np.argsort(narrow, kind="stable")
        ordered = stream[order]
        return order, np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))

    def segments(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each stream's number and the places of its rows, in the order in which they came in."""
        order, begins = self.by_stream
        for begin, end in zip(begins, [*begins[1:], len(order)], strict=True):
            places = order[begin:end]
            yield int(self.stream[places[0]]), places

    def observations(self, places: Sequence[int] | NDArray[np.int64]) -> list[Observation]:
        """Return some rows as observations."""
        return to_observations(self.hop, self.table.take(pa.array(places, pa.int64())))

    def _numbers(self, name: str) -> NDArray[np.int64]:
        return np.asarray(self.table.column(name).to_numpy())


def _valid(column: "pa.Array | pa.ChunkedArray") -> NDArray[np.bool_]:
    if not column.null_count:
        return np.ones(len(column), bool)
    if isinstance(column, pa.ChunkedArray):
        return np.asarray(column.is_valid().to_numpy())
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False))


def _filled(column: "pa.Array | pa.ChunkedArray", value: float | str) -> "pa.Array | pa.ChunkedArray":
    """Return a column without nulls; a short one that has none is returned sooner than Arrow would begin."""
    return column.fill_null(value) if column.null_count else column


def _hashed(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Mix eight bytes at a time with the constants of splitmix64 (Steele, Lea and Flood, 2014)."""
    chunk = column.combine_chunks()
    array = chunk if isinstance(chunk, pa.Array) else pa.concat_arrays(chunk.chunks)
    lengths = np.asarray(pa.compute.binary_length(array).to_numpy(zero_copy_only=False)).astype(np.uint64)
    longest = int(lengths.max()) if lengths.size else 0
    words = max(1, -(-longest // 8))
    if lengths.size and (lengths == longest).all():
        offset = array.offset
        begins = np.frombuffer(array.buffers()[1], np.int32)[offset : offset + len(array) + 1]
        data = array.buffers()[2]
        flat = np.frombuffer(data, np.uint8)[begins[0] : begins[-1]] if data is not None else np.empty(0, np.uint8)
        padded = np.zeros((len(array), words * 8), np.uint8)
        padded[:, :longest] = flat.reshape(len(array), longest)
    else:
        padded = np.zeros((len(array), words * 8), np.uint8)
        for place, text in enumerate(array.to_pylist()):
            raw = text.encode()
            padded[place, : len(raw)] = np.frombuffer(raw, np.uint8)
    mixed = lengths * _MIX[0]
    for word in range(words):
        mixed = (mixed ^ padded[:, word * 8 : word * 8 + 8].copy().view(np.uint64)[:, 0]) + _MIX[0]
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[1]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[2]
        mixed ^= mixed >> np.uint64(31)
    return np.asarray(mixed)
