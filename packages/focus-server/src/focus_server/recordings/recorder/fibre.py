"""The fibre as it is recorded: which blocks make up which file, and what the file is called and described as."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal, Self

from focus_server.contract import MAX_CHANNELS
from focus_server.errors import BlockError
from focus_server.fiber import Block, FiberAnnouncement, FiberGrid, group_count, group_range
from focus_server.fiber.blocks import WIRE_DTYPES
from focus_server.fiber.grid import BLOCKS_PER_SECOND
from focus_server.recordings.entry import GridKey, RecordingEntry, recording_uuid

__all__ = ["RecordedFibre"]


@dataclass(frozen=True)
class RecordedFibre:
    """An announced fibre, cut into slots of `recording_s` seconds of its own grid; each slot becomes one file.

    Slot k holds the blocks [k * slot_blocks, (k + 1) * slot_blocks); blocks are numbered from the grid's beginning.
    """

    site: str
    grid: FiberGrid
    channels: int
    dx: float
    fiber_start_meters: float
    units: str
    dtype: Literal["int16", "float32"]
    scale: str
    slot_blocks: int

    @classmethod
    def of(cls, announcement: FiberAnnouncement, recording_s: int) -> Self:
        """Describe an announced fibre. Raises BlockError when it is larger than anybody here can use."""
        if announcement.number_of_channels > MAX_CHANNELS:
            raise BlockError(
                f"A fibre of {announcement.number_of_channels} channels is announced; {MAX_CHANNELS} can be recorded."
            )
        return cls(
            site=announcement.site,
            grid=FiberGrid(announcement.t0_ns, announcement.fs_num, announcement.fs_den),
            channels=announcement.number_of_channels,
            dx=announcement.dx,
            fiber_start_meters=announcement.fiber_start_meters,
            units=announcement.units,
            dtype=announcement.dtype,
            scale=announcement.scale,
            slot_blocks=recording_s * BLOCKS_PER_SECOND,
        )

    @cached_property
    def key(self) -> GridKey:
        """What all files of this fibre share."""
        return (self.grid.t0_ns, self.grid.fs_num, self.grid.fs_den, self.channels, self.dtype, self.scale)

    @property
    def groups(self) -> int:
        """Number of groups of channels."""
        return group_count(self.channels)

    @property
    def slot_bytes(self) -> int:
        """Return how large a slot's samples are."""
        first, end = self.range(0)
        return (end - first + 1) * self.channels * WIRE_DTYPES[self.dtype].itemsize

    def carries(self, block: Block) -> bool:
        """Tell whether a block may be one of this fibre: same grid, same samples."""
        return (block.t0_ns, block.fs_num, block.fs_den, block.dtype, block.scale) == (
            *(self.grid.t0_ns, self.grid.fs_num, self.grid.fs_den),
            *(self.dtype, self.scale),
        )

    def number(self, block: Block) -> int:
        """Return a block's number on the grid. Raises BlockError when it is not a whole block of this fibre."""
        if block.group >= self.groups or (block.ch_first, block.ch_last) != group_range(block.group, self.channels):
            raise BlockError(
                f"A block of channels {block.ch_first} to {block.ch_last} is none of a fibre of {self.channels}."
            )
        grid = self.grid
        number = -(-block.first_sample * BLOCKS_PER_SECOND * grid.fs_den // grid.fs_num)
        begin, end = grid.first_sample(number), grid.first_sample(number + 1)
        if (block.first_sample, block.first_sample + block.samples) != (begin, end):
            raise BlockError(
                f"A block holds the samples {block.first_sample} to {block.first_sample + block.samples - 1};"
                f" on the fibre's grid the block there begins at {begin} and ends before {end}."
            )
        return number

    def range(self, slot: int) -> tuple[int, int]:
        """Return the first sample of a slot and the one after its last."""
        return (
            self.grid.first_sample(slot * self.slot_blocks),
            self.grid.first_sample((slot + 1) * self.slot_blocks),
        )

    def end_ns(self, slot: int) -> int:
        """Return when a slot is over, ns since 1970."""
        return self.grid.time_ns(self.range(slot)[1])

    def uuid(self, slot: int) -> str:
        """Return the identity of a slot's recording, the same each time."""
        return recording_uuid(self.site, self.key, slot)

    def name(self, slot: int, suffix: str = "") -> str:
        """Return where a slot's file lies, relative to the base path."""
        start_ns = self.grid.time_ns(self.range(slot)[0])
        start = datetime.fromtimestamp(start_ns // 1_000_000_000, UTC)
        milliseconds = start_ns // 1_000_000 % 1000
        stem = f"{self.site}-{start:%Y%m%dT%H%M%S}.{milliseconds:03d}Z-{slot}{suffix}"
        return f"{self.site}/{start:%Y%m%d}/{stem}.h5"

    def entry(self, slot: int, base_path: str, first: int, end: int) -> RecordingEntry:
        """Describe the samples [first, end) of a slot as a recording that is still running."""
        return RecordingEntry(
            uuid=self.uuid(slot),
            base_path=base_path,
            start_ns=self.grid.time_ns(first),
            site=self.site,
            channels=self.channels,
            dx=self.dx,
            fiber_start_meters=self.fiber_start_meters,
            units=self.units,
            dtype=self.dtype,
            scale=self.scale,
            samples=end - first,
            t0_ns=self.grid.t0_ns,
            fs_num=self.grid.fs_num,
            fs_den=self.grid.fs_den,
            first_sample=first,
        )
