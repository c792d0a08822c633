"""Processes of the machine as /proc shows them: who they are, which belong together, and signals that cannot go astray.

A process is named by pid and start time, because pids come round again. What belongs to a run is found by a tag in the
environment, which every descendant inherits, also one that left its parent and its session.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = [
    "COMPONENT_TAG",
    "RUN_TAG",
    "Process",
    "Test",
    "environment_of",
    "kill_until_gone",
    "living",
    "look_up",
    "runs",
    "send",
    "session_of",
    "signal_until",
    "tagged",
    "wait_until",
]

RUN_TAG: Final = "FULLSPAN_RUN"
COMPONENT_TAG: Final = "FULLSPAN_COMPONENT"
_PROC: Final = Path("/proc")
_GONE: Final = "ZX"
_THREADS: Final = 17
_POLL_S: Final = 0.01
_SOON_S: Final = 1.0
_SELDOM_S: Final = 0.1

Find = Callable[[], "Sequence[Process]"]
Test = Callable[["Process"], bool]


@dataclass(frozen=True, slots=True)
class Process:
    """One process: `start_time` is in clock ticks since boot, `state` the letter of /proc (R S D T Z ...)."""

    pid: int
    start_time: int
    state: str
    parent: int
    session: int
    name: str

    @property
    def identity(self) -> tuple[int, int]:
        """What stays the same as long as the process lives: pid and start time."""
        return self.pid, self.start_time

    @property
    def stands(self) -> bool:
        """Whether it stands still: stopped by a signal or by a tracer."""
        return self.state in "Tt"


def look_up(pid: int, start_time: int | None = None) -> Process | None:
    """Return the living process of that pid (and start time, when given), or None; a zombie is not living.

    The first thread of a killed process is a zombie at once, while others may still hold its ports: that is living.
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    found = Process(pid, int(fields[19]), fields[0], int(fields[1]), int(fields[3]), name)
    gone = found.state in _GONE and int(fields[_THREADS]) <= 1
    if gone or (start_time is not None and found.start_time != start_time):
        return None
    return found


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]


def living() -> list[Process]:
    """Return all living processes of this machine."""
    return [process for pid in _pids() if (process := look_up(pid))]


def tagged(name: str, value: str) -> list[Process]:
    """Return the living processes that have `name=value` in their environment; never this one."""
    needle = f"{name}={value}".encode()
    found = []
    for pid in _pids():
        if pid == os.getpid():
            continue
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        if needle in environment.split(b"\0") and (process := look_up(pid)):
            found.append(process)
    return found


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment with which a process began; nothing when it has gone or belongs to somebody else."""
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in environment.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def runs() -> dict[str, list[Process]]:
    """Return the living processes of all runs of this machine that may be seen, by run; never this one."""
    found: dict[str, list[Process]] = {}
    for pid in _pids():
        run_id = environment_of(pid).get(RUN_TAG)
        if run_id and pid != os.getpid() and (process := look_up(pid)):
            found.setdefault(run_id, []).append(process)
    return found


def session_of(pid: int) -> list[Process]:
    """Return the living processes of the session that `pid` leads or led, and all descendants of these."""
    everybody = living()
    family = {process.pid for process in everybody if process.session == pid or process.pid == pid}
    grew = bool(family)
    while grew:
        more = {process.pid for process in everybody if process.parent in family} - family
        family |= more
        grew = bool(more)
    return [process for process in everybody if process.pid in family]


def send(process: Process, number: signal.Signals) -> bool:
    """Signal exactly this process; False when it is gone. A later process of the same pid is never hit."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if look_up(process.pid, process.start_time) is None:
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def wait_until(condition: Callable[[], bool], deadline_s: float, poll_s: float = _POLL_S) -> bool:
    """Wait for a condition of the machine's processes; False when it is still not true after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(poll_s)
    return True


def kill_until_gone(find: Find, deadline_s: float = 5.0) -> list[Process]:
    """Kill what `find` returns, again and again until it returns nothing; return the processes that were killed.

    Killing once is not enough: a process may fork between being seen and being killed. And a process that is not found
    any more may still live: on its way out it loses its environment, and with it its tag, before it gives up its ports.
    What does not go within a second is looked at less often.
    """
    killed: dict[tuple[int, int], Process] = {}

    def nothing_left() -> bool:
        found = find()
        for process in found:
            if send(process, signal.SIGKILL):
                killed[process.identity] = process
        return not found and not any(look_up(*identity) for identity in killed)

    wait_until(nothing_left, min(deadline_s, _SOON_S)) or wait_until(nothing_left, deadline_s - _SOON_S, _SELDOM_S)
    return list(killed.values())


def signal_until(find: Find, number: signal.Signals, done: Test, deadline_s: float) -> bool:
    """Signal what `find` returns until all of it is `done` and there is something; False when the time is over."""

    def all_done() -> bool:
        found = find()
        for process in found:
            if not done(process):
                send(process, number)
        return bool(found) and all(done(process) for process in found)

    return wait_until(all_done, deadline_s)
