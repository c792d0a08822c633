"""The fibre that the samples belong to, and what makes it another one."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from focus_server import __version__
from focus_server.analyzer.grid import Clock
from focus_server.contract import WAITING_FOR_FIBER, LiveMetadata
from focus_server.fiber import Block, FiberAnnouncement
from focus_server.fiber.blocks import WIRE_DTYPES


@dataclass(frozen=True, slots=True)
class Fibre:
    """What all samples have in common. Two equal ones share their grid: samples of one go on where the other's end.

    `scale` turns samples into physical values; it is the decimal string that came with them.
    """

    t0_ns: int
    fs_num: int
    fs_den: int
    channels: int
    dtype: str
    scale: str

    @classmethod
    def of(cls, announcement: FiberAnnouncement) -> "Fibre":
        """Take from an announcement what identifies the fibre."""
        return cls(
            t0_ns=announcement.t0_ns,
            fs_num=announcement.fs_num,
            fs_den=announcement.fs_den,
            channels=announcement.number_of_channels,
            dtype=announcement.dtype,
            scale=announcement.scale,
        )

    @property
    def fs(self) -> Fraction:
        """Samples per second and channel."""
        return Fraction(self.fs_num, self.fs_den)

    @property
    def clock(self) -> Clock:
        """When each sample was taken."""
        return Clock(self.t0_ns, self.fs)

    @property
    def sample_type(self) -> np.dtype[Any]:
        """How one sample is stored."""
        return WIRE_DTYPES[self.dtype]

    def matches(self, block: Block) -> bool:
        """Tell whether a block carries samples of this fibre."""
        same = (block.t0_ns, block.fs_num, block.fs_den, block.dtype, block.scale)
        return same == (self.t0_ns, self.fs_num, self.fs_den, self.dtype, self.scale) and block.ch_last <= self.channels

    def difference(self, other: "Fibre") -> str:
        """Say in words what `other` has that this one has not."""
        changes = (
            ("sampling rate", f"{float(self.fs):g}", f"{float(other.fs):g} samples/s"),
            ("number of channels", f"{self.channels}", f"{other.channels}"),
            ("time origin", f"{self.t0_ns}", f"{other.t0_ns} ns"),
            ("sample type", self.dtype, other.dtype),
            ("scale", self.scale, other.scale),
        )
        return ", ".join(f"{name} from {old} to {new}" for name, old, new in changes if old != new.split()[0])


def live_metadata(announcement: FiberAnnouncement | None) -> LiveMetadata:
    """Describe the live fibre to clients; None means that there is no feed."""
    if announcement is None:
        return LiveMetadata(
            prr=0.0,
            num_samples_per_trace=0,
            dtype="int16",
            dx=1.0,
            fiber_start_meters=0.0,
            fiber_length_meters=1.0,
            sw_version=WAITING_FOR_FIBER,
            number_of_channels=0,
            fiber_description=WAITING_FOR_FIBER,
            fiber_source={},
        )
    start = announcement.fiber_start_meters
    return LiveMetadata(
        prr=announcement.fs_num / announcement.fs_den,
        num_samples_per_trace=announcement.num_samples_per_trace,
        dtype=announcement.dtype,
        dx=announcement.dx,
        fiber_start_meters=start,
        fiber_length_meters=start + announcement.number_of_channels * announcement.dx,
        sw_version=__version__,
        number_of_channels=announcement.number_of_channels,
        fiber_description=announcement.fiber_description,
        fiber_source=announcement.fiber_source,
    )
