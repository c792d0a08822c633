"""The diagnosis: what the ledger and the invariants say of a stream, as they say it of any system."""

from collections.abc import Iterable

from fullspan.invariants import Finding, freshness, integrity, no_duplicate, no_loss, order
from fullspan.invariants.judge import Minimum
from fullspan.ledger import Reconciliation
from fullspan.selftest.defect import INVARIANTS, Diagnosis
from fullspan.verdict import Verdict, combine

__all__ = ["diagnose", "diagnosis_of"]


def diagnose(
    examined: Reconciliation, minimum: Minimum, hops: Iterable[str], compared: Iterable[str] | None = None
) -> tuple[Diagnosis, str]:
    """Return the diagnosis of a reconciliation, and the sentence of the finding that matters most.

    `minimum` records must have been seen at each of the `hops`, and their content known at those that are `compared`,
    all by default. What the findings name and what the violations name
    must be the same; a difference is told in the sentence, and is no diagnosis that any defect expects.
    """
    asked = tuple(hops)
    checks = (no_loss, no_duplicate, order, freshness)
    findings = [check.check(examined, minimum, asked) for check in checks]
    findings.append(integrity.check(examined, minimum, asked if compared is None else tuple(compared)))
    verdict = combine(finding.verdict for finding in findings)
    if verdict is not Verdict.FAIL:
        return Diagnosis(verdict), _sentence(findings, verdict)
    hop = examined.first_bad_hop
    roots = {(violation.kind, violation.hop) for violation in examined.violations if violation.is_root}
    kinds = frozenset(kind for kind, at in roots if at == hop)
    elsewhere = frozenset(at for _, at in roots if at != hop)
    failed = {finding.name for finding in findings if finding.verdict is Verdict.FAIL and finding.first_bad_hop == hop}
    said = _sentence(findings, verdict)
    if failed != {INVARIANTS[kind] for kind in kinds}:
        return Diagnosis(verdict, kinds, None, elsewhere), f"the findings name {sorted(failed)} at {hop}: {said}"
    return Diagnosis(verdict, kinds, hop, elsewhere), said


def diagnosis_of(finding: Finding) -> Diagnosis:
    """Return what one finding says, of an invariant that tells no kinds apart."""
    if finding.verdict is not Verdict.FAIL:
        return Diagnosis(finding.verdict)
    return Diagnosis(Verdict.FAIL, frozenset({finding.name}), finding.first_bad_hop)


def _sentence(findings: Iterable[Finding], verdict: Verdict) -> str:
    return next(f"{finding.name}: {finding.summary}" for finding in findings if finding.verdict is verdict)
