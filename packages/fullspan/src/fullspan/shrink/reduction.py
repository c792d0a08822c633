"""Removes whole faults from a failing schedule for as long as the rest fails in the same way, chance included.

The order of removals is delta debugging's (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
2002): halves first, then finer. A failure that shows in some trials only asks for repetition: one trial that fails in
the same way proves that a part suffices, but that a part does not fail can only be made unlikely. So many trials must
pass in a row that a part which fails as often as the whole would have passed them all less than once in fifty times.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from fullspan.errors import Inconclusive

__all__ = ["DOUBT", "Reduction", "Search", "Trial"]

DOUBT: Final = 0.02
_FIRST_TRIALS: Final = 8
_FIRST_SHARE: Final = 0.2
_MOST_TRIALS: Final = 30
_LEAST_RATE: Final = 0.05
_LAST_TRIALS: Final = 10
# One-sided 95 % bound of the normal distribution.
_Z: Final = 1.645

Numbers = tuple[int, ...]
Trial = Callable[[Numbers], str | None]
"""Plays the faults of these numbers once; returns the failure's signature, None when nothing failed."""
Tell = Callable[[str], object]


@dataclass(frozen=True)
class Reduction:
    """What is left of a schedule, and how sure that is.

    `kept` fails with `signature`, which was seen in `failed` of `repeated` trials of exactly these faults at the end
    (repeated is 0 when there was no time for it). `minimal` says that each further fault was tried to be left out.
    `doubt` is how probable it is, for one fault that is kept, that it is not needed at all.
    """

    kept: Numbers
    whole: Numbers
    signature: str
    minimal: bool
    failed: int
    repeated: int
    trials: int
    took_s: float
    doubt: float = DOUBT

    def __str__(self) -> str:
        rate = f"; it failed in {self.failed} of {self.repeated} trials at the end" if self.repeated else ""
        end = "no fault of it can be left out" if self.minimal else "the time was over before all had been tried"
        return (
            f"{len(self.kept)} of {len(self.whole)} faults are left after {self.trials} trials in {self.took_s:.0f} s: "
            f"{end}{rate}."
        )


class _OutOfTimeError(Exception):
    """The budget is used up."""


@dataclass
class Search:
    """One search; `reduce` does it. `budget_s` bounds its time, up to the length of one trial."""

    trial: Trial
    budget_s: float
    tell: Tell = lambda _: None
    clock: Callable[[], float] = time.monotonic
    _trials: int = field(default=0, init=False)
    _seen: list[int] = field(default_factory=lambda: [0, 0], init=False)
    _began: float = field(default=0.0, init=False)
    _signature: str = field(default="", init=False)
    _refused: set[Numbers] = field(default_factory=set, init=False)

    def reduce(self, whole: Sequence[int]) -> Reduction:
        """Return the smallest part that was found; Inconclusive when the whole does not fail in its first trials."""
        self._began = self.clock()
        kept = tuple(whole)
        self._signature = self._first_trials(kept)
        minimal = False
        failed = repeated = 0
        try:
            kept = self._reduce(kept)
            minimal = True
            for _ in range(_LAST_TRIALS):
                failed += self._fails_once(kept)
                repeated += 1
        except _OutOfTimeError as stopped:
            kept = stopped.args[0] if stopped.args else kept
        took_s = self.clock() - self._began
        return Reduction(kept, tuple(whole), self._signature, minimal, failed, repeated, self._trials, took_s)

    def _first_trials(self, whole: Numbers) -> str:
        """Play the whole several times; return the commonest failure."""
        found: Counter[str | None] = Counter()
        try:
            for number in range(1, _FIRST_TRIALS + 1):
                found[self._once(whole)] += 1
                self.tell(f"the whole schedule, trial {number} of {_FIRST_TRIALS}: {_shown(found)}")
                # Of long trials fewer have to do: most of the time is for leaving faults out.
                if found.total() > found[None] and self.clock() - self._began > _FIRST_SHARE * self.budget_s:
                    break
        except _OutOfTimeError:
            pass
        failures = Counter({signature: count for signature, count in found.items() if signature is not None})
        if not failures:
            raise Inconclusive(
                f"The schedule did not fail in {found.total()} trials, so there is nothing to make smaller.",
                "Is it the schedule of the run that failed, and the same system? A rare failure needs a larger budget.",
            )
        signature, count = failures.most_common(1)[0]
        self._seen = [count, found.total()]
        return str(signature)

    def _reduce(self, whole: Numbers) -> Numbers:
        """Remove ever smaller parts; stop when each single fault was tried in vain."""
        kept, parts = whole, 1
        while kept:
            smaller = self._first_that_fails(kept, parts)
            if smaller is not None:
                kept, parts = smaller, max(1, min(parts - 1, len(smaller)))
            elif parts >= len(kept):
                break
            else:
                parts = min(len(kept), parts * 2)
        return kept

    def _first_that_fails(self, kept: Numbers, parts: int) -> Numbers | None:
        """Leave out one of `parts` equal parts after the other, until the rest fails; with one part all is left out."""
        size = math.ceil(len(kept) / parts)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            if rest in self._refused:
                continue
            try:
                fails = self._fails(rest)
            except _OutOfTimeError:
                raise _OutOfTimeError(kept) from None
            left_out = ", ".join(f"#{number}" for number in kept[start : start + size])
            self.tell(
                f"without {left_out}: {'fails, so ' + str(len(rest)) + ' are left' if fails else 'does not fail'}"
            )
            if fails:
                return rest
            self._refused.add(rest)
        return None

    def _fails(self, part: Numbers) -> bool:
        """Tell whether a part fails in the same way, in as many trials as that takes."""
        passed = 0
        while passed < self._needed():
            if self._fails_once(part):
                self._seen[0] += 1
                self._seen[1] += passed + 1
                return True
            passed += 1
        return False

    def _needed(self) -> int:
        """Return how many trials have to pass before a part is believed not to fail."""
        rate = max(_LEAST_RATE, _lower_bound(*self._seen))
        if rate >= 1 - DOUBT:
            return 1
        return min(_MOST_TRIALS, math.ceil(math.log(DOUBT) / math.log(1 - rate)))

    def _fails_once(self, part: Numbers) -> bool:
        return self._once(part) == self._signature

    def _once(self, part: Numbers) -> str | None:
        if self.clock() - self._began >= self.budget_s:
            raise _OutOfTimeError
        self._trials += 1
        return self.trial(part)


def _lower_bound(failed: int, trials: int) -> float:
    """Return the least rate of failures that is still credible (Wilson's score interval, one side, 95 %)."""
    if not trials:
        return 0.0
    share, z2 = failed / trials, _Z * _Z
    middle = share + z2 / (2 * trials)
    spread = _Z * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return (middle - spread) / (1 + z2 / trials)


def _shown(found: Counter[str | None]) -> str:
    failed = found.total() - found[None]
    kinds = len([signature for signature in found if signature is not None])
    return f"{failed} failed" + (f", in {kinds} ways" if kinds > 1 else "")
