"""SIGTERM and Ctrl-C as an event, so that a program ends between two steps and not within one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Ending", "ending"]


class Ending:
    """Set when the program is to end; `interrupted` when by Ctrl-C."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.interrupted = False

    def take(self, number: int, _: FrameType | None) -> None:
        """Take a signal."""
        self.interrupted = self.interrupted or number == signal.SIGINT
        self.event.set()


@contextmanager
def ending() -> Iterator[Ending]:
    """Take both signals while something runs, in the main thread."""
    it = Ending()
    before = {number: signal.signal(number, it.take) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield it
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
