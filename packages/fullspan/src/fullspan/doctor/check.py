"""What one look of the doctor found, and the exit code of all of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Check", "Level", "exit_code"]


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """The stack comes up, but something will be slower, or less sure, than it could be."""
    PROBLEM = "problem"
    """The stack cannot come up like this."""
    RESIDUE = "residue"
    """An earlier run has left something."""
    FIXED = "fixed"
    """It had left something, which has been removed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, what was seen, and what to do about it when it is not well."""

    topic: str
    name: str
    level: Level
    detail: str
    remedy: str | None = None


def exit_code(checks: Iterable[Check]) -> int:
    """Return 3 when a stack could not come up, else 1 when residue is there, else 0; warnings change nothing."""
    levels = {check.level for check in checks}
    if Level.PROBLEM in levels:
        return 3
    return 1 if Level.RESIDUE in levels else 0
