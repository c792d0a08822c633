"""What the components of a stack use of this machine: processor, memory, handles, threads and disk, from /proc."""

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fullspan.stack.processes import COMPONENT_TAG, Process, environment_of, living

__all__ = ["Meter", "Usage"]

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_YOUNG_S: Final = 5.0
_DISK_EVERY_S: Final = 5.0
_TIMED_S: Final = 0.25
_UTIME: Final = 11
_STIME: Final = 12
_THREADS: Final = 17


@dataclass(frozen=True, slots=True)
class Usage:
    """What one component used at one moment (CLOCK_MONOTONIC, ns).

    `cpu_percent` is of one processor since the last sample that has one, None when that was
    less than 0.25 s ago, and in the first. `memory_mb` is the resident memory of
    all its processes, 10^6 bytes; what they share is counted for each. `disk_mb` is the size of its folder, 10^6 bytes.
    """

    mono_ns: int
    component: str
    processes: int
    cpu_percent: float | None
    memory_mb: float
    handles: int
    threads: int
    disk_mb: float


class Meter:
    """Measures the components of one run. A process belongs to the component whose tag it carries, or its parent's."""

    def __init__(self, run_id: str, folders: dict[str, Path]) -> None:
        self._run_id = run_id
        self._folders = folders
        self._known: dict[tuple[int, int], str | None] = {}
        self._spent: dict[str, dict[tuple[int, int], float]] = {}
        self._at_ns = 0
        self._disk: dict[str, float] = {}
        self._disk_ns = 0

    def measure(self) -> list[Usage]:
        """Return what each component uses now; one without processes uses nothing but its disk."""
        now_ns = time.monotonic_ns()
        members = self._members()
        if now_ns - self._disk_ns > _DISK_EVERY_S * 1e9:
            self._disk = {name: _size(folder) / 1e6 for name, folder in self._folders.items()}
            self._disk_ns = now_ns
        # Processor time is counted in ticks of 10 ms, so a short while tells nothing of a rate.
        timed = now_ns - self._at_ns >= _TIMED_S * 1e9
        found = [self._usage(name, members.get(name, []), now_ns, timed) for name in self._folders]
        if timed:
            self._at_ns = now_ns
        return found

    def _members(self) -> dict[str, list[Process]]:
        """Return the processes of each component. Environments are read once: they are most of the work."""
        everybody = living()
        known: dict[tuple[int, int], str | None] = {}
        uptime_ticks = time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS
        for process in everybody:
            name = self._known.get(process.identity)
            young = uptime_ticks - process.start_time < _YOUNG_S * _TICKS
            # A child has its parent's environment until it becomes another program, so the young are asked again.
            if process.identity not in self._known or (name is None and young):
                name = self._component_of(process)
            known[process.identity] = name
        self._known = known
        found: dict[str, list[Process]] = {}
        names = {process.pid: known[process.identity] for process in everybody}
        for process in everybody:
            name = names[process.pid] or names.get(process.parent)
            if name is not None:
                found.setdefault(name, []).append(process)
        return found

    def _component_of(self, process: Process) -> str | None:
        tag = environment_of(process.pid).get(COMPONENT_TAG, "")
        run_id, _, name = tag.rpartition("/")
        return name if run_id == self._run_id and name in self._folders else None

    def _usage(self, name: str, processes: Iterable[Process], now_ns: int, timed: bool) -> Usage:
        spent: dict[tuple[int, int], float] = {}
        memory = handles = threads = 0
        for process in processes:
            with contextlib.suppress(OSError, IndexError, ValueError):  # it may end while it is looked at
                fields = (_PROC / str(process.pid) / "stat").read_bytes().rpartition(b")")[2].split()
                spent[process.identity] = (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS
                threads += int(fields[_THREADS])
                memory += int((_PROC / str(process.pid) / "statm").read_bytes().split()[1]) * _PAGE
                handles += sum(1 for _ in os.scandir(_PROC / str(process.pid) / "fd"))
        percent = None
        before = self._spent.get(name)
        if timed:
            self._spent[name] = spent
        if before is not None and timed:
            # What began since then has spent all of its time since then.
            used = sum(seconds - before.get(identity, 0.0) for identity, seconds in spent.items())
            percent = round(100 * used / ((now_ns - self._at_ns) / 1e9), 1)
        return Usage(
            now_ns, name, len(spent), percent, round(memory / 1e6, 3), handles, threads, round(self._disk[name], 3)
        )


def _size(folder: Path) -> int:
    """Return the bytes that a folder takes on its disk."""
    total = 0
    pending = [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total
