"""Checkers that hold an invariant on a stream of any length in bounded memory: one module each, one `sweep` for all.

    from fullspan.invariants.streaming import GapFree, NoLoss, Order, sweep

    findings = sweep([NoLoss(["sent", "stored"]), Order(["stored"]), GapFree(["stored"])], ledger)

They tell records apart by stream and sequence, so a record has the same key at every hop; where records become others
on their way (blocks become rows), `fullspan.ledger.reconcile` follows them.
"""

from fullspan.invariants.streaming.bounded_recovery import BoundedRecovery
from fullspan.invariants.streaming.checker import Book, Checker
from fullspan.invariants.streaming.conservation import Conservation
from fullspan.invariants.streaming.freshness import Freshness
from fullspan.invariants.streaming.gap_free import GapFree
from fullspan.invariants.streaming.integrity import Integrity
from fullspan.invariants.streaming.no_duplicate import NoDuplicate
from fullspan.invariants.streaming.no_invention import NoInvention
from fullspan.invariants.streaming.no_loss import NoLoss
from fullspan.invariants.streaming.order import Order
from fullspan.invariants.streaming.shown_stale import ShownStale
from fullspan.invariants.streaming.sweep import sweep
from fullspan.invariants.streaming.watermark import MonotonicWatermark

__all__ = [
    "Book",
    "BoundedRecovery",
    "Checker",
    "Conservation",
    "Freshness",
    "GapFree",
    "Integrity",
    "MonotonicWatermark",
    "NoDuplicate",
    "NoInvention",
    "NoLoss",
    "Order",
    "ShownStale",
    "sweep",
]
