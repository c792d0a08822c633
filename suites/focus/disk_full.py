"""A disk that fills up, for real: a file is made so large that less is free than the recorder leaves to others."""

import os
import time
from pathlib import Path

from fullspan.errors import Inconclusive
from fullspan.faults import Fault, LeasedStack, Observed

SAID_WITHIN_S = 60.0
MARGIN = 64 * 2**20
LARGEST = 4 * 2**30
LIMIT = "FOCUS_MIN_FREE_BYTES"


class DiskFull(Fault):
    """The disk below `folder` has less free than the recorder's limit, until the file that fills it is taken away.

    The limit is a setting that the stack's profile takes from the environment; it must lie a little below what is free,
    so that not the whole disk has to be filled. `log` is the recorder's, which says when it pauses and goes on.
    """

    kind = "disk-full"

    def __init__(self, folder: Path, log: Path) -> None:
        super().__init__("recorder")
        self._filler = folder / "filler"
        self._log = log
        self._before = 0
        self._after = 0

    def check(self, stack: LeasedStack) -> None:
        stack.check_component(self.target)
        limit, free = int(os.environ.get(LIMIT, "0")), free_bytes(self._filler.parent)
        if not limit < free < limit + LARGEST:
            raise Inconclusive(
                f"{LIMIT} is {limit:,} and {free:,} bytes are free: set it to a little less than what is free, in the "
                "environment of `fullspan run`, so that the disk can be filled up to it."
            )

    def obstacle(self, stack: LeasedStack) -> str | None:
        return "something else had filled the disk" if self._filler.exists() else None

    def begin(self, stack: LeasedStack) -> None:
        self._before = self._log.stat().st_size
        size = free_bytes(self._filler.parent) - int(os.environ[LIMIT]) + MARGIN
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)

    def bite(self, stack: LeasedStack) -> Observed:
        return self._said("recorder.paused", self._before)

    def end(self, stack: LeasedStack) -> None:
        self._after = self._log.stat().st_size
        self._filler.unlink(missing_ok=True)

    def recovery(self, stack: LeasedStack) -> Observed:
        return self._said("recorder.resumed", self._after)

    def _said(self, event: str, begin: int) -> Observed:
        deadline = time.monotonic() + SAID_WITHIN_S
        while time.monotonic() < deadline:
            if event.encode() in self._log.read_bytes()[begin:]:
                return Observed(True, f"the recorder said {event}")
            time.sleep(0.1)
        return Observed(False, f"the recorder did not say {event} within {SAID_WITHIN_S:g} s")


def free_bytes(folder: Path) -> int:
    """Return what a user may still write."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
