"""The lock of a stack's name: its supervisor holds it, and so does its janitor, until both have ended."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

__all__ = ["StackLock"]

_POLL_S: Final = 0.02


class StackLock:
    """A lock that the kernel gives back when its last holder ends, however it ends."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, deadline_s: float = 0.0) -> bool:
        """Take the lock; False when somebody else still has it after `deadline_s` seconds."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    return False
                time.sleep(_POLL_S)
            else:
                return True

    def close(self) -> None:
        """Let go of it; a child that got the handle still holds it."""
        os.close(self.handle)
