"""Order: within a stream no record was first seen after a later one."""

from collections.abc import Iterable

from fullspan.invariants.finding import Finding
from fullspan.invariants.judge import Minimum, judge
from fullspan.ledger.reconciliation import Kind, Reconciliation

__all__ = ["check"]


def check(reconciliation: Reconciliation, minimum: Minimum = 1, hops: Iterable[str] | None = None) -> Finding:
    """Check that streams kept their order; `minimum` records must have been seen, per hop."""
    return judge("order", (Kind.ORDER,), lambda totals: totals.observed, reconciliation, minimum, hops)
