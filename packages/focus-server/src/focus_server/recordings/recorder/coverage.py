"""Which blocks of a slot are there: a table [block, group], and what is missing in it as rectangles of samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from focus_server.fiber import group_range
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.recorder.fibre import RecordedFibre

__all__ = ["Table", "empty_table", "present_blocks", "stored_table", "to_gaps"]

Table = NDArray[np.bool_]
"""[block of the slot, group of channels]: True where the samples are there."""


def empty_table(fibre: RecordedFibre) -> Table:
    """Return the table of a slot of which nothing is there."""
    return np.zeros((fibre.slot_blocks, fibre.groups), dtype=np.bool_)


def present_blocks(table: Table) -> tuple[int, int]:
    """Return the first block that any group has and the one after the last; (0, 0) when there is none."""
    (blocks,) = np.nonzero(table.any(axis=1))
    return (int(blocks[0]), int(blocks[-1]) + 1) if len(blocks) else (0, 0)


def to_gaps(fibre: RecordedFibre, slot: int, table: Table) -> NDArray[np.int64]:
    """Return what is missing between the first and the last block that is there.

    [n, 4]: first_sample and end_sample on the fibre's grid, first_channel, last_channel.
    """
    first, end = present_blocks(table)
    origin = slot * fibre.slot_blocks
    gaps = []
    for begin, after in _equal_rows(table, first, end):
        samples = fibre.grid.first_sample(origin + begin), fibre.grid.first_sample(origin + after)
        for low, high in _runs(~table[begin]):
            channels = group_range(low, fibre.channels)[0], group_range(high - 1, fibre.channels)[1]
            gaps.append((*samples, *channels))
    return np.array(gaps, dtype=np.int64).reshape(-1, 4)


def stored_table(fibre: RecordedFibre, slot: int, entry: RecordingEntry, gaps: NDArray[np.int64]) -> Table:
    """Return which blocks a file holds, from its entry and its gaps."""
    origin = slot * fibre.slot_blocks
    edges = np.array([fibre.grid.first_sample(origin + i) for i in range(fibre.slot_blocks + 1)], dtype=np.int64)
    begins, ends = edges[:-1], edges[1:]
    table = empty_table(fibre)
    table[(begins >= entry.first_sample) & (ends <= entry.end_sample)] = True
    for first_sample, end_sample, first_channel, last_channel in gaps:
        blocks = (begins < end_sample) & (ends > first_sample)
        groups = [
            _touches(group_range(group, fibre.channels), first_channel, last_channel) for group in range(fibre.groups)
        ]
        table[np.ix_(blocks, groups)] = False
    return table


def _touches(channels: tuple[int, int], first: Any, last: Any) -> bool:
    return bool(channels[0] <= last and channels[1] >= first)


def _equal_rows(table: Table, first: int, end: int) -> list[tuple[int, int]]:
    """Cut the blocks [first, end) into runs of the same groups."""
    if first == end:
        return []
    changes = (np.nonzero((table[first + 1 : end] != table[first : end - 1]).any(axis=1))[0] + first + 1).tolist()
    return list(zip([first, *changes], [*changes, end], strict=True))


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs [begin, end) of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]
