"""What earlier runs of a project have left: a run folder of a stack that died, processes of a run whose stack is gone.

Nothing that lives is residue. A run folder lives while its lock is held, by the supervisor or by a janitor that still
cleans up; a process lives while any supervisor of this machine owns its run. The proxies of links are part of the
supervisor, so they end with it. What is removed is removed by the janitor's own code.
"""

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from fullspan.doctor.lives import Lives, folder_of, is_held
from fullspan.errors import StackError
from fullspan.stack.janitor import clean_up
from fullspan.stack.lock import StackLock
from fullspan.stack.plan import is_run_id
from fullspan.stack.processes import RUN_TAG, Process, look_up, runs
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.state import StackState, read_state
from fullspan.stack.survivors import kill_run

__all__ = ["DeadRun", "Found", "Leftover", "Residue", "StrayProcesses", "find_residue"]

_PART_S: Final = 60.0  # a file is written in an instant; one this old was never finished
_PARTS: Final = ("bundles/*/**/.*.part", "bundles/*/*.part", "run/*/*.new", "run/*.part")


class Residue(ABC):
    """Something that an earlier run has left."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def detail(self) -> str:
        """What it is, in words."""

    @abstractmethod
    def remove(self) -> str | None:
        """Remove it; return what was done, in words, or None when it is in use after all: then nothing was done.

        Raises Outlived when processes do not go, and OSError.
        """


@dataclass(frozen=True, slots=True)
class DeadRun(Residue):
    """The run folder of a stack whose supervisor has died, and whose janitor did not clean up."""

    kind: ClassVar[str] = "run folder"
    folder: RunFolder

    @property
    def detail(self) -> str:
        """Whose folder it is, and what is in it."""
        names = ", ".join(path.name for path in _leftovers(self.folder))
        return f"{self.folder.path} holds {names} of {_who_died(self.folder)}"

    def remove(self) -> str | None:
        """Do what the janitor would have done; the lock keeps everybody else away meanwhile."""
        never_locked = not self.folder.lock.exists()
        lock = StackLock(self.folder.lock)
        try:
            if not lock.take():
                return None
            state = _state(self.folder)
            lives = Lives.look([self.folder.var], {})
            if lives.holds(self.folder) or lives.stateless(self.folder.var):
                return None
            left = [path.name for path in _leftovers(self.folder)]
            said = clean_up(self.folder)
            if state is not None:
                said += _killed(state.run_id)
            self.folder.clear()
            self.folder.state.with_suffix(".new").unlink(missing_ok=True)
            if never_locked:
                _remove_if_empty(self.folder)
        finally:
            lock.close()
        return "; ".join([f"removed {', '.join(left)}", *said])


@dataclass(frozen=True, slots=True)
class StrayProcesses(Residue):
    """Living processes that carry the tag of a run that no supervisor owns."""

    kind: ClassVar[str] = "processes"
    run_id: str
    processes: tuple[Process, ...]
    var: Path

    @property
    def detail(self) -> str:
        """Which processes, and of which run."""
        return f"{_names(self.processes)} of the run {self.run_id}, whose stack is gone"

    def remove(self) -> str | None:
        """Kill them, unless their stack lives after all."""
        lives = Lives.look([self.var], {self.run_id: self.processes})
        if lives.owns(self.run_id) or lives.may_own(self.processes):
            return None
        return "; ".join(_killed(self.run_id)) or "they have gone by themselves"


@dataclass(frozen=True, slots=True)
class Leftover(Residue):
    """A file that was never finished: it is only ever there for an instant, and then gets its own name."""

    kind: ClassVar[str] = "unfinished file"
    path: Path

    @property
    def detail(self) -> str:
        """Where it is."""
        return f"{self.path} was never finished"

    def remove(self) -> str | None:
        """Remove it."""
        if self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)
        return "removed"


@dataclass(frozen=True, slots=True)
class Found:
    """What earlier runs have left, what is left alone and why, and how many runs of other projects have left some."""

    residue: tuple[Residue, ...]
    left_alone: tuple[str, ...] = ()
    elsewhere: int = 0


def find_residue(var: Path, project: Path, *, everywhere: bool = False) -> Found:
    """Look for what earlier runs of a project have left; `everywhere` takes in the stray processes of all others."""
    # The processes first: whoever owns one of them had put its state on disk before it was started.
    found = runs()
    lives = Lives.look([var], found)
    folders = [RunFolder(var, path.name) for path in sorted((var / "run").glob("*/"))]
    left = [folder for folder in folders if _leftovers(folder) and not lives.holds(folder)]
    held = left if lives.stateless(var) else [folder for folder in left if is_held(folder)]
    dead = [folder for folder in left if folder not in held]
    with_folder = {state.run_id for folder in dead if (state := _state(folder))}
    notes = [f"{folder.path} is in use: its janitor cleans up, or its stack begins or ends" for folder in held]
    strays: list[Residue] = []
    elsewhere = 0
    for run_id, processes in sorted(found.items()):
        if lives.owns(run_id) or run_id in with_folder:
            continue
        stray = StrayProcesses(run_id, tuple(processes), var)
        reason = _hands_off(stray, lives)
        if not everywhere and not _is_of(stray, project):
            elsewhere += reason is None
        elif reason is not None:
            notes.append(f"{_names(stray.processes)} of the run {run_id}: {reason}")
        else:
            strays.append(stray)
    parts = [Leftover(path) for path in _unfinished(var)]
    residue = (*(DeadRun(folder) for folder in dead), *strays, *parts)
    return Found(residue, (*notes, *lives.ghosts(var)), elsewhere)


def _hands_off(stray: StrayProcesses, lives: Lives) -> str | None:
    """Return why processes must not be touched, None when they may be."""
    if stray.run_id == os.environ.get(RUN_TAG):
        return "the doctor itself carries its tag"
    if owner := lives.may_own(stray.processes):
        return f"the supervisor {owner} may own them, although no state says so"
    homes = [folder for process in stray.processes if (folder := folder_of(process))]
    if any(is_held(folder) and not lives.holds(folder) for folder in homes):
        return "somebody still holds its folder"
    starter = None if is_run_id(stray.run_id) else _starter(stray.processes)
    return f"{_names([starter])} started it and lives" if starter else None


def _is_of(stray: StrayProcesses, project: Path) -> bool:
    """Tell whether a run was one of this project: by its folder, an undo list, or where its processes are."""
    homes = [folder for process in stray.processes if (folder := folder_of(process))]
    if homes:
        return any(folder.var == stray.var for folder in homes)
    if any(stray.run_id in _text(undo) for undo in (stray.var / "run").glob("*/undo.jsonl")):
        return True
    places = map(_place, stray.processes)
    return any(place.is_relative_to(project) or place.is_relative_to(stray.var) for place in places)


def _starter(processes: Sequence[Process]) -> Process | None:
    """Return a living process that started one of these and is none of them; one that lost its parent has none.

    No stack ever had such a run's name, so whoever started it, a test for example, may still need it.
    """
    pids = {process.pid for process in processes}
    parents = (look_up(process.parent) for process in processes if process.parent not in pids)
    return next((parent for parent in parents if parent and parent.pid != 1 and parent.name != "systemd"), None)


def _place(process: Process) -> Path:
    """Return the current folder of a process; the root when it has gone."""
    try:
        return Path(f"/proc/{process.pid}/cwd").readlink()
    except OSError:
        return Path("/")


def _leftovers(folder: RunFolder) -> list[Path]:
    """Return what a stack that ended in order has removed from its folder."""
    return [path for path in (folder.state, folder.control, folder.undo, folder.components) if path.exists()]


def _state(folder: RunFolder) -> StackState | None:
    try:
        return read_state(folder.state)
    except StackError:
        return None  # of another version, or cut off


def _who_died(folder: RunFolder) -> str:
    state = _state(folder)
    return f"a stack whose supervisor (pid {state.supervisor.pid}) has died" if state else "a stack that is gone"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _unfinished(var: Path) -> list[Path]:
    limit = time.time() - _PART_S
    found = {path for pattern in _PARTS for path in var.glob(pattern)}
    return sorted(path for path in found if path.exists() and path.lstat().st_mtime < limit)


def _killed(run_id: str) -> list[str]:
    killed = kill_run(run_id)
    return [f"killed {_names(killed)}"] if killed else []


def _names(processes: Iterable[Process]) -> str:
    return ", ".join(sorted({f"{process.name} (pid {process.pid})" for process in processes}))


def _remove_if_empty(folder: RunFolder) -> None:
    """Remove a folder that no stack has ever used: nothing is in it but the lock that was made just now."""
    if all(path == folder.lock for path in folder.path.iterdir()):
        shutil.rmtree(folder.path)
