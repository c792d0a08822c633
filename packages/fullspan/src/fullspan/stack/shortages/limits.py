"""Shortages that the kernel's limits of a process make: of handles, and of memory."""

import asyncio
import contextlib
import itertools
import os
import resource
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from fullspan.errors import StackError
from fullspan.stack.processes import Process
from fullspan.stack.shortages.shortage import Shortage, Target

__all__ = ["FewHandles", "LittleMemory"]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

Limit = tuple[int, int]


@dataclass
class _Limited(Shortage):
    """Lowers a soft limit of every process of the component; children that are born meanwhile inherit it."""

    number: ClassVar[int]
    _before: dict[tuple[int, int], Limit] = field(default_factory=dict, init=False)
    _lowered: set[int] = field(default_factory=set, init=False)

    @abstractmethod
    def _limit(self, process: Process) -> int:
        """Return the limit at which a process has what it has now, and as much more as it is left; OSError if gone."""

    async def begin(self, target: Target) -> None:
        """Lower the limits."""
        try:
            await asyncio.to_thread(self._lower, target)
        except PermissionError as error:
            await self.end(target)
            raise StackError(
                f"The limits of component {target.id!r} cannot be changed ({error.strerror}).",
                "It runs as another user; run fullspan as root or as the same user.",
            ) from error
        if not self._before:
            raise StackError(f"Component {target.id!r} has no process whose limits could be lowered.")

    def _lower(self, target: Target) -> None:
        for process in target.processes():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                soft, hard = resource.prlimit(process.pid, self.number)
                lowered = self._limit(process)
                if soft == resource.RLIM_INFINITY or lowered < soft:
                    self._before[process.identity] = (soft, hard)
                    self._lowered.add(lowered)
                    resource.prlimit(process.pid, self.number, (lowered, hard))

    async def end(self, target: Target) -> None:
        """Raise the limits to what they were, those of children too that inherited a low one."""
        await asyncio.to_thread(self._raise, target)

    def _raise(self, target: Target) -> None:
        usual = next(iter(self._before.values()), None)
        for process in target.processes():
            with contextlib.suppress(ProcessLookupError):
                before = self._before.get(process.identity)
                if before is None and resource.prlimit(process.pid, self.number)[0] in self._lowered:
                    before = usual
                if before is not None:
                    resource.prlimit(process.pid, self.number, before)


@dataclass
class FewHandles(_Limited):
    """Files and connections: each process can open `spare` more than it has open now."""

    kind: ClassVar[str] = "handles"
    number: ClassVar[int] = resource.RLIMIT_NOFILE
    spare: int = 0

    def __post_init__(self) -> None:
        if self.spare < 0:
            raise ValueError(f"spare is {self.spare}; give a number of handles that is not negative")

    def _limit(self, process: Process) -> int:
        # The limit is on the number of a handle, and a process gets the lowest that is free.
        taken = {int(entry.name) for entry in Path(f"/proc/{process.pid}/fd").iterdir()}
        return next(itertools.islice((number for number in itertools.count() if number not in taken), self.spare, None))


@dataclass
class LittleMemory(_Limited):
    """Memory: each process can take `spare_bytes` more of address space than it has now."""

    kind: ClassVar[str] = "memory"
    number: ClassVar[int] = resource.RLIMIT_AS
    spare_bytes: int = 0

    def __post_init__(self) -> None:
        if self.spare_bytes < 0:
            raise ValueError(f"spare_bytes is {self.spare_bytes}; give a number of bytes that is not negative")

    def _limit(self, process: Process) -> int:
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
        return pages * _PAGE + self.spare_bytes
