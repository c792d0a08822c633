"""Where a test may kill the writer: named points between the steps of a commit.

`K2_CRASH_AT=after-data-files:3` ends the process by SIGKILL when it passes that point for the third time; `:stop`
instead of a number stops it there by SIGSTOP, as a machine that hangs would. The setting is refused outside the local
profile, so nothing that serves anybody can carry it.
"""

import os
import signal
from typing import Final, Literal, Self, get_args

from k2.errors import SettingsError

__all__ = ["CRASH_POINTS", "CrashPoint", "Crashes"]

CrashPoint = Literal[
    "before-write",
    "after-data-files",
    "before-commit",
    "after-commit",
    "during-expiry",
]
CRASH_POINTS: Final[tuple[CrashPoint, ...]] = get_args(CrashPoint)


class Crashes:
    """Ends or stops this process at one of the points, the n-th time that it is passed; without one never."""

    def __init__(self, point: CrashPoint | None = None, passes: int = 1, number: signal.Signals | None = None) -> None:
        self._point: Final = point
        self._left = passes
        self._signal: Final = number or signal.SIGKILL

    @classmethod
    def read(cls, text: str | None) -> Self:
        """Read `POINT`, `POINT:N` or `POINT:stop[:N]`. Raises SettingsError for another text."""
        if not text:
            return cls()
        point, *rest = text.split(":")
        stop = rest[:1] == ["stop"]
        times = rest[1:] if stop else rest
        known = next((each for each in CRASH_POINTS if each == point), None)
        if known is None or len(times) > 1 or not all(time.isdecimal() and int(time) for time in times):
            raise SettingsError(
                f"The setting crash_at is {text!r}; it is POINT, POINT:N or POINT:stop:N with a point of "
                f"{', '.join(CRASH_POINTS)}."
            )
        return cls(known, int(times[0]) if times else 1, signal.SIGSTOP if stop else signal.SIGKILL)

    def at(self, point: CrashPoint) -> None:
        """Pass a point."""
        if point != self._point or self._left <= 0:
            return
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), self._signal)
