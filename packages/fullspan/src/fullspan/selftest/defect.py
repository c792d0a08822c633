"""A planted defect, and what was found of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fullspan.ledger import Kind
from fullspan.verdict import Verdict

__all__ = ["NO_ALARM", "Defect", "Diagnosis", "Result"]

INVARIANTS: Final[Mapping[str, str]] = {
    Kind.MISSING: "no loss",
    Kind.DUPLICATE: "no duplicate",
    Kind.ORDER: "order",
    Kind.SWAPPED: "integrity",
    Kind.ALTERED: "integrity",
    Kind.LATE: "freshness",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is said of a system: the verdict, the ways in which records went wrong, and where they did first.

    `kinds` are those at the first bad hop, or the invariants where these tell no kinds apart; empty where nothing is
    wrong with any record.
    """

    verdict: Verdict
    kinds: frozenset[str] = frozenset()
    hop: str | None = None
    elsewhere: frozenset[str] = frozenset()
    """Hops after the first bad one at which further records went wrong, each for the first time."""

    def __str__(self) -> str:
        if self.verdict is not Verdict.FAIL:
            return "no alarm" if self.verdict is Verdict.PASS else "cannot tell"
        more = f", and at {', '.join(sorted(self.elsewhere))}" if self.elsewhere else ""
        return f"{' and '.join(sorted(self.kinds))} at {self.hop}{more}"

    @property
    def invariants(self) -> Sequence[str]:
        """Return the invariants that are violated."""
        return sorted({INVARIANTS.get(kind, kind) for kind in self.kinds})


NO_ALARM: Final = Diagnosis(Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that goes wrong on purpose: `story` says what, `where` in which part, `expected` how it must be found.

    With `spreads` the same cause also hits later hops by itself, and these may be named as well.
    """

    name: str
    system: str
    where: str
    story: str
    expected: Diagnosis
    spreads: bool = False

    def agrees(self, found: Diagnosis) -> bool:
        """Tell whether this is the right diagnosis, neither more nor less."""
        same = (found.verdict, found.kinds, found.hop) == (
            self.expected.verdict,
            self.expected.kinds,
            self.expected.hop,
        )
        return same and (self.spreads or not found.elsewhere)


@dataclass(frozen=True, slots=True)
class Result:
    """One defect, or a clean run beside them, and what was said of it; `detail` is the sentence that a person reads."""

    defect: Defect
    found: Diagnosis
    detail: str = ""

    @property
    def right(self) -> bool:
        """Tell whether the defect was found for what it is."""
        return self.defect.agrees(self.found)
