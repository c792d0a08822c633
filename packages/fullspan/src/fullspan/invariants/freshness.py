"""Freshness: no record was seen later than its limit."""

from collections.abc import Iterable
from dataclasses import replace

from fullspan.invariants.finding import Finding
from fullspan.invariants.judge import Minimum, judge
from fullspan.ledger.reconciliation import Kind, Reconciliation
from fullspan.verdict import Verdict

__all__ = ["check"]


def check(reconciliation: Reconciliation, minimum: Minimum = 1, hops: Iterable[str] | None = None) -> Finding:
    """Check that nothing was late; `minimum` records must have been judged, per hop.

    A record that was there at a moment nobody knows, before or after its limit, leaves the finding inconclusive.
    """
    chosen = None if hops is None else tuple(hops)
    finding = judge("freshness", (Kind.LATE,), lambda totals: totals.judged, reconciliation, minimum, chosen)
    undecided = {
        hop: totals.undecided
        for hop, totals in reconciliation.totals.items()
        if totals.undecided and (chosen is None or hop in chosen)
    }
    if finding.verdict is not Verdict.PASS or not undecided:
        return finding
    told = ", ".join(f"{count:,} at {hop}" for hop, count in undecided.items())
    summary = f"late or not is undecided for {told}: they were first looked at after their limit"
    return replace(finding, verdict=Verdict.INCONCLUSIVE, summary=summary)
