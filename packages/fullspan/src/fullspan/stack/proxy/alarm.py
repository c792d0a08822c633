"""A timer of microsecond resolution for an event loop, because the loop's own rounds up to whole milliseconds."""

import asyncio
import contextlib
import ctypes
import heapq
import itertools
import os
import time
from collections.abc import Callable

__all__ = ["Alarm"]

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class Alarm:
    """Calls back at given times of `time.monotonic()`; a call cannot be withdrawn, so one in vain must do no harm."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        # timerfd is used through libc because Python offers it only from 3.13 on.
        self._fd = _check(_LIBC.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        self._loop.add_reader(self._fd, self._fired)

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call `call` as soon as the monotonic clock has reached `when` (seconds)."""
        heapq.heappush(self._waiting, (when, next(self._order), call))
        if self._waiting[0][0] == when:
            self._arm()

    def _arm(self) -> None:
        # A time of zero would disarm the timer, so it is never less than a nanosecond.
        nanoseconds = max(1, int(self._waiting[0][0] * 1e9))
        spec = _TimerSpec(_Timespec(0, 0), _Timespec(*divmod(nanoseconds, 1_000_000_000)))
        _check(_LIBC.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None))

    def _fired(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        now = time.monotonic()
        due = []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(heapq.heappop(self._waiting)[2])
        if self._waiting:
            self._arm()
        for call in due:
            call()

    def close(self) -> None:
        """Forget all calls and give the timer back."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._waiting.clear()
