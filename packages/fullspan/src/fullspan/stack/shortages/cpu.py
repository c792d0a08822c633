"""A shortage of processor time: the component stands still for a part of every tenth of a second."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from fullspan.stack.processes import Process, send
from fullspan.stack.shortages.shortage import Shortage, Target

__all__ = ["LittleCpu"]

_PERIOD_S: Final = 0.1
# To find a component's processes takes a look at every process of the machine.
_LOOK_AGAIN_S: Final = 1.0
# Standing up again and looking for something to do takes less than this part of a turn.
_WORK: Final = 0.1


@dataclass
class LittleCpu(Shortage):
    """Processor time: the component runs for `share` (above 0, below 1) of the time, and stands still in between.

    `seen` tells how often it was stopped, in how many of the turns between it worked (one of its threads was running at
    the end of it, or it used a good part of it), and for how many seconds it stood still in all. A component that had
    nothing to do lacked nothing.
    """

    kind: ClassVar[str] = "cpu"
    share: float = 0.1
    _task: "asyncio.Task[None] | None" = field(default=None, init=False)
    _stops: int = field(default=0, init=False)
    _busy: int = field(default=0, init=False)
    _used_s: float = field(default=0.0, init=False)
    _held_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share is {self.share}; give a part of the time between 0 and 1 (0.1 is a tenth)")

    async def begin(self, target: Target) -> None:
        """Begin to let it stand still."""
        processes = await asyncio.to_thread(target.processes)
        self._task = asyncio.create_task(self._run(target, processes), name=f"little cpu for {target.id}")

    async def end(self, target: Target) -> None:
        """Let it go on for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    def seen(self) -> Mapping[str, float]:
        """Return how often and for how long it was held up."""
        return {"stops": self._stops, "busy_stops": self._busy, "held_s": self._held_s}

    async def _run(self, target: Target, processes: list[Process]) -> None:
        looked_at = time.monotonic()
        while True:
            # Another act, a hang for example, must not be undone by letting the component go on.
            async with target.acting:
                if target.running:
                    if time.monotonic() - looked_at > _LOOK_AGAIN_S:
                        processes = await asyncio.to_thread(target.processes)
                        looked_at = time.monotonic()
                    await self._hold(processes)
            await asyncio.sleep(_PERIOD_S * self.share)

    async def _hold(self, processes: list[Process]) -> None:
        """Let it stand still for the rest of one period."""
        began = time.monotonic()
        worked_s = sum(_used_s(process.pid) for process in processes) - self._used_s
        running = any(_is_running(process.pid) for process in processes)
        self._busy += running or (self._stops > 0 and worked_s > _WORK * _PERIOD_S * self.share)
        self._stops += 1
        try:
            for process in processes:
                send(process, signal.SIGSTOP)
            await asyncio.sleep(_PERIOD_S * (1 - self.share))
            self._used_s = sum(_used_s(process.pid) for process in processes)
        finally:
            for process in processes:
                send(process, signal.SIGCONT)
            self._held_s += time.monotonic() - began


def _used_s(pid: int) -> float:
    """Return how long the threads of a process that live now were on a processor, seconds."""
    used_ns = 0
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            used_ns += int((thread / "schedstat").read_text().split()[0])
    return used_ns / 1e9


def _is_running(pid: int) -> bool:
    """Tell whether a thread of a process runs, or would if there were a processor for it."""
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            if (thread / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "R":
                return True
    return False
