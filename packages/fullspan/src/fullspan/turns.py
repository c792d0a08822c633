"""Turns on a stack that several test processes share: who breaks something has it alone, all others share it."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fullspan.errors import Inconclusive

__all__ = ["Turns"]

_POLL_S: Final = 0.02
_GATE: Final = "gate"
_STAGE: Final = "stage"


class Turns:
    """Two locks in `folder`, which the kernel gives back when their holder ends, however it ends.

    Everybody passes the gate to get on the stage. Who wants the stage alone holds the gate until the others have left,
    so that new ones coming in all the time cannot keep him waiting.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    @contextlib.contextmanager
    def taken(self, *, alone: bool, deadline_s: float) -> Iterator[None]:
        """Have a turn while the block runs; Inconclusive when none could be had within `deadline_s` seconds."""
        end = time.monotonic() + deadline_s
        how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        with self._open(_STAGE) as stage:
            with self._open(_GATE) as gate:
                got = _lock(gate, fcntl.LOCK_EX, end) and _lock(stage, how, end)
            if not got:
                raise Inconclusive(
                    f"Other tests did not leave the stack within {deadline_s:g} s, so this one had no turn.",
                    "Run with fewer processes, or find the test that hangs.",
                )
            yield

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[int]:
        handle = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield handle
        finally:
            os.close(handle)


def _lock(handle: int, how: int, end: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_POLL_S)
        else:
            return True
