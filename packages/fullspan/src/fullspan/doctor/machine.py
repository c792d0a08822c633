"""What every stack needs of the machine: memory, disk, processors, file handles, ports, and an even clock."""

import ctypes
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from fullspan.doctor.check import Check, Level
from fullspan.errors import StackError
from fullspan.stack.ports import hold_free_port

__all__ = ["ClockWatch", "disk", "handles", "look_at_machine", "memory"]

TOPIC: Final = "machine"
GIB: Final = 2**30
MEMORY_WANTED: Final = 2 * GIB
MEMORY_NEEDED: Final = GIB // 2
DISK_WANTED: Final = 4 * GIB
DISK_NEEDED: Final = GIB
HANDLES_WANTED: Final = 4_096
HANDLES_NEEDED: Final = 1_024
BUSY: Final = 1.5  # processes that want to run, per core
STEP_MS: Final = 20.0
_FIRST_DAY_NS: Final = 1_735_689_600 * 10**9  # 2025-01-01: fullspan is younger
_UNSYNCHRONISED: Final = 5  # TIME_ERROR of adjtimex(2)
_CGROUPS: Final = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def look_at_machine(var: Path, clock: "ClockWatch") -> Iterator[Check]:
    """Look at everything; the clock has been watched meanwhile."""
    yield memory(_available_memory())
    yield disk(var)
    yield _processors()
    yield handles(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield _loopback()
    yield clock.check()


def memory(available: int) -> Check:
    """Judge so many available bytes of memory."""
    return _ranked("memory", available, MEMORY_NEEDED, MEMORY_WANTED, "available", "End what uses it.")


def _available_memory() -> int:
    """Return the memory that can still be had, in bytes: of the machine, or of the control group that we are in."""
    available = [psutil.virtual_memory().available]
    for limit, used in _CGROUPS:
        try:
            available.append(int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")))
        except (OSError, ValueError):  # not there, or `max`
            continue
    return max(0, min(available))


def disk(var: Path) -> Check:
    """Look whether run-time state can be written below `var`, and how much."""
    there = next(folder for folder in (var, *var.parents) if folder.is_dir())
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".doctor-"):
            free = shutil.disk_usage(there).free
    except OSError as error:
        what = f"nothing can be written to {there}: {error.strerror}"
        return Check(TOPIC, "disk", Level.PROBLEM, what, "Give another folder with FULLSPAN_VAR.")
    return _ranked("disk", free, DISK_NEEDED, DISK_WANTED, f"free for {var}", "Make room, or set FULLSPAN_VAR.")


def _ranked(name: str, amount: int, needed: int, wanted: int, what: str, remedy: str) -> Check:
    detail = f"{amount / GIB:.1f} GiB {what}"
    if amount >= wanted:
        return Check(TOPIC, name, Level.OK, detail)
    level = Level.WARNING if amount >= needed else Level.PROBLEM
    least = needed if level is Level.PROBLEM else wanted
    return Check(TOPIC, name, level, f"{detail}, at least {least / GIB:.1f} GiB should be", remedy)


def _processors() -> Check:
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    detail = f"{cores} {'core' if cores == 1 else 'cores'}, load {load:.1f}"
    if load <= BUSY * cores:
        return Check(TOPIC, "processors", Level.OK, detail)
    return Check(TOPIC, "processors", Level.WARNING, detail, "Figures measured now are those of a busy machine.")


def handles(most: int) -> Check:
    """Judge how many files and sockets a process may have open at most; the supervisor raises its limit to that."""
    unlimited = most == resource.RLIM_INFINITY or most >= HANDLES_WANTED
    detail = "any number of open files" if most == resource.RLIM_INFINITY else f"{most:,} open files at most"
    if unlimited:
        return Check(TOPIC, "open files", Level.OK, detail)
    level = Level.WARNING if most >= HANDLES_NEEDED else Level.PROBLEM
    wanted = f"{detail}, {HANDLES_WANTED:,} should be allowed"
    return Check(TOPIC, "open files", level, wanted, "Raise the hard limit (ulimit -Hn).")


def _loopback() -> Check:
    try:
        hold_free_port().release()
    except StackError as error:
        return Check(TOPIC, "free ports", Level.PROBLEM, error.message, error.remedy)
    return Check(TOPIC, "free ports", Level.OK, "127.0.0.1 gives free ports")


@dataclass(frozen=True, slots=True)
class ClockWatch:
    """Watches whether the wall clock goes evenly beside the monotonic one, from `begin` on."""

    wall_ns: int
    mono_ns: int

    @classmethod
    def begin(cls) -> "ClockWatch":
        """Read both clocks."""
        return cls(*_both())

    def check(self) -> Check:
        """Judge the clock by what it did since."""
        wall, mono = _both()
        step_ms = ((wall - self.wall_ns) - (mono - self.mono_ns)) / 1e6
        name = "clock"
        if wall < _FIRST_DAY_NS:
            year = time.gmtime(wall // 10**9).tm_year
            return Check(TOPIC, name, Level.PROBLEM, f"it is the year {year} here", "Set the clock.")
        if abs(step_ms) > STEP_MS:
            detail = f"stepped by {step_ms:+.0f} ms within {(mono - self.mono_ns) / 1e9:.1f} s"
            remedy = "Latencies counted from due times would be wrong; let a time service slew it, not step it."
            return Check(TOPIC, name, Level.WARNING, detail, remedy)
        kept = {True: "kept by a time service", False: "kept by nobody", None: ""}[_synchronised()]
        return Check(TOPIC, name, Level.OK, ", ".join(filter(None, ("goes evenly", kept))))


def _both() -> tuple[int, int]:
    """Read the wall clock and the monotonic one at the same time: of some readings the one that took least."""
    readings = []
    for _ in range(5):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after - before, wall, (before + after) // 2))
    _, wall, mono = min(readings)
    return wall, mono


def _synchronised() -> bool | None:
    """Tell whether the kernel says that somebody keeps its clock; None when it does not say."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED
