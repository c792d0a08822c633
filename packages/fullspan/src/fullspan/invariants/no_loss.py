"""No loss: every record that should pass a hop was seen there."""

from collections.abc import Iterable

from fullspan.invariants.finding import Finding
from fullspan.invariants.judge import Minimum, judge
from fullspan.ledger.reconciliation import HopTotals, Kind, Reconciliation

__all__ = ["check"]


def check(reconciliation: Reconciliation, minimum: Minimum = 1, hops: Iterable[str] | None = None) -> Finding:
    """Check that nothing is missing; `minimum` records must have been expected for certain, per hop."""

    def expected(totals: HopTotals) -> int:
        return totals.expected - totals.unknown

    return judge("no loss", (Kind.MISSING,), expected, reconciliation, minimum, hops)
