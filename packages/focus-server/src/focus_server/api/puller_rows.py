"""Lines of a job put together of what its streams bring, kept until they are pulled; bounded in number and bytes."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from focus_server.proto import DataStream

LAGGARD_S: Final = 3.0
"""A live line is given without a stream that is behind for so long; the analyzer gives up missing blocks after two."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one stream has of a line: float32 little-endian [channel][value]; no data when all of it is missing."""

    first_channel: int
    last_channel: int
    values: int
    data: bytes = b""


@dataclass(slots=True)
class Line:
    """One line: its `row_index`, what each stream has of it, and when the first of them came (monotonic s)."""

    index: int
    since_s: float
    parts: dict[int, Part] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return sum(len(part.data) for part in self.parts.values())


@dataclass(slots=True)
class Budget:
    """What all pullers together hold, in bytes, and may hold."""

    most: int
    used: int = 0


class PulledLines:
    """The lines of one job that wait to be pulled, oldest first, each of them once.

    Beyond `height` lines, `most_bytes` or the budget, live ones are dropped oldest first; `patient`, as a recording
    needs, nothing is dropped, and `room` lets a stream be read only while there is some and no other one is behind.
    `groups` are the channels of each stream, until its messages say otherwise.
    """

    def __init__(
        self,
        groups: Sequence[tuple[int, int]],
        height: int,
        most_bytes: int,
        budget: Budget,
        *,
        patient: bool,
    ) -> None:
        self._groups = list(groups)
        self._height = height
        self._most_bytes = most_bytes
        self._budget = budget
        self._patient = patient
        self._progress: list[float] = [-1] * len(groups)
        self._begun: dict[int, int] = {}
        self._pending: dict[int, Line] = {}
        self._ready: deque[Line] = deque()
        self._settled: float = -1
        self._bytes = 0
        self._changed = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, stream: int, message: DataStream, now_s: float) -> None:
        """Take what a stream brings; rows that it brought before are passed over."""
        low, high = message.start_channel, message.end_channel
        self._groups[stream] = (low, high)
        for index, data in zip(message.row_index, message.main_data, strict=True):
            self._begun.setdefault(stream, index)
            if index > max(self._progress[stream], self._settled):
                line = self._pending.setdefault(index, Line(index, now_s))
                line.parts[stream] = Part(low, high, len(data) // 4 // (high - low + 1), data)
                self._count(len(data))
            self._progress[stream] = max(self._progress[stream], index)
        self._settle(now_s)

    def end(self, stream: int, now_s: float) -> None:
        """Wait for nothing more of a stream."""
        self._progress[stream] = inf
        self._settle(now_s)

    async def room(self, stream: int) -> None:
        """Wait until a stream may be read on; a live one always may."""
        while self._patient and (self._full or self._progress[stream] > min(self._progress)):
            self._changed.clear()
            await self._changed.wait()

    def take(self, most: int, most_bytes: int, now_s: float) -> list[Line]:
        """Take the oldest lines: at most so many, and no more bytes than that, but at least one if there is one."""
        self._settle(now_s)
        taken: list[Line] = []
        size = 0
        while self._ready and len(taken) < most and (not taken or size + self._ready[0].size <= most_bytes):
            taken.append(self._leave())
            size += taken[-1].size
        self._changed.set()
        return taken

    def clear(self) -> None:
        """Forget all lines."""
        self._ready.clear()
        self._pending.clear()
        self._count(-self._bytes)

    @property
    def _over(self) -> bool:
        return self._bytes > self._most_bytes or self._budget.used > self._budget.most

    @property
    def _full(self) -> bool:
        return bool(self._ready) and (len(self._ready) >= self._height or self._over)

    def _settle(self, now_s: float) -> None:
        """Let lines be given that every stream has brought or passed, and live ones that a stream is too late for."""
        for index in sorted(self._pending):
            late = not self._patient and now_s - self._pending[index].since_s > LAGGARD_S
            if index > min(self._progress) and not late:
                break
            self._finish(self._pending.pop(index))
        while not self._patient and self._over and len(self._ready) + len(self._pending) > 1:
            if not self._ready:
                self._finish(self._pending.pop(min(self._pending)))
                continue
            self._leave()
            self.dropped += 1
        self._changed.set()

    def _finish(self, line: Line) -> None:
        first, self._settled = self._settled < 0, line.index
        if first and not self._patient and any(line.index < begun for begun in self._begun.values()):
            self._settled = -1  # a stream was joined later than the others: the picture begins where it does
            self._count(-line.size)
            return
        values = next(iter(line.parts.values())).values
        for stream, (low, high) in enumerate(self._groups):
            line.parts.setdefault(stream, Part(low, high, values))
        self._ready.append(line)
        if not self._patient and len(self._ready) > self._height:
            self._leave()
            self.dropped += 1

    def _leave(self) -> Line:
        line = self._ready.popleft()
        self._count(-line.size)
        return line

    def _count(self, size: int) -> None:
        self._bytes += size
        self._budget.used += size
