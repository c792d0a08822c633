"""The ledger: what was seen of every record at every hop, and where it went wrong first."""

from fullspan.ledger.debt import Debt
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.journey import Journey, Stage
from fullspan.ledger.ledger import Ledger
from fullspan.ledger.reconcile import reconcile
from fullspan.ledger.reconciliation import HopTotals, Kind, Reconciliation, Violation
from fullspan.ledger.record import Moment, Observation, Outcome

__all__ = [
    "Debt",
    "Guarantee",
    "HopTotals",
    "Journey",
    "Kind",
    "Ledger",
    "Moment",
    "Observation",
    "Outcome",
    "Reconciliation",
    "Stage",
    "Violation",
    "reconcile",
]
