"""Faults: what breaks a stack on purpose, and the evidence that it bit and that it healed."""

from fullspan.faults.base import Fault
from fullspan.faults.evidence import Evidence, Observed
from fullspan.faults.faults import Faults
from fullspan.faults.lease import LeasedStack
from fullspan.faults.link import (
    Bandwidth,
    Blackhole,
    Jitter,
    Latency,
    Loss,
    Partition,
    Reset,
    SlowClose,
    Stall,
)
from fullspan.faults.play import Play
from fullspan.faults.process import Hang, Kill, Restart, Stop
from fullspan.faults.question import Question
from fullspan.faults.schedule import May, Planned, Schedule
from fullspan.faults.shortage import FewHandles, FullDisk, LittleCpu, LittleMemory

__all__ = [
    "Bandwidth",
    "Blackhole",
    "Evidence",
    "Fault",
    "Faults",
    "FewHandles",
    "FullDisk",
    "Hang",
    "Jitter",
    "Kill",
    "Latency",
    "LeasedStack",
    "LittleCpu",
    "LittleMemory",
    "Loss",
    "May",
    "Observed",
    "Partition",
    "Planned",
    "Play",
    "Question",
    "Reset",
    "Restart",
    "Schedule",
    "SlowClose",
    "Stall",
    "Stop",
]
