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
from fullspan.faults.process import Hang, Kill, Restart, Stop
from fullspan.faults.question import Question

__all__ = [
    "Bandwidth",
    "Blackhole",
    "Evidence",
    "Fault",
    "Faults",
    "Hang",
    "Jitter",
    "Kill",
    "Latency",
    "LeasedStack",
    "Loss",
    "Observed",
    "Partition",
    "Question",
    "Reset",
    "Restart",
    "SlowClose",
    "Stall",
    "Stop",
]
