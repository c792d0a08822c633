"""Integrity: every record carries the content that it should."""

from collections.abc import Iterable

from fullspan.invariants.finding import Finding
from fullspan.invariants.judge import Minimum, judge
from fullspan.ledger.reconciliation import Kind, Reconciliation

__all__ = ["check"]


def check(reconciliation: Reconciliation, minimum: Minimum = 1, hops: Iterable[str] | None = None) -> Finding:
    """Check that no content was altered or swapped; that of `minimum` records must have been compared, per hop."""
    kinds = (Kind.SWAPPED, Kind.ALTERED)
    return judge("integrity", kinds, lambda totals: totals.compared, reconciliation, minimum, hops)
