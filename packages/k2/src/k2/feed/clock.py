"""How far the exchange's clock is ahead of ours: asked as NTP does, so that the way there and back costs half of it."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Final

import httpx

__all__ = ["ClockOffset"]

_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class _Sample:
    offset: float
    error: float


class ClockOffset:
    """The estimate: of the last questions the one that was answered fastest, because the least can be wrong with it."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_KEPT)

    async def ask(self, client: httpx.AsyncClient) -> None:
        """Ask once (`GET /api/v3/time`); raises httpx.HTTPError, KeyError or ValueError, and nothing has changed."""
        wall, clock = time.time(), time.monotonic()
        answer = await client.get("/api/v3/time")
        took = time.monotonic() - clock
        told = int(answer.raise_for_status().json()["serverTime"]) / 1000
        self.take(wall + took / 2, told, took)

    def take(self, middle: float, told: float, took: float) -> None:
        """Take an answer: our time in the middle of the question, the exchange's, and how long it took, in seconds.

        Its times are whole milliseconds, cut off, so half a millisecond is added.
        """
        sample = _Sample(told + 0.0005 - middle, took / 2 + 0.0005)
        # A clock that was set is another clock: what contradicts the newest answer is forgotten.
        for old in list(self._samples):
            if abs(old.offset - sample.offset) > old.error + sample.error:
                self._samples.remove(old)
        self._samples.append(sample)

    @property
    def seconds(self) -> float | None:
        """How far the exchange is ahead; None while nobody knows."""
        return min(self._samples, key=lambda sample: sample.error).offset if self._samples else None

    @property
    def error(self) -> float | None:
        """How far that may be off at most, in seconds."""
        return min(sample.error for sample in self._samples) if self._samples else None
