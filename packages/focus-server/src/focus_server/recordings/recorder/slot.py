"""The blocks of one slot while they are in memory: their samples, what is there, and what the broker waits to hear."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from focus_server.fiber import Block
from focus_server.fiber.blocks import WIRE_DTYPES, group_range
from focus_server.recordings.recorder.coverage import Table, empty_table
from focus_server.recordings.recorder.fibre import RecordedFibre

__all__ = ["Slot", "SlotId"]

SlotId = tuple[object, int]
"""The fibre's key and the slot's number."""


class Slot:
    """One slot; `stored` says which of its blocks its file holds already, so only the others are taken.

    `data` is [time, channel]; where no block was put it holds anything. `tags` are the deliveries to acknowledge when
    the slot's file is on the disk, `renewed_s` is when the last new block came (monotonic clock).
    """

    def __init__(self, fibre: RecordedFibre, number: int, stored: Table | None, now_s: float) -> None:
        self.fibre: Final = fibre
        self.number: Final = number
        self.first_sample, self.end_sample = fibre.range(number)
        self.stored = empty_table(fibre) if stored is None else stored
        self.have = empty_table(fibre)
        self.tags: list[int] = []
        self.renewed_s = now_s
        self.data: NDArray[Any] = np.empty(
            (self.end_sample - self.first_sample, fibre.channels), WIRE_DTYPES[fibre.dtype]
        )

    @property
    def id(self) -> SlotId:
        """Return what tells this slot from all others."""
        return self.fibre.key, self.number

    @property
    def end_ns(self) -> int:
        """Return when the slot is over, ns since 1970."""
        return self.fibre.end_ns(self.number)

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing is missing, here and in the file together."""
        return bool((self.have | self.stored).all())

    @property
    def blocks(self) -> int:
        """Return how many blocks are in memory."""
        return int(np.count_nonzero(self.have))

    def holds(self, number: int, group: int) -> bool:
        """Tell whether a block is there, in memory or in the file."""
        index = number - self.number * self.fibre.slot_blocks
        return bool(self.have[index, group] or self.stored[index, group])

    def put(self, block: Block, number: int, now_s: float) -> None:
        """Copy a block's samples to their place."""
        at = block.first_sample - self.first_sample
        self.data[at : at + block.samples, block.ch_first - 1 : block.ch_last] = block.data
        self.have[number - self.number * self.fibre.slot_blocks, block.group] = True
        self.renewed_s = now_s

    def absorb(self, other: "Slot") -> None:
        """Take over from another part of the same slot what is missing here, and what waits to be acknowledged."""
        for index, group in np.argwhere(other.have & ~(self.have | self.stored)):
            self.data[self.place(index, group)] = other.data[self.place(index, group)]
            self.have[index, group] = True
        self.tags += other.tags

    def place(self, index: int, group: int) -> tuple[slice, slice]:
        """Return where a block of the slot lies in `data`."""
        grid, number = self.fibre.grid, self.number * self.fibre.slot_blocks + index
        low, high = group_range(group, self.fibre.channels)
        rows = slice(grid.first_sample(number) - self.first_sample, grid.first_sample(number + 1) - self.first_sample)
        return rows, slice(low - 1, high)
