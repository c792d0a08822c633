"""Threads that compute, and know how much processor time that has taken."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class TimedThreads(ThreadPoolExecutor):
    """So many threads; what they write to the log names the same job as what whoever asked them writes."""

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, name)
        self._took_s: dict[int, float] = {}

    @property
    def busy_s(self) -> float:
        """The processor time of all work that is done, s."""
        return sum(list(self._took_s.values()))

    def submit(self, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Let a thread do something."""
        return super().submit(self._timed, partial(copy_context().run, work, *args, **kwargs))

    def _timed(self, work: Callable[[], R]) -> R:
        began_s = time.thread_time()
        try:
            return work()
        finally:
            thread = threading.get_ident()  # each writes to a place of its own
            self._took_s[thread] = self._took_s.get(thread, 0.0) + time.thread_time() - began_s
