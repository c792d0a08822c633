"""No loss: every record that should pass a hop was seen there."""

from collections.abc import Iterable

from fullspan.invariants.finding import Finding
from fullspan.invariants.judge import Minimum, judge
from fullspan.ledger.reconciliation import Kind, Reconciliation

__all__ = ["check"]


def check(reconciliation: Reconciliation, minimum: Minimum = 1, hops: Iterable[str] | None = None) -> Finding:
    """Check that nothing is missing; `minimum` records must have been expected, per hop."""
    return judge("no loss", (Kind.MISSING,), lambda totals: totals.expected, reconciliation, minimum, hops)
