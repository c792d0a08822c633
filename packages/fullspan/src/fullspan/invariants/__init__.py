"""The invariants of a stream: one module each, whose `check` says whether a reconciliation shows a violation."""

from fullspan.invariants import freshness, integrity, no_duplicate, no_loss, order
from fullspan.invariants.finding import Finding

__all__ = ["Finding", "freshness", "integrity", "no_duplicate", "no_loss", "order"]
