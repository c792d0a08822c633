"""Runs: a set of whole numbers kept as its runs without a hole, so that a stream without loss costs two numbers."""

from collections.abc import Callable, Iterator
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Runs"]

Numbers: TypeAlias = NDArray[np.int64]
Choice: TypeAlias = Callable[[NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.bool_]]

_NONE: Numbers = np.empty(0, np.int64)


class Runs:
    """A set of 64-bit numbers as ascending runs [start, end], both ends included; memory is 16 bytes a run."""

    __slots__ = ("ends", "starts")

    def __init__(self, starts: Numbers = _NONE, ends: Numbers = _NONE) -> None:
        self.starts = starts
        self.ends = ends

    @classmethod
    def of(cls, numbers: Numbers) -> Self:
        """Return the set of ascending, different numbers."""
        if not numbers.size:
            return cls()
        cuts = np.flatnonzero(np.diff(numbers) != 1)
        return cls(numbers[np.concatenate(([0], cuts + 1))], numbers[np.concatenate((cuts, [numbers.size - 1]))])

    @classmethod
    def spanning(cls, first: int, last: int) -> Self:
        """Return all numbers from first to last, both included."""
        return cls(np.array([first], np.int64), np.array([last], np.int64)) if last >= first else cls()

    def __bool__(self) -> bool:
        return bool(self.starts.size)

    def __len__(self) -> int:
        """Return how many runs there are, which is what memory is used for."""
        return int(self.starts.size)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        yield from zip(self.starts.tolist(), self.ends.tolist(), strict=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Runs) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def count(self) -> int:
        """Return how many numbers there are."""
        return int((self.ends - self.starts).sum()) + self.starts.size

    def has(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Return of each of n numbers whether it is in the set."""
        if not self.starts.size:
            return np.zeros(numbers.shape, bool)
        place = np.searchsorted(self.starts, numbers, "right") - 1
        return (place >= 0) & (numbers <= self.ends[place])

    def add(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Take in n ascending, different numbers; return of each whether it is new."""
        if not numbers.size:
            return np.empty(0, bool)
        last = int(self.ends[-1]) if self.ends.size else None
        if last is not None and numbers[0] <= last:
            fresh = ~self.has(numbers)
            self._join(Runs.of(numbers[fresh]))
            return fresh
        more = Runs.of(numbers)
        if last is not None and more.starts[0] == last + 1:
            self.ends = np.concatenate((self.ends[:-1], more.ends))
            self.starts = np.concatenate((self.starts, more.starts[1:]))
        else:
            self.ends = np.concatenate((self.ends, more.ends))
            self.starts = np.concatenate((self.starts, more.starts))
        return np.ones(numbers.shape, bool)

    def _join(self, more: "Runs") -> None:
        """Take in runs that overlap none of these."""
        starts = np.concatenate((self.starts, more.starts))
        ends = np.concatenate((self.ends, more.ends))
        order = np.argsort(starts, kind="stable")
        self.starts, self.ends = _merged(starts[order], ends[order])

    def __or__(self, other: "Runs") -> "Runs":
        if not self or not other:
            some = self or other
            return Runs(some.starts, some.ends)
        return _combined(self, other, lambda mine, theirs: mine | theirs)

    def __and__(self, other: "Runs") -> "Runs":
        if not self or not other:
            return Runs()
        return _combined(self, other, lambda mine, theirs: mine & theirs)

    def __sub__(self, other: "Runs") -> "Runs":
        if not other or not self:
            return self
        return _combined(self, other, lambda mine, theirs: mine & ~theirs)

    @property
    def holes(self) -> "Runs":
        """Return what is missing between the first and the last."""
        return Runs(self.ends[:-1] + 1, self.starts[1:] - 1) if self else Runs()


def _merged(starts: Numbers, ends: Numbers) -> tuple[Numbers, Numbers]:
    """Join runs that touch; they are ascending and do not overlap."""
    if not starts.size:
        return starts, ends
    apart = starts[1:] != ends[:-1] + 1
    return starts[np.concatenate(([True], apart))], ends[np.concatenate((apart, [True]))]


def _combined(mine: Runs, theirs: Runs, choose: Choice) -> Runs:
    """Cut both sets at every border of either, and keep the parts that are chosen."""
    borders = np.unique(np.concatenate((mine.starts, mine.ends + 1, theirs.starts, theirs.ends + 1)))
    if borders.size < 2:
        return Runs()
    kept = choose(mine.has(borders[:-1]), theirs.has(borders[:-1]))
    return Runs(*_merged(borders[:-1][kept], borders[1:][kept] - 1))
