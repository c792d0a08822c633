"""No duplicate: no record was seen twice at a hop."""

from collections.abc import Iterable

from fullspan.invariants.finding import Finding
from fullspan.invariants.judge import Minimum, judge
from fullspan.ledger.reconciliation import Kind, Reconciliation

__all__ = ["check"]


def check(reconciliation: Reconciliation, minimum: Minimum = 1, hops: Iterable[str] | None = None) -> Finding:
    """Check that nothing was seen more than once; `minimum` records must have been seen, per hop."""
    return judge("no duplicate", (Kind.DUPLICATE,), lambda totals: totals.observed, reconciliation, minimum, hops)
