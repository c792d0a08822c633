"""One viewer of a stream: what waits for it, bounded in time and size, so that a slow one never slows another."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from focus_server.analyzer.rows import Batch


@dataclass(frozen=True, slots=True)
class ViewerLimits:
    """How long (s) and how much (bytes of rows) may wait before the oldest is dropped."""

    wait_s: float
    wait_bytes: int


@dataclass(frozen=True, slots=True)
class End:
    """Why a stream ends: the status that the viewer sees, and a sentence."""

    code: grpc.StatusCode
    reason: str


class Viewer:
    """What waits for one viewer. `offer` and `end` return at once, `next` waits; rows are dropped oldest first.

    The newest batch is never dropped, however large it is.
    """

    def __init__(self, limits: ViewerLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._waiting: deque[tuple[float, Batch]] = deque()
        self._bytes = 0
        self._end: End | None = None
        self._changed = asyncio.Event()
        self.dropped_lines = 0

    @property
    def waiting(self) -> tuple[int, int]:
        """How many batches wait, and the bytes of their rows."""
        return len(self._waiting), self._bytes

    def offer(self, batch: Batch) -> None:
        """Queue rows."""
        self._waiting.append((self._clock(), batch))
        self._bytes += batch.size
        self._drop_oldest()
        self._changed.set()

    def end(self, end: End) -> None:
        """Say that the stream ends; what still waits is not sent any more."""
        self._end = self._end or end
        self._changed.set()

    async def next(self) -> bytes | End:
        """Wait for rows, and take all that wait and have one shape as one message; or for the end."""
        while True:
            if self._end is not None:
                return self._end
            self._drop_oldest()
            if self._waiting:
                return Batch.joined(self._take()).message
            self._changed.clear()
            await self._changed.wait()

    def _take(self) -> list[Batch]:
        shape, taken = self._waiting[0][1].shape, list[Batch]()
        while self._waiting and self._waiting[0][1].shape == shape:
            taken.append(self._waiting.popleft()[1])
        self._bytes -= sum(batch.size for batch in taken)
        return taken

    def _drop_oldest(self) -> None:
        oldest_allowed_s = self._clock() - self._limits.wait_s
        while len(self._waiting) > 1:
            since_s, batch = self._waiting[0]
            if self._bytes <= self._limits.wait_bytes and since_s >= oldest_allowed_s:
                return
            self._waiting.popleft()
            self._bytes -= batch.size
            self.dropped_lines += len(batch.rows)
