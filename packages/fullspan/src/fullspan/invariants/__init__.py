"""The invariants of a stream: one module each, whose `check` says whether a reconciliation shows a violation.

`fullspan.invariants.streaming` holds the same, and more, on streams of any length.
"""

from fullspan.invariants import freshness, integrity, no_duplicate, no_loss, order
from fullspan.invariants.finding import Finding
from fullspan.ledger.guarantee import Guarantee

__all__ = ["Finding", "Guarantee", "freshness", "integrity", "no_duplicate", "no_loss", "order"]
