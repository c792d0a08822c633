"""What all invariants on a reconciliation share: a violation fails, too few records cannot tell, the rest passes."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from fullspan.invariants.finding import Finding
from fullspan.ledger.reconciliation import WITNESS_LIMIT, HopTotals, Kind, Reconciliation, Violation
from fullspan.ledger.record import Observation
from fullspan.verdict import Verdict

__all__ = ["Minimum", "judge"]

Minimum: TypeAlias = int | Mapping[str, int]  # records that must be checked: at every hop, or at the hops named


def judge(
    name: str,
    kinds: tuple[Kind, ...],
    checked: Callable[[HopTotals], int],
    reconciliation: Reconciliation,
    minimum: Minimum,
    hops: Iterable[str] | None,
) -> Finding:
    """Return the finding of one invariant: that no violation of these kinds occurred.

    `checked` says of how many records a hop's totals can tell. Without `hops` every hop counts that can tell of any
    record, and every hop that `minimum` names.
    """
    counts = _counts(checked, reconciliation, minimum, hops)
    promise = reconciliation.guarantee.value
    n = sum(counts.values())
    violations = [violation for violation in reconciliation.of(*kinds) if violation.hop in counts]
    if violations:
        first = violations[0]
        summary = f"{_told(kinds, reconciliation, counts)}; first bad hop {first.first_bad_hop}: {first.detail}"
        return Finding(name, Verdict.FAIL, summary, n, _witness(violations), first.first_bad_hop, guarantee=promise)
    few = {hop: count for hop, count in counts.items() if count < _needed(minimum, hop)}
    if few or not counts:
        told = ", ".join(f"{count:,} at {hop} of at least {_needed(minimum, hop):,}" for hop, count in few.items())
        return Finding(
            name, Verdict.INCONCLUSIVE, f"too few records to tell: {told or 'none at any hop'}", n, guarantee=promise
        )
    told = ", ".join(f"{count:,} at {hop}" for hop, count in counts.items())
    remarks = _remarks(kinds, reconciliation, counts)
    return Finding(name, Verdict.PASS, f"0 {_words(kinds)} of {told}{remarks}", n, guarantee=promise)


def _counts(
    checked: Callable[[HopTotals], int],
    reconciliation: Reconciliation,
    minimum: Minimum,
    hops: Iterable[str] | None,
) -> dict[str, int]:
    totals = reconciliation.totals
    counts = {hop: checked(totals[hop]) if hop in totals else 0 for hop in (totals if hops is None else hops)}
    if hops is not None:
        return counts
    named = minimum if isinstance(minimum, Mapping) else {}
    unknown = {hop: 0 for hop in named if hop not in counts}
    return {hop: count for hop, count in counts.items() if count or hop in named} | unknown


def _needed(minimum: Minimum, hop: str) -> int:
    return minimum.get(hop, 1) if isinstance(minimum, Mapping) else minimum


def _words(kinds: tuple[Kind, ...]) -> str:
    words = {Kind.DUPLICATE: "surplus", Kind.ORDER: "out of order"}
    return " or ".join(words.get(kind, kind.value) for kind in kinds)


def _told(kinds: tuple[Kind, ...], reconciliation: Reconciliation, counts: Mapping[str, int]) -> str:
    told = []
    for hop, checked in counts.items():
        totals = reconciliation.totals.get(hop)
        wrong = {kind: totals.count(kind) for kind in kinds} if totals else {}
        told += [f"{count:,} {_words((kind,))} of {checked:,} at {hop}" for kind, count in wrong.items() if count]
    return ", ".join(told)


def _remarks(kinds: tuple[Kind, ...], reconciliation: Reconciliation, counts: Mapping[str, int]) -> str:
    """Tell what is no violation and yet no matter of course: what nobody knows, and what the guarantee allows."""
    remarks = []
    for hop in counts:
        totals = reconciliation.totals.get(hop)
        if totals is None:
            continue
        if Kind.MISSING in kinds and totals.unknown:
            remarks.append(f"{totals.unknown:,} of unknown outcome at {hop}")
        if Kind.MISSING in kinds and totals.omitted:
            remarks.append(f"{totals.omitted:,} marked as left out at {hop}")
        if Kind.DUPLICATE in kinds and totals.duplicate:
            remarks.append(f"{totals.duplicate:,} seen again at {hop}, as {reconciliation.guarantee.value} allows")
    return "".join(f"; {remark}" for remark in remarks)


def _witness(violations: Iterable[Violation]) -> tuple[Observation, ...]:
    """Return the first violation's witness; a missing record may leave none, so look further."""
    return next((violation.witness for violation in violations if violation.witness), ())[:WITNESS_LIMIT]
