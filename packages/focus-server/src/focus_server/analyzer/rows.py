"""Rows as they go out: the lines of one stream with number and time, and the message that carries them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from focus_server.analyzer.spectrum import Float32
from focus_server.proto import DataStream

LITTLE_ENDIAN_FLOAT: Final = np.dtype("<f4")

_MAIN_DATA: Final = bytes([DataStream.MAIN_DATA_FIELD_NUMBER << 3 | 2])
"""What announces an element of `main_data`: the field's number, and that its length follows."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What all messages of a stream have in common: channel numbers (both included), values per row, the job.

    `x` counts bins, or channels in a waterfall; `z` counts channels and is absent in a waterfall.
    """

    first_channel: int
    last_channel: int
    x: int
    z: int | None
    job_serial: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of one stream: float32 values [channel][bin] as bytes, and the extremes of those that are finite."""

    index: int
    stamp_ms: int
    data: bytes | memoryview
    smallest: float
    largest: float

    @classmethod
    def of(cls, index: int, stamp_ms: int, values: Float32) -> "Row":
        """Make a row of its values [channel, bin], which are not copied if they lie one behind the other."""
        smallest, largest = float(values.min()), float(values.max())
        if not np.isfinite(smallest + largest):  # slower, and only where a channel is missing
            smallest, largest = float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))
        if not np.isfinite(smallest + largest):
            finite = values[np.isfinite(values)]
            smallest, largest = (float(finite.min()), float(finite.max())) if finite.size else (np.inf, -np.inf)
        wire = np.ascontiguousarray(values, LITTLE_ENDIAN_FLOAT)
        return cls(index, stamp_ms, wire.data.cast("B"), smallest, largest)


class Batch:
    """Rows of one stream that go out together.

    `message` is the serialised `DataStream`, written once for all viewers; from then on the rows' data are parts of it.
    `size` is the bytes of all rows.
    """

    __slots__ = ("message", "rows", "shape", "size")

    def __init__(self, shape: Shape, rows: Sequence[Row]) -> None:
        self.shape = shape
        self.size = sum(len(row.data) for row in rows)
        # The values are put behind the rest here, in the format of protobuf, which would copy them twice more.
        head = self._head(rows)
        parts: list[bytes | memoryview] = [head]
        ends = []
        end = len(head)
        for row in rows:
            before = _row_head(len(row.data))
            parts += (before, row.data)
            end += len(before) + len(row.data)
            ends.append(end)
        self.message = b"".join(parts)
        whole = memoryview(self.message)
        self.rows = tuple(
            replace(row, data=whole[end - len(row.data) : end]) for row, end in zip(rows, ends, strict=True)
        )

    def _head(self, rows: Sequence[Row]) -> bytes:
        """Write all of the message but the values."""
        smallest = min(row.smallest for row in rows)
        largest = max(row.largest for row in rows)
        any_finite = smallest <= largest
        return DataStream(
            start_channel=self.shape.first_channel,
            end_channel=self.shape.last_channel,
            timestamp_in_milis=[row.stamp_ms for row in rows],
            row_index=[row.index for row in rows],
            data_shape_x=self.shape.x,
            data_shape_y=len(rows),
            data_shape_z=self.shape.z,
            global_maximum=largest if any_finite else 0.0,
            global_minimum=smallest if any_finite else 0.0,
            job_id=self.shape.job_serial,
        ).SerializeToString()

    def newest(self) -> "Batch":
        """Give the last row alone."""
        return self if len(self.rows) == 1 else Batch(self.shape, self.rows[-1:])

    @staticmethod
    def joined(batches: Sequence["Batch"]) -> "Batch":
        """Put consecutive batches of one stream together; a single one stays itself, with its message."""
        if len(batches) == 1:
            return batches[0]
        return Batch(batches[0].shape, [row for batch in batches for row in batch.rows])


def _row_head(size: int) -> bytes:
    """Write what stands before a row's values: the field, and their size in groups of seven bits, lowest first."""
    head = bytearray(_MAIN_DATA)
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head)
