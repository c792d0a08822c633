"""Everything that fullspan raises on purpose.

    FullspanError
    ├── UsageError            a command, an option or a file says something that cannot be meant
    ├── StackError            a stack cannot be brought up, found, changed or taken down
    │   ├── ComponentDied     one of its components ended without being asked to
    │   └── Outlived          processes of it are still there although they were killed
    └── Inconclusive          the run cannot tell; never a pass, never a fail

A message is one sentence that says what happened, and to what; `remedy` says what to do about it.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import ClassVar

__all__ = ["ComponentDied", "FullspanError", "Inconclusive", "Outlived", "StackError", "UsageError", "nearest"]


class FullspanError(Exception):
    """The root: a message, and what the reader can do about it."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class UsageError(FullspanError):
    """Something that a person wrote cannot be meant: a command, an option, a file."""


class StackError(FullspanError):
    """A stack cannot be brought up, found, changed or taken down."""


class ComponentDied(StackError):  # noqa: N818 - the words of the field
    """A component ended without being asked to; carries how, and the last lines that it logged."""

    def __init__(self, component: str, ending: str, last_lines: Sequence[str] = (), remedy: str | None = None) -> None:
        self.component = component
        self.ending = ending
        self.last_lines = tuple(last_lines)
        quoted = "".join(f"\n    {line}" for line in self.last_lines)
        said = f" Its last log lines:{quoted}" if quoted else " It logged nothing."
        super().__init__(f"Component {component!r} died: {ending}.{said}", remedy and f"\n{remedy}")


class Outlived(StackError):  # noqa: N818 - the same
    """Processes of a run are still there although they were killed; carries them by pid and start time, in words."""

    def __init__(self, run_id: str, killed_s: float, processes: Mapping[tuple[int, int], str]) -> None:
        self.run_id = run_id
        self.processes = dict(processes)
        count = "1 process" if len(processes) == 1 else f"{len(processes)} processes"
        super().__init__(
            f"{count} of the run {run_id} outlived {killed_s:g} s of SIGKILL: {'; '.join(processes.values())}.",
            "End the tracer, bring the disk or file system back, or restart the machine; until then the stack's state "
            "is kept, and `fullspan down` and `fullspan up` look again.",
        )


class Inconclusive(FullspanError):  # noqa: N818 - a verdict, not an error
    """The run cannot tell, for this reason: no fault bit, no record was in flight, a frame could not be read."""

    exit_code = 2

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        super().__init__(reason, remedy)
        self.reason = reason


def nearest(wrong: str, known: Mapping[str, object] | list[str] | tuple[str, ...]) -> str:
    """Return a remedy for a name that is not known: the nearest one that is, or all of them."""
    names = sorted(known)
    if close := difflib.get_close_matches(wrong, names, n=1, cutoff=0.5):
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "There is none."
