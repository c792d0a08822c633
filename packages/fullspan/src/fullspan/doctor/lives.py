"""Which stacks of this machine live: their supervisors, and the runs that these own."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from fullspan.errors import StackError
from fullspan.stack.lock import StackLock
from fullspan.stack.processes import Process, environment_of, living, look_up
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.state import StackState, read_state

__all__ = ["Lives", "folder_of", "is_held"]

_SUPERVISOR: Final = "fullspan.stack.supervisor"
_RUN_FOLDER: Final = re.compile(r"^(?P<var>/.+)/run/(?P<name>[^/]+)/components/[^/]+/")
_INSIDE: Final = ("HOME", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Lives:
    """The living stacks, by what can be seen of them: their state files, and their supervisors' command lines."""

    states: Mapping[Path, StackState]
    supervisors: Mapping[int, Path]
    """Of every living supervisor, the folder of run-time state that it was started for."""

    @classmethod
    def look(cls, places: Sequence[Path], found: Mapping[str, Iterable[Process]]) -> Self:
        """Look at the given folders, those of all living supervisors, and those that the processes found live in."""
        supervisors = _supervisors()
        folders = {*places, *supervisors.values()}
        for processes in found.values():
            folders |= {folder.var for process in processes if (folder := folder_of(process))}
        states: dict[Path, StackState] = {}
        for path in (path for var in folders for path in (var / "run").glob("*/state.json")):
            try:
                state = read_state(path)
            except StackError:
                continue  # of a version that we cannot read; its lock tells whether it lives
            if state is not None and state.supervisor.alive:
                states[path] = state
        return cls(states, supervisors)

    def owns(self, run_id: str) -> bool:
        """Tell whether a living supervisor owns a run."""
        return any(state.run_id == run_id for state in self.states.values())

    def holds(self, folder: RunFolder) -> bool:
        """Tell whether a living supervisor has its state in a folder."""
        return folder.state in self.states

    def stateless(self, var: Path) -> list[int]:
        """Return the supervisors below `var` that no state tells of.

        Such a one just begins or ends, or its folder was removed under it: what is there may be its.
        """
        known = {state.supervisor.pid for state in self.states.values()}
        return [pid for pid, place in self.supervisors.items() if place == var and pid not in known]

    def may_own(self, processes: Iterable[Process]) -> int | None:
        """Return the supervisor that may own processes though no state says so: their parent, or one of their place."""
        for process in processes:
            home = folder_of(process)
            near = self.stateless(home.var) if home is not None else []
            if process.parent in self.supervisors or near:
                return process.parent if process.parent in self.supervisors else near[0]
        return None

    def ghosts(self, var: Path) -> list[str]:
        """Tell of the living supervisors below `var` whose folder was removed, so that nobody finds them any more."""
        return [
            f"the supervisor {pid} runs a stack whose folder was removed; `kill -TERM {pid}` takes it down in order"
            for pid, place in self.supervisors.items()
            if place == var and _lost_its_lock(pid)
        ]


def folder_of(process: Process) -> RunFolder | None:
    """Return the run folder that a component's process was started in, as its environment tells."""
    environment = environment_of(process.pid)
    matches = (_RUN_FOLDER.match(f"{environment.get(name, '')}/") for name in _INSIDE)
    return next((RunFolder(Path(match["var"]), match["name"]) for match in matches if match), None)


def is_held(folder: RunFolder) -> bool:
    """Tell whether a supervisor or a janitor holds a run folder; the lock is let go of at once."""
    if not folder.lock.exists():
        return False
    lock = StackLock(folder.lock)
    try:
        return not lock.take()
    finally:
        lock.close()


def _supervisors() -> dict[int, Path]:
    found = {}
    for process in living():
        words = _arguments(process.pid)
        if _SUPERVISOR in words and "--var" in words[:-1]:
            found[process.pid] = Path(words[words.index("--var") + 1])
    return found


def _arguments(pid: int) -> list[str]:
    try:
        return [os.fsdecode(word) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    except OSError:
        return []


def _lost_its_lock(pid: int) -> bool:
    """Tell whether a supervisor holds the lock of a file that is no longer there."""
    try:
        handles = [str(handle.readlink()) for handle in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any(handle.endswith("/lock (deleted)") for handle in handles) and look_up(pid) is not None
