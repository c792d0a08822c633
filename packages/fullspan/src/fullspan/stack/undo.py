"""The undo list: what has to be done to the machine when a run dies, on disk before the run does its part.

Records are typed and carry what they need to hit nothing else: a process by pid and start time, a tag, a path below the
run's own folder. A reader takes this schema only; an unfinished last line is the act that was never begun.
"""

import json
import os
import shutil
import signal
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Final, Self, TypeAlias

from fullspan.errors import Outlived
from fullspan.stack.processes import look_up, send
from fullspan.stack.survivors import kill_run

__all__ = ["KillTagged", "Remove", "Signal", "UndoList", "read_undo", "write_undo"]

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class KillTagged:
    """Kill everything that carries the tag of a run, until nothing does.

    `outlived`: pid and start time of what has outlived that before, and may have lost its tag since.
    """

    kind: ClassVar[str] = "kill-tagged"
    run_id: str
    outlived: tuple[tuple[int, int], ...] = ()

    @classmethod
    def again(cls, error: Outlived) -> Self:
        """Return what is still to be done after it was tried in vain."""
        return cls(error.run_id, tuple(error.processes))

    def undo(self) -> str | None:
        """Do it, and say what was done, None when there was nothing to do; raises Outlived."""
        killed = kill_run(self.run_id, self.outlived)
        names = ", ".join(sorted({f"{process.name} ({process.pid})" for process in killed}))
        noun = "process" if len(killed) == 1 else "processes"
        return f"killed {len(killed)} {noun}: {names}" if killed else None


@dataclass(frozen=True, slots=True)
class Signal:
    """Signal one process, if it is still the same one: SIGCONT for what was made to stand still."""

    kind: ClassVar[str] = "signal"
    pid: int
    start_time: int
    signal: str

    def undo(self) -> str | None:
        """Do it, and say what was done, None when the process has gone."""
        process = look_up(self.pid, self.start_time)
        sent = process is not None and send(process, signal.Signals[self.signal])
        return f"sent {self.signal} to {self.pid}" if sent else None


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file or a folder."""

    kind: ClassVar[str] = "remove"
    path: str

    def undo(self) -> str | None:
        """Do it; it is not worth a word."""
        path = Path(self.path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        return None


Undo: TypeAlias = KillTagged | Signal | Remove
_KINDS: Final[dict[str, type[Undo]]] = {record.kind: record for record in (KillTagged, Signal, Remove)}


class UndoList:
    """Appends records; each is on disk when `add` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 0

    def add(self, record: Undo) -> int:
        """Write down what will have to be undone; the number it gets is for `done`."""
        self._next += 1
        self._write({"schema": SCHEMA, "number": self._next, "undo": record.kind, **asdict(record)})
        return self._next

    def done(self, number: int) -> None:
        """Write down that it has been undone, or that there is nothing to undo any more."""
        self._write({"schema": SCHEMA, "done": number})

    def _write(self, record: dict[str, object]) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, (json.dumps(record) + "\n").encode())
        finally:
            os.close(handle)


def read_undo(path: Path) -> list[Undo]:
    """Return what is still to be undone, the latest first."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return []
    waiting: dict[int, Undo] = {}
    for fields in map(json.loads, lines):
        if fields.pop("schema") != SCHEMA:
            continue
        if "done" in fields:
            waiting.pop(fields["done"], None)
        else:
            number, kind = fields.pop("number"), fields.pop("undo")
            if "outlived" in fields:
                fields["outlived"] = tuple((pid, began) for pid, began in fields["outlived"])
            waiting[number] = _KINDS[kind](**fields)
    return list(reversed(waiting.values()))


def write_undo(path: Path, records: Sequence[Undo]) -> None:
    """Put a list in place of another one, the latest first as `read_undo` gives it; what was cut off there is gone."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    undo = UndoList(new)
    for record in reversed(records):
        undo.add(record)
    new.replace(path)


def undo_all(records: Iterable[Undo]) -> list[str]:
    """Undo everything; return what was worth a word. Raises Outlived, and then the rest is still to be undone."""
    return [said for record in records if (said := record.undo())]
