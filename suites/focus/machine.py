"""Whether the machine was ours while we measured: where others have the processors, lateness tells nothing.

Others are the host of a virtual machine, and all processes that belong to no run of fullspan and are not this one's.
"""

import dataclasses
import os
from pathlib import Path

from fullspan.invariants import Finding
from fullspan.stack.processes import RUN_TAG, environment_of
from fullspan.verdict import Verdict

STOLEN_SHARE = 0.02
"""Of the processors' time; a machine that was left alone has none stolen."""
FOREIGN_SHARE = 0.15
"""Of the processors' time; the rest of a machine that was left alone takes a few percent of it."""
_PROC = Path("/proc")
_INIT = 1
_STEAL = 7
_USER_NICE_SYSTEM = slice(0, 3)


class Machine:
    """Who had the processors since this was made."""

    def __init__(self) -> None:
        self._began = _ticks()
        self._processes = look()

    @property
    def stolen(self) -> float:
        """The share of all processors' time that the host took, 0 to 1; Linux counts it as steal time."""
        spent = self._spent()
        return spent[_STEAL] / max(1, sum(spent))

    @property
    def foreign(self) -> float:
        """The share of all processors' time that processes had which are not ours, 0 to 1."""
        spent, ours = self._spent(), ours_ticks(self._processes, look())
        return max(0, sum(spent[_USER_NICE_SYSTEM]) - ours) / max(1, sum(spent))

    def taken(self) -> str:
        """Say who took the processors, if that is too much to judge how long something took; empty otherwise."""
        if (stolen := self.stolen) > STOLEN_SHARE:
            return f"the host took {100 * stolen:.0f} % of the processors' time"
        if (foreign := self.foreign) > FOREIGN_SHARE:
            return f"other programs took {100 * foreign:.0f} % of the processors' time"
        return ""

    def judge(self, finding: Finding) -> Finding:
        """Return a finding on how long something took: one that fails on a machine that was not ours tells nothing."""
        if finding.verdict is not Verdict.FAIL or not (taken := self.taken()):
            return finding
        return dataclasses.replace(
            finding, verdict=Verdict.INCONCLUSIVE, summary=f"{finding.summary}; meanwhile {taken}"
        )

    def _spent(self) -> list[int]:
        return [now - began for now, began in zip(_ticks(), self._began, strict=True)]


@dataclasses.dataclass(frozen=True)
class Process:
    """A process at one moment; its ticks are those that it and its children which have ended have had."""

    parent: int
    ticks: int
    tagged: bool


def look() -> dict[int, Process]:
    """Return all processes by their numbers."""
    return {
        int(entry.name): process
        for entry in _PROC.iterdir()
        if entry.name.isdecimal() and (process := _process(entry)) is not None
    }


def ours_ticks(began: dict[int, Process], now: dict[int, Process]) -> int:
    """Return the processor time between two looks of all that is ours: of runs, of this process, and its children.

    A process that has ended is counted by its parent, so who started a part of a run is ours as well; and what either
    had before the first look counts for nothing, whatever became of it.
    """
    known = {**began, **now}
    ours = {os.getpid()}
    while more := {pid for pid, process in known.items() if process.parent in ours} - ours:
        ours |= more
    runs = {pid for pid, process in known.items() if process.tagged}
    ours |= runs | {known[pid].parent for pid in runs} - {_INIT}

    # Who has ended without a parent of ours to count it is counted by nobody any more.
    left = {pid for pid in ours if pid in now or known[pid].parent in ours}
    return sum(now[pid].ticks for pid in left & now.keys()) - sum(began[pid].ticks for pid in left & began.keys())


def _process(folder: Path) -> Process | None:
    try:
        fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:  # it has ended
        return None
    return Process(
        int(fields[1]), sum(int(ticks) for ticks in fields[11:15]), RUN_TAG in environment_of(int(folder.name))
    )


def _ticks() -> list[int]:
    """Return user, nice, system, idle, iowait, irq, softirq and steal time of all processors, in ticks."""
    line = (_PROC / "stat").read_text(encoding="ascii").splitlines()[0]
    return [int(word) for word in line.split()[1:9]]
