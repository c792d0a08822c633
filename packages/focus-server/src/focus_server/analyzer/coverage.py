"""Which samples, or channels, are there: a set of whole numbers kept as intervals, nearly always a single one."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Coverage:
    """A set of whole numbers; intervals are half open, sorted, and never touch each other."""

    __slots__ = ("_begins", "_ends")

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._begins)

    @property
    def begin(self) -> int:
        """The first number; only of a set that holds some."""
        return self._begins[0]

    @property
    def end(self) -> int:
        """The number after the last one; only of a set that holds some."""
        return self._ends[-1]

    def add(self, begin: int, end: int) -> None:
        """Add the numbers from `begin` up to `end`."""
        first = bisect_left(self._ends, begin)
        last = bisect_right(self._begins, end)
        if first < last:
            begin, end = min(begin, self._begins[first]), max(end, self._ends[last - 1])
        self._begins[first:last] = [begin]
        self._ends[first:last] = [end]

    def holds(self, begin: int, end: int) -> bool:
        """Tell whether all numbers from `begin` up to `end` are there."""
        index = bisect_right(self._begins, begin) - 1
        return index >= 0 and end <= self._ends[index]

    def all(self) -> Iterator[tuple[int, int]]:
        """Give all intervals of what is there."""
        return zip(self._begins, self._ends, strict=True)

    def parts(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Give the intervals of what is there from `begin` up to `end`."""
        for low, high in zip(self._begins, self._ends, strict=True):
            if low < end and begin < high:
                yield max(low, begin), min(high, end)

    def holes(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Give the intervals of what is not there from `begin` up to `end`."""
        for low, high in self.parts(begin, end):
            if begin < low:
                yield begin, low
            begin = high
        if begin < end:
            yield begin, end

    def run_end(self, begin: int) -> int:
        """Give the first number from `begin` on that is not there."""
        index = bisect_right(self._begins, begin) - 1
        return max(begin, self._ends[index]) if index >= 0 else begin

    def next_begin(self, begin: int) -> int | None:
        """Give the first number from `begin` on that is there, or None."""
        if self.holds(begin, begin + 1):
            return begin
        index = bisect_left(self._begins, begin)
        return self._begins[index] if index < len(self._begins) else None

    def forget_below(self, begin: int) -> None:
        """Take out all numbers below `begin`."""
        gone = bisect_right(self._ends, begin)
        del self._begins[:gone], self._ends[:gone]
        if self._begins and self._begins[0] < begin:
            self._begins[0] = begin
