"""What the supervisor says: every event goes to the run's timeline and, while somebody listens, to its owner."""

import contextlib
import os
import time
from typing import Final

from fullspan.errors import ComponentDied, FullspanError, StackError, UsageError
from fullspan.redaction import Redaction
from fullspan.stack.run_folder import RunFolder
from fullspan.timeline import Event, Scalar, Timeline

__all__ = ["Voice", "error_of"]

_ERRORS: Final[dict[str, type[FullspanError]]] = {"UsageError": UsageError, "StackError": StackError}


class Voice:
    """Says events as lines of JSON on a pipe, and writes them down once there is a folder for them.

    The pipe never blocks: an owner who does not listen misses words, and the stack goes on.
    """

    def __init__(self, pipe: int | None) -> None:
        self._pipe = pipe
        self._timeline: Timeline | None = None
        self._redaction = Redaction()
        if pipe is not None:
            os.set_blocking(pipe, False)

    def write_down(self, folder: RunFolder) -> None:
        """From now on write every event into the run's timeline as well."""
        self._timeline = Timeline(folder.events, lambda text: self._redaction(text))

    def keep_secret(self, values: list[str]) -> None:
        """Leave these values out of everything."""
        self._redaction = Redaction(values)

    def say(self, kind: str, what: str, **attributes: Scalar) -> None:
        """Say that something happened now."""
        if self._timeline:
            event = self._timeline.add(kind, what, **attributes)
        else:
            event = Event(time.monotonic_ns(), time.time_ns(), kind, what, attributes)
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.write(self._pipe, (self._redaction(event.to_json()) + "\n").encode())

    def say_failed(self, error: FullspanError) -> None:
        """Say why the stack could not be brought up, so that `error_of` can raise it elsewhere."""
        attributes: dict[str, Scalar] = {"error": type(error).__name__, "remedy": error.remedy}
        if isinstance(error, ComponentDied):
            attributes |= {
                "component": error.component,
                "ending": error.ending,
                "last_lines": "\n".join(error.last_lines),
            }
        self.say("stack.failed", error.message, **attributes)

    def fall_silent(self) -> None:
        """Nobody listens any more."""
        self._pipe = None


def error_of(event: Event) -> FullspanError:
    """Return the error that a `stack.failed` event tells of."""
    about = {name: str(value) for name, value in event.attributes.items() if value is not None}
    if about.get("error") == "ComponentDied":
        lines = about["last_lines"].split("\n") if about["last_lines"] else []
        return ComponentDied(about["component"], about["ending"], lines, about.get("remedy", "").strip())
    return _ERRORS.get(about.get("error", ""), StackError)(event.what, about.get("remedy"))
