"""Avro's binary form, many records at once: every record is at the same field, so that numpy reads it for all of them.

A record by itself can only be read byte after byte; fifty thousand of them are read field after field, each field in a
few operations on arrays. Reads never leave the data: what would is marked as bad, and its record is read as empty.
The form is that of the Avro specification 1.12, "Binary encoding".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lockstep", "Spans"]

_PADDING: Final = bytes(32)
_LONGEST_VARINT: Final = 10

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Where a piece of each record lies in the data: first byte and length, both (n,)."""

    starts: Ints
    lengths: Ints

    def within(self, data: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Gather the pieces one after the other: their bytes, and (n + 1) offsets into them."""
        offsets = np.zeros(len(self.lengths) + 1, dtype=np.int64)
        np.cumsum(self.lengths, out=offsets[1:])
        index = np.repeat(self.starts - offsets[:-1], self.lengths)
        index += np.arange(len(index))
        return data[index], offsets.astype(np.int32)


class Lockstep:
    """Records in one piece of memory, all being read at once; `bad` (n,) marks those that cannot be read."""

    def __init__(self, joined: bytes, starts: Ints, ends: Ints) -> None:
        self.data: NDArray[np.uint8] = np.frombuffer(joined + _PADDING, dtype=np.uint8)
        self._at = starts.copy()
        self._ends = ends
        self.bad = np.zeros(len(starts), dtype=np.bool_)

    def __len__(self) -> int:
        return len(self._at)

    def longs(self) -> Ints:
        """Read one `int` or `long` of each record, shape (n,)."""
        first = self.data[self._at]
        value = (first & 0x7F).astype(np.uint64)
        self._at += 1
        more = np.flatnonzero(first & 0x80)
        for turn in range(1, _LONGEST_VARINT):
            if not more.size:
                break
            at = self._at[more]
            byte = self.data[np.minimum(at, len(self.data) - 1)]
            value[more] |= (byte & 0x7F).astype(np.uint64) << np.uint64(7 * turn)
            self._at[more] = at + 1
            more = more[(byte & 0x80) != 0]
        self.bad[more] = True
        self._stay_inside()
        return (value >> np.uint64(1)).view(np.int64) ^ -(value & np.uint64(1)).view(np.int64)

    def spans(self) -> Spans:
        """Read one `string` or `bytes` of each record: where it lies."""
        lengths = self.longs()
        wrong = (lengths < 0) | (lengths > self._ends - self._at)
        self.bad |= wrong
        lengths[wrong] = 0
        starts = self._at.copy()
        self._at += lengths
        return Spans(starts, lengths)

    def items(self) -> Iterator[NDArray[np.bool_]]:
        """Go through the items of one `array` or `map` of each record.

        Yields who has one more item, (n,); the caller then reads it with `of` for those.
        """
        left = self._block(np.ones(len(self), dtype=np.bool_))
        while (having := left > 0).any():
            yield having
            left[having] -= 1
            left[self.bad] = 0
            ended = having & (left == 0)
            if ended.any():
                left[ended] = self._block(ended)[ended]

    def _block(self, who: NDArray[np.bool_]) -> Ints:
        """Read the number of items of a block; a negative one is followed by the block's size in bytes."""
        count = self.of(who)
        told = who & (count < 0)
        if told.any():
            self.of(told)
            count[told] = -count[told]
        # An item has a byte at least, so a larger count is a lie that would only cost time.
        lying = who & ((count > self._ends - self._at) | (count < 0))
        self.bad |= lying
        count[lying | ~who] = 0
        return count

    def of(self, who: NDArray[np.bool_]) -> Ints:
        """Read one `long` of the records in `who`, (n,) with 0 for the others."""
        if who.all():
            return self.longs()
        part = self._part(who)
        read = np.zeros(len(self), dtype=np.int64)
        read[who] = part.longs()
        self._merge(who, part)
        return read

    def spans_of(self, who: NDArray[np.bool_]) -> Spans:
        """Read one `string` of the records in `who`, for which alone it is told where they lie."""
        if who.all():
            return self.spans()
        part = self._part(who)
        read = part.spans()
        self._merge(who, part)
        return read

    def finish(self) -> None:
        """Mark those as bad that have not been read to their end."""
        self.bad |= self._at != self._ends

    def _part(self, who: NDArray[np.bool_]) -> "Lockstep":
        part = Lockstep.__new__(Lockstep)
        part.data = self.data
        part._at, part._ends, part.bad = self._at[who], self._ends[who], self.bad[who]
        return part

    def _merge(self, who: NDArray[np.bool_], part: "Lockstep") -> None:
        self._at[who], self.bad[who] = part._at, part.bad

    def _stay_inside(self) -> None:
        beyond = self._at > self._ends
        if beyond.any():
            self.bad |= beyond
            np.minimum(self._at, self._ends, out=self._at)
