"""How far a group of channels has come: up to which sample nothing is waited for any more, and since when."""

from collections import deque
from dataclasses import dataclass

from focus_server.analyzer.coverage import Coverage


@dataclass(frozen=True, slots=True)
class _Beyond:
    """A block that came although an earlier one is missing."""

    arrived_s: float
    begin: int


class Frontier:
    """The frontier of one group: all samples before it are there or given up.

    A hole is given up when blocks after it have been there for `give_up_s` and reach `give_up_samples` past it: while
    the broker hangs nothing is given up. Whatever comes for a given up hole is too late. Times are seconds of a
    monotonic clock, given by the caller.
    """

    def __init__(self, coverage: Coverage, give_up_s: float, give_up_samples: int) -> None:
        self._coverage = coverage
        self._give_up_s = give_up_s
        self._give_up_samples = give_up_samples
        self._sample: int | None = None
        self._beyond: deque[_Beyond] = deque()
        self._history: deque[tuple[float, int]] = deque()

    @property
    def sample(self) -> int | None:
        """The first sample that is still waited for; None before the first block."""
        return self._sample

    def arrived(self, begin: int, now_s: float) -> None:
        """Take note of a block that the coverage holds already and that begins at or after the frontier."""
        if self._sample is None:
            self._sample = begin
        if begin > self._sample:
            self._beyond.append(_Beyond(now_s, begin))
        self._advance(now_s)

    def give_up(self, now_s: float) -> int:
        """Pass over the holes that have been waited for long enough; returns how many samples that gave up."""
        given_up = 0
        while self._sample is not None and self._hole_is_old(self._sample, now_s):
            after = self._coverage.next_begin(self._sample)
            if after is None:
                break
            given_up += after - self._sample
            self._sample = after
            self._advance(now_s)
        return given_up

    def _hole_is_old(self, sample: int, now_s: float) -> bool:
        return (
            bool(self._beyond)
            and now_s - self._beyond[0].arrived_s >= self._give_up_s
            and self._coverage.end - sample >= self._give_up_samples
        )

    def settled(self, now_s: float) -> int | None:
        """Give the frontier as it was `give_up_s` ago; None when there was none."""
        while len(self._history) > 1 and self._history[1][0] <= now_s - self._give_up_s:
            self._history.popleft()
        return self._history[0][1] if self._history and self._history[0][0] <= now_s - self._give_up_s else None

    def _advance(self, now_s: float) -> None:
        before = self._sample or 0
        self._sample = self._coverage.run_end(max(before, self._coverage.begin))
        while self._beyond and self._beyond[0].begin < self._sample:
            self._beyond.popleft()
        if self._sample != before or not self._history:
            self._history.append((now_s, self._sample))
            self.settled(now_s)
