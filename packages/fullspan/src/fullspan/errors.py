"""Every error that fullspan raises on purpose.

FullspanError            a sentence for a person, and what to do about it
├── UsageError           the request makes no sense: a stack file, an option, a name (exit code 3)
├── StackError           a stack or one of its parts could not be brought up, reached or changed
│   └── ComponentDied    a component ended although nobody asked it to
└── Inconclusive         the run cannot tell: neither a pass nor a fail
"""

from collections.abc import Sequence

__all__ = ["ComponentDied", "FullspanError", "Inconclusive", "StackError", "UsageError"]


class FullspanError(Exception):
    """Root of the errors of fullspan; `remedy` says what to do, where that is known."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message if remedy is None else f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class UsageError(FullspanError):
    """What was asked for makes no sense: a key, a name, an option."""


class StackError(FullspanError):
    """A stack or one of its parts could not be brought up, reached or changed."""


class ComponentDied(StackError):  # noqa: N818 - the word of the field
    """A component ended although nobody asked it to.

    `ending` is "exit code 3" or "SIGKILL"; `last_lines` are the last lines of its log.
    """

    def __init__(self, component: str, ending: str, last_lines: Sequence[str] = ()) -> None:
        quoted = "".join(f"\n    {line}" for line in last_lines)
        super().__init__(f"Component {component!r} died ({ending}); its last log lines:{quoted or ' none.'}")
        self.component = component
        self.ending = ending
        self.last_lines = tuple(last_lines)


class Inconclusive(FullspanError):  # noqa: N818 - a state of knowledge, not an error of the program
    """The run cannot tell: too few records, a fault that did not bite, a frame that could not be read."""
