"""What came of a comparison: totals per hop, and each violation with its first bad hop and its witness."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.record import Observation

if TYPE_CHECKING:
    from fullspan.ledger.debt import Debt
    from fullspan.ledger.journey import Journey

__all__ = ["WITNESS_LIMIT", "HopTotals", "Kind", "Reconciliation", "Violation"]

WITNESS_LIMIT: Final = 5


class Kind(StrEnum):
    """In which way a record went wrong at a hop."""

    MISSING = "missing"
    DUPLICATE = "duplicate"
    ALTERED = "altered"
    SWAPPED = "swapped"
    ORDER = "order"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class HopTotals:
    """Counts at one hop, in keys of that hop; only `duplicate` and `extra` count observations.

    `compared` keys had content to compare, `judged` keys had a time limit that could be decided, `undecided` ones were
    seen after their limit but may have been there before. `extra` observations belong to no record that was asked for.
    `unknown` keys were not seen and need not be, because this hop or one before could not tell of them, or refused
    them; `omitted` ones because it had marked them as left out, which the guarantee allows. `duplicate` counts what
    came again, also where that is allowed.
    """

    hop: str
    expected: int = 0
    observed: int = 0
    missing: int = 0
    duplicate: int = 0
    altered: int = 0
    swapped: int = 0
    order: int = 0
    late: int = 0
    compared: int = 0
    judged: int = 0
    undecided: int = 0
    extra: int = 0
    unknown: int = 0
    omitted: int = 0

    def count(self, kind: Kind) -> int:
        """Return the count of one kind of violation."""
        counts = {
            Kind.MISSING: self.missing,
            Kind.DUPLICATE: self.duplicate,
            Kind.ALTERED: self.altered,
            Kind.SWAPPED: self.swapped,
            Kind.ORDER: self.order,
            Kind.LATE: self.late,
        }
        return counts[kind]


@dataclass(frozen=True, slots=True)
class Violation:
    """One key that went wrong at one hop.

    `records` are the journeys that it belongs to. `first_bad_hop` is where those records went wrong first: this hop for
    a root, an earlier one for a consequence. `witness` holds at most five observations that show it.
    """

    kind: Kind
    hop: str
    key: str
    first_bad_hop: str
    records: tuple[str, ...]
    detail: str
    witness: tuple[Observation, ...]
    swapped_with: str | None = None

    @property
    def is_root(self) -> bool:
        """Tell whether some record went wrong here and nowhere before."""
        return self.hop == self.first_bad_hop


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The whole comparison; hops are in stage order, violations by hop and then by record."""

    totals: Mapping[str, HopTotals]
    violations: tuple[Violation, ...]
    first_bad_hops: Mapping[str, str]  # of the records that went wrong, by record
    records: int
    debts: "tuple[Debt, ...]" = ()
    journeys: "tuple[Journey, ...]" = ()
    guarantee: Guarantee = Guarantee.EXACTLY_ONCE

    @property
    def hops(self) -> tuple[str, ...]:
        """Return the hops in stage order."""
        return tuple(self.totals)

    @property
    def first_bad_hop(self) -> str | None:
        """Return the earliest hop at which any record went wrong, None when none did."""
        bad = set(self.first_bad_hops.values())
        return next((hop for hop in self.hops if hop in bad), None)

    def of(self, *kinds: Kind) -> Iterator[Violation]:
        """Yield the violations of these kinds, roots before consequences."""
        chosen = [violation for violation in self.violations if violation.kind in kinds]
        yield from (violation for violation in chosen if violation.is_root)
        yield from (violation for violation in chosen if not violation.is_root)
