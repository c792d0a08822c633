"""What one test shows: findings, figures, faults, totals and files, on their way into the bundle."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Final

from fullspan.bundle import (
    Attachment,
    Bundle,
    DebtRecord,
    FaultRecord,
    Figure,
    FindingRecord,
    LayerRecord,
    RecoveryRecord,
    TestRecord,
    TotalsRecord,
)
from fullspan.errors import Inconclusive
from fullspan.faults import Evidence as FaultEvidence
from fullspan.faults import Faults
from fullspan.invariants import Finding
from fullspan.invariants.finding import witness_lines
from fullspan.ledger import Ledger, Reconciliation
from fullspan.ledger.blame import blame
from fullspan.ledger.violations import violations_of
from fullspan.recovery import RecoveryProfile
from fullspan.verdict import Verdict, combine

__all__ = ["Evidence"]

PERCENTILES: Final = (("median", 0.5), ("p95", 0.95))


class Evidence:
    """Collects what a test shows; `require` turns the findings and the faults into the test's result.

    `say` prints a line of progress on the real terminal and notes it in the timeline.
    """

    def __init__(self, nodeid: str, bundle: Bundle, tell: Callable[[str], object]) -> None:
        self.nodeid = nodeid
        self._bundle = bundle
        self._tell = tell
        self._began_mono_ns = time.monotonic_ns()
        self._findings: list[Finding] = []
        self._figures: list[Figure] = []
        self._totals: list[TotalsRecord] = []
        self._examined: list[tuple[str, Reconciliation]] = []
        self._recoveries: list[RecoveryRecord] = []
        self._attachments: list[Attachment] = []
        self._faults: Faults | None = None
        self._ledger: Ledger | None = None

    def say(self, what: str) -> None:
        """Tell the person who waits what is going on."""
        self._bundle.timeline.add("say", what, test=self.nodeid)
        self._tell(what)

    def attach(self, name: str, data: bytes | str) -> None:
        """Keep a file in the bundle; a picture stands in the report."""
        self._attachments.append(self._bundle.attach(name, data))

    def finding(self, finding: Finding) -> None:
        """Take in what an invariant says."""
        self._findings.append(finding)
        attributes = {"test": self.nodeid, "verdict": finding.verdict.value}
        self._bundle.timeline.add("finding", f"{finding.name}: {finding.summary}", **attributes)

    def figure(self, name: str, value: float | str, unit: str = "") -> None:
        """Keep one measured value."""
        self._figures.append(Figure(name=name, value=value, unit=unit))

    def figures(self, name: str, samples: Sequence[float], unit: str) -> None:
        """Keep median, p95 and largest of samples (nearest rank), and how many there were."""
        ordered = sorted(samples)
        if not ordered:
            return
        for label, share in PERCENTILES:
            value = ordered[min(len(ordered) - 1, int(len(ordered) * share))]
            self.figure(f"{name}, {label} (n = {len(ordered):,})", round(value, 3), unit)
        self.figure(f"{name}, largest", round(ordered[-1], 3), unit)

    def reconciliation(self, examined: Reconciliation, title: str = "records") -> Reconciliation:
        """Keep the totals of a reconciliation, its violations, and the journeys that it asked for; return it."""
        self._examined.append((title, examined))
        hops: list[dict[str, int | str]] = [dict(asdict(totals)) for totals in examined.totals.values()]
        debts = [DebtRecord.model_validate(asdict(debt)) for debt in examined.debts]
        first = examined.first_bad_hop
        self._totals.append(
            TotalsRecord(title=title, records=examined.records, first_bad_hop=first, hops=hops, debts=debts)
        )
        return examined

    def recovery(self, profile: RecoveryProfile) -> None:
        """Keep how long each layer took to recover from a fault: as a whole, and each of its seconds as a figure."""
        layers = []
        for layer, moments in profile.layers.items():
            seconds = {phase: profile.seconds(layer, phase) for phase in moments}
            layers.append(LayerRecord(name=layer, seconds={str(phase): value for phase, value in seconds.items()}))
            for phase, value in seconds.items():
                if value is not None:
                    name = f"{profile.name}: {layer} {phase}, after it was {phase.since}"
                    self._figures.append(Figure(name=name, value=round(value, 3), unit="s", table="recovery"))
        self._recoveries.append(
            RecoveryRecord(
                kind=profile.kind,
                target=profile.target,
                injected_mono_ns=profile.injected_mono_ns,
                healed_mono_ns=profile.healed_mono_ns,
                until_mono_ns=profile.until_mono_ns,
                after={str(phase): phase.since for phase in profile.phases},
                layers=layers,
            )
        )

    def watch(self, *, faults: Faults | None = None, ledger: Ledger | None = None) -> None:
        """Take in what these hold when the test ends; the fixtures of these names do it."""
        # Compared with None, because an empty ledger counts as false.
        self._faults = self._faults if faults is None else faults
        self._ledger = self._ledger if ledger is None else ledger
        if ledger is not None:
            ledger.spill_to(self._bundle.observations_of(self.nodeid), self._bundle.redact)

    @property
    def has_faults(self) -> bool:
        """Whether something was broken on purpose."""
        return self._faults is not None and bool(self._faults.evidence)

    def require(self) -> None:
        """Make the findings and the faults the result of the test.

        Raises AssertionError when a finding fails, and Inconclusive when one cannot tell or a fault did nothing.
        """
        reasons = {verdict: [f.summary for f in self._findings if f.verdict is verdict] for verdict in Verdict}
        named = [f"{f.name}: {f.summary}" for f in self._findings if f.verdict is Verdict.FAIL]
        useless = [e.reason for e in self._faults.evidence if e.verdict is not Verdict.PASS] if self._faults else []
        verdict = combine([f.verdict for f in self._findings] + [Verdict.INCONCLUSIVE] * len(useless))
        if verdict is Verdict.FAIL:
            shown = [line for finding in self._blamed() for line in witness_lines(finding)]
            raise AssertionError("\n".join(["; ".join(named), *shown]))
        if verdict is Verdict.INCONCLUSIVE:
            raise Inconclusive("; ".join(useless + reasons[Verdict.INCONCLUSIVE]) or "The test found nothing out.")

    def record(self, verdict: Verdict, reason: str, details: str) -> TestRecord:
        """Write the ledger and what was found in it, and return the test as the bundle keeps it."""
        if self._ledger is not None and len(self._ledger):
            self._ledger.dump(self._bundle.observations_of(self.nodeid), self._bundle.redact)
        if self._examined:
            from fullspan.ledger.journeys import write_journeys  # brings Arrow with it, which most tests do not need

            ledger = Ledger() if self._ledger is None else self._ledger
            self._bundle.write_violations(violations_of(self.nodeid, self._examined, ledger, self._injected()))
            journeys = {journey.key: journey for _, examined in self._examined for journey in examined.journeys}
            write_journeys(self._bundle.journeys_of(self.nodeid), journeys.values())
        return TestRecord(
            nodeid=self.nodeid,
            verdict=verdict,
            reason=reason,
            details=details,
            began_mono_ns=self._began_mono_ns,
            ended_mono_ns=time.monotonic_ns(),
            findings=[FindingRecord.model_validate(finding.to_json()) for finding in self._blamed()],
            figures=self._figures,
            faults=[_fault(fault) for fault in self._injected()],
            recoveries=self._recoveries,
            totals=self._totals,
            attachments=self._attachments,
        )

    def _injected(self) -> Sequence[FaultEvidence]:
        return [] if self._faults is None else self._faults.evidence

    def _blamed(self) -> list[Finding]:
        """Return the findings, each violation with the faults that were on meanwhile."""
        faults = self._injected()
        return [
            replace(finding, faults=finding.faults or blame(finding.witness, faults))
            if finding.verdict is Verdict.FAIL
            else finding
            for finding in self._findings
        ]


def _fault(evidence: object) -> FaultRecord:
    """Take the fields that a bundle keeps from a fault's evidence."""
    return FaultRecord.model_validate({name: getattr(evidence, name) for name in FaultRecord.model_fields})
