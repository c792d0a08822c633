"""What a replay keeps from run to run in its state folder: the grid it plays on, the last epoch, the outbox."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from focus_server.errors import FocusError
from focus_server.fiber.grid import NANOSECONDS, FiberGrid
from focus_server.lock import only_one

GRID_FILE: Final = "grid.json"
LOCK_FILE: Final = "replay.lock"
OUTBOX_FOLDER: Final = "outbox"

Number = Annotated[int, Field(ge=0, lt=2**63)]


class _StoredGrid(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(default=1, alias="schema")
    t0_ns: Number
    fs_num: Number
    fs_den: Number
    epoch: Number


@dataclass(frozen=True, slots=True)
class ReplayState:
    """The grid of this run, its epoch (greater than every former one) and the folder of its outbox."""

    grid: FiberGrid
    epoch: int
    outbox: Path


@contextmanager
def replay_state(folder: Path, rate: Fraction, before_s: float = 0.0) -> Iterator[ReplayState]:
    """Open the state folder for one run, alone.

    A restarted replay goes on on the same grid, so the time it was away is a gap. Another sampling rate, or a clock
    that was set back before the grid's beginning, begins a new grid at the last whole second, `before_s` before now.
    """
    with only_one(folder, LOCK_FILE, "interrogator", "--state-dir"):
        stored = _next_run(_read(folder / GRID_FILE), rate, time.time_ns(), round(before_s * NANOSECONDS))
        _write(folder / GRID_FILE, stored)
        grid = FiberGrid(stored.t0_ns, stored.fs_num, stored.fs_den)
        yield ReplayState(grid, stored.epoch, folder / OUTBOX_FOLDER)


def _next_run(stored: _StoredGrid | None, rate: Fraction, now_ns: int, before_ns: int) -> _StoredGrid:
    fs = {"fs_num": rate.numerator, "fs_den": rate.denominator}
    t0_ns = (now_ns - before_ns) // NANOSECONDS * NANOSECONDS
    if stored is None:
        return _StoredGrid(t0_ns=t0_ns, epoch=now_ns, **fs)
    epoch = max(now_ns, stored.epoch + 1)
    if (stored.fs_num, stored.fs_den) == (rate.numerator, rate.denominator) and stored.t0_ns <= now_ns:
        return stored.model_copy(update={"epoch": epoch})
    return _StoredGrid(t0_ns=t0_ns, epoch=epoch, **fs)


def _read(path: Path) -> _StoredGrid | None:
    try:
        return _StoredGrid.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise FocusError(f"The fibre's grid {path} cannot be read. Delete it to begin a new fibre.") from None


def _write(path: Path, stored: _StoredGrid) -> None:
    temporary = path.with_suffix(".part")
    try:
        temporary.write_text(stored.model_dump_json(by_alias=True) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise FocusError(f"The fibre's grid {path} cannot be written: {error.strerror}.") from error
