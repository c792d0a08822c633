"""Whether there is room to record: paused with little free disk, and recording again by itself when there is more."""

import os
from pathlib import Path
from typing import Final

import structlog

__all__ = ["Disk"]

_log = structlog.get_logger()

REFUSED_S: Final = 2.0


class Disk:
    """The disk below a folder; `paused_s` is since when recording is paused (monotonic clock), None when it is not."""

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self._folder = folder
        self._min_free = min_free_bytes
        self._not_before_s = 0.0
        self.paused_s: float | None = None

    def free_bytes(self) -> int:
        """Return how many bytes this process could still write."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def has_room(self, needed_bytes: int, now_s: float) -> bool:
        """Tell whether a file of so many bytes leaves enough free; whoever asks learns it, and so does the log."""
        if now_s < self._not_before_s:
            return False
        try:
            free = self.free_bytes()
        except OSError as error:
            self.refused(error, now_s)
            return False
        if free - needed_bytes < self._min_free:
            self._pause(now_s, f"{free} bytes are free, {self._min_free} must stay so", free)
            return False
        if self.paused_s is not None:
            _log.info("recorder.resumed", free_bytes=free, paused_s=round(now_s - self.paused_s, 1))
            self.paused_s = None
        return True

    def allows(self, needed_bytes: int) -> bool:
        """Tell whether a file of so many bytes leaves enough free, without changing anything."""
        try:
            return self.free_bytes() - needed_bytes >= self._min_free
        except OSError:
            return False

    def refused(self, error: OSError, now_s: float) -> None:
        """Note that the disk did not take a file; it is not tried again at once."""
        self._not_before_s = now_s + REFUSED_S
        self._pause(now_s, f"the disk does not take the file: {error.strerror or error}", None)

    def _pause(self, now_s: float, cause: str, free: int | None) -> None:
        if self.paused_s is None:
            self.paused_s = now_s
            _log.error("recorder.paused", cause=cause, free_bytes=free, min_free_bytes=self._min_free)
