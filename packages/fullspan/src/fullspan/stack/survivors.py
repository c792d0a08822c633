"""The end of all processes of a run; those that outlive SIGKILL are named, with what holds them, and not forgotten."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fullspan.errors import Outlived
from fullspan.stack.processes import (
    COMPONENT_TAG,
    RUN_TAG,
    Process,
    environment_of,
    kill_until_gone,
    look_up,
    tagged,
)

__all__ = ["KILLING_S", "kill_run"]

KILLING_S: Final = 20.0
"""For how long a run's processes are killed before it is said that they outlive it, s."""


def kill_run(run_id: str, also: Iterable[tuple[int, int]] = ()) -> list[Process]:
    """Kill all processes of a run until none is left; return those that were killed.

    `also`: pid and start time of processes that may have lost their tag, as they do on their way out. Raises Outlived
    when one is still there after `KILLING_S` seconds.
    """
    known = tuple(also)

    def find() -> list[Process]:
        return [*tagged(RUN_TAG, run_id), *filter(None, (look_up(*identity) for identity in known))]

    killed = kill_until_gone(find, KILLING_S)
    if left := [now for process in killed if (now := look_up(*process.identity))]:
        raise Outlived(run_id, KILLING_S, {process.identity: _told(process) for process in left})
    return killed


def _told(process: Process) -> str:
    """Return which process it is, and what holds it."""
    component = environment_of(process.pid).get(COMPONENT_TAG, "").rpartition("/")[2]
    part = f", of component {component!r}" if component else ""
    return f"{process.name} (pid {process.pid}{part}) {_held_by(process)}"


def _held_by(process: Process) -> str:
    if process.state == "D":
        return "waits inside the kernel, for a disk or a file system that does not answer"
    if process.state == "t" and (tracer := _tracer(process)):
        return f"is held by its tracer, {tracer.name} (pid {tracer.pid})"
    return f"does not end (state {process.state})"


def _tracer(process: Process) -> Process | None:
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    pid = next((int(line.split()[1]) for line in lines if line.startswith("TracerPid:")), 0)
    return look_up(pid) if pid else None
