"""Reading a component's log as it grows: whole lines, which of them are errors, and where in the file they stand."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fullspan.monitor.words import is_error, plain

__all__ = ["LogError", "LogReader"]

_LONGEST: Final = 500
_PIECE: Final = 4 * 1024 * 1024
_TRACEBACK: Final = "Traceback (most recent call last)"
_MOST_LINES: Final = 200  # of one traceback
_GUTTER: Final = re.compile(r"^\s*[|+]-*\s?")  # beside a group of exceptions


@dataclass(frozen=True, slots=True)
class LogError:
    """One error that a component logged: when it was read (CLOCK_MONOTONIC, ns), at which byte, and what it says."""

    component: str
    mono_ns: int
    position: int
    line: str


class LogReader:
    """Reads one log on. `errors` are patterns that count as errors besides the usual words; `allow` excuses a line.

    A Python traceback is one error, told by its last line.
    """

    def __init__(self, component: str, path: Path, errors: Sequence[str] = (), allow: Sequence[str] = ()) -> None:
        self.component = component
        self.path = path
        self.position = 0
        """Up to which byte whole lines have been read."""
        self.lines = 0
        self._errors = [re.compile(pattern) for pattern in errors]
        self._allow = [re.compile(pattern) for pattern in allow]
        self._traceback: tuple[int, int] | None = None

    def read_on(self) -> list[LogError]:
        """Return the errors among the lines that are new; a file that became shorter is read from its beginning."""
        found: list[LogError] = []
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self.position:
                    self.position = 0
                file.seek(self.position)
                while data := file.read(_PIECE):
                    end = data.rfind(b"\n") + 1
                    if not end:
                        if len(data) < _PIECE:
                            break
                        end = len(data)  # a line without end is cut
                    found += self._judge(data[:end])
                    self.position += end
                    file.seek(self.position)
        except FileNotFoundError:
            return found
        return found

    def _judge(self, data: bytes) -> list[LogError]:
        found = []
        position = self.position
        for raw in data.splitlines(keepends=True):
            line = plain(raw.decode("utf-8", errors="replace"))
            self.lines += 1
            error = self._of_traceback(line, position) if self._traceback else self._of_line(line, position)
            if error is not None:
                found.append(error)
            position += len(raw)
        return found

    def _of_line(self, line: str, position: int) -> LogError | None:
        if _TRACEBACK in line and not line.startswith("{"):
            self._traceback = (position, 0)
            return None
        if is_error(line) or any(pattern.search(line) for pattern in self._errors):
            return self._error(line, position)
        return None

    def _of_traceback(self, line: str, position: int) -> LogError | None:
        """Wait for the line that names the exception: the first one that is not indented."""
        assert self._traceback is not None  # noqa: S101 - the caller has looked
        begin, seen = self._traceback
        bare = _GUTTER.sub("", line)
        if (not bare or bare.startswith((" ", "\t"))) and seen < _MOST_LINES:
            self._traceback = (begin, seen + 1)
            return None
        self._traceback = None
        return self._error(bare, begin)

    def _error(self, line: str, position: int) -> LogError | None:
        if any(pattern.search(line) for pattern in self._allow):
            return None
        return LogError(self.component, time.monotonic_ns(), position, line[:_LONGEST])
