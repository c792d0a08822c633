"""Which trades of a symbol have come: the exchange numbers them without a hole, so a hole is what is missing."""

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

__all__ = ["Arrival", "Hole", "Sequence"]

_NEAR: Final = 100_000
"""Numbers so far below the first one may still have been overtaken; further ones are of another count."""


class Arrival(Enum):
    """What a number is to what has come before."""

    NEXT = "next"
    LATE = "late"
    AGAIN = "again"
    ANEW = "anew"
    """The exchange counts from another start: what was known is worth nothing any more."""


@dataclass(slots=True)
class Hole:
    """Numbers `first` to `last` that were left out, as they were then; `missing` ranges of them still are."""

    first: int
    last: int
    since: int
    """When it was seen, microseconds since 1970."""
    missing: list[list[int]] = field(default_factory=list)
    told: bool = False

    @property
    def count(self) -> int:
        """How many numbers are still missing."""
        return sum(last - first + 1 for first, last in self.missing)

    def fill(self, number: int) -> bool:
        """Take a number out of what is missing; False when it was not."""
        place = bisect_right(self.missing, number, key=lambda entry: entry[0]) - 1
        if place < 0 or self.missing[place][1] < number:
            return False
        first, last = self.missing[place]
        self.missing[place : place + 1] = [
            entry for entry in ([first, number - 1], [number + 1, last]) if entry[0] <= entry[1]
        ]
        return True


class Sequence:
    """The numbers of one symbol."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.top = 0
        self.holes: list[Hole] = []

    def arrive(self, number: int, now: int) -> Arrival:
        """Take a number that came at a time (microseconds since 1970)."""
        if self.first is None:
            self.first = self.top = number
            return Arrival.NEXT
        if number > self.top:
            if number > self.top + 1:
                self._open(self.top + 1, number - 1, now)
            self.top = number
            return Arrival.NEXT
        if number < self.first:
            if self.first - number > _NEAR:
                self.first = self.top = number
                self.holes = []
                return Arrival.ANEW
            if number + 1 < self.first:
                self._open(number + 1, self.first - 1, now)
            self.first = number
            return Arrival.LATE
        if any(hole.fill(number) for hole in self.holes if hole.first <= number <= hole.last):
            return Arrival.LATE
        return Arrival.AGAIN

    def lose(self, number: int, now: int) -> None:
        """Take back that a number has come: it is missing."""
        for hole in self.holes:
            if hole.first <= number <= hole.last:
                insort(hole.missing, [number, number])
                if not hole.told:
                    hole.since = now
                return
        self._open(number, number, now)

    def _open(self, first: int, last: int, now: int) -> None:
        self.holes.append(Hole(first, last, now, [[first, last]]))

    def state(self) -> dict[str, Any]:
        """Return it as JSON can keep it."""
        holes = [[hole.first, hole.last, hole.since, hole.missing, hole.told] for hole in self.holes]
        return {"first": self.first, "top": self.top, "holes": holes}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Sequence":
        """Take it from what was kept."""
        made = cls()
        made.first, made.top = state["first"], state["top"]
        made.holes = [Hole(*entry) for entry in state["holes"]]
        return made
