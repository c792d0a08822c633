"""One viewer's share of a stream: a bounded queue between the stream, which never waits, and a socket that may."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from focus_server.contract import Refusal
from focus_server.proto import DataStream


@dataclass(frozen=True, slots=True)
class ViewerLimits:
    """How much may wait for one viewer before the oldest is dropped: bytes, and seconds."""

    max_bytes: int = 4 * 2**20
    max_age_s: float = 10.0


@dataclass(frozen=True, slots=True)
class End:
    """Why a viewer's stream ends: the last text frame, then the WebSocket close code and its reason."""

    frame: str
    code: int
    reason: str

    @classmethod
    def complete(cls) -> "End":
        """End because there is nothing more to come."""
        return cls(state_frame("complete"), 1000, "complete")

    @classmethod
    def error(cls, code: int, sentence: str, reason: str) -> "End":
        """End because of what the sentence says; codes from 4000 mean that trying again cannot help."""
        return cls(state_frame("error", error=sentence), code, reason)

    @classmethod
    def refused(cls, refusal: Refusal) -> "End":
        """End because what is asked for is not there."""
        reason = {400: "no such stream", 404: "no such job"}.get(refusal.status, "refused")
        return cls.error(4000 + refusal.status, refusal.error, reason)


def state_frame(kind: str, **attributes: Any) -> str:
    """Write a text frame."""
    return json.dumps({"type": kind, **attributes})


@dataclass(frozen=True, slots=True)
class _Waiting:
    since: float
    payload: bytes | str


class Viewer:
    """What waits for one viewer: serialised messages and text frames, oldest first.

    `offer`, `tell` and `end` return at once; `next` waits. Beyond the limits the oldest messages are dropped, and a
    `dropped` frame with the number of lines stands where they would have been.
    """

    def __init__(self, limits: ViewerLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._dropped_lines = 0
        self._end: End | None = None
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    def offer(self, message: bytes) -> None:
        """Queue a message; the bytes are shared by all viewers, not copied."""
        self._bytes += len(message)
        self._append(message)

    def tell(self, frame: str) -> None:
        """Queue a text frame."""
        self._append(frame)

    def end(self, end: End) -> None:
        """Say that nothing follows what is queued."""
        self._end = self._end or end
        self._changed.set()

    async def next(self) -> bytes | str | End:
        """Wait for what is to be sent next."""
        while True:
            self._drop_oldest()
            if self._dropped_lines:
                lines, self._dropped_lines = self._dropped_lines, 0
                return state_frame("dropped", lines=lines)
            if self._queue:
                return self._take()
            if self._end is not None:
                return self._end
            self._changed.clear()
            await self._changed.wait()

    async def until_taken(self) -> None:
        """Wait until nothing waits here any more."""
        while self._queue:
            self._taken.clear()
            await self._taken.wait()

    def _append(self, payload: bytes | str) -> None:
        self._queue.append(_Waiting(self._clock(), payload))
        self._drop_oldest()
        self._changed.set()

    def _take(self) -> bytes | str:
        payload = self._queue.popleft().payload
        if isinstance(payload, bytes):
            self._bytes -= len(payload)
        self._taken.set()
        return payload

    def _drop_oldest(self) -> None:
        oldest_allowed = self._clock() - self._limits.max_age_s
        while self._queue and (self._bytes > self._limits.max_bytes or self._queue[0].since < oldest_allowed):
            payload = self._take()
            if isinstance(payload, bytes):
                self._dropped_lines += len(DataStream.FromString(payload).row_index)
