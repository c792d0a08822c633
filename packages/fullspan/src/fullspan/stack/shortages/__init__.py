"""What a component can be made short of while it runs: handles, memory, processor time, disk."""

from fullspan.stack.shortages.cpu import LittleCpu
from fullspan.stack.shortages.disk import BALLAST, FullDisk
from fullspan.stack.shortages.limits import FewHandles, LittleMemory
from fullspan.stack.shortages.shortage import Shortage, Target
from fullspan.stack.shortages.shortages import KINDS, Shortages

__all__ = [
    "BALLAST",
    "KINDS",
    "FewHandles",
    "FullDisk",
    "LittleCpu",
    "LittleMemory",
    "Shortage",
    "Shortages",
    "Target",
]
