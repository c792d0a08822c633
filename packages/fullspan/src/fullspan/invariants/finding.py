"""A finding: what one invariant says about one window of records."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fullspan.faults import Evidence as FaultEvidence
from fullspan.ledger.record import Observation
from fullspan.verdict import Verdict

__all__ = ["Finding", "told_time", "witness_lines"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one invariant, in a sentence.

    `n` records were checked. At most five observations, the `witness`, show a violation, with the at most two `faults`
    that were on while it happened, or shortly before. `guarantee` is what the stream promises, where it matters.
    """

    name: str
    verdict: Verdict
    summary: str
    n: int
    witness: tuple[Observation, ...] = ()
    first_bad_hop: str | None = None
    faults: tuple[FaultEvidence, ...] = ()
    guarantee: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain JSON values."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "summary": self.summary,
            "n": self.n,
            "witness": [observation.to_json() for observation in self.witness],
            "first_bad_hop": self.first_bad_hop,
            "faults": [
                {
                    "kind": fault.kind,
                    "target": fault.target,
                    "injected_mono_ns": fault.injected_mono_ns,
                    "healed_mono_ns": fault.healed_mono_ns,
                }
                for fault in self.faults
            ],
            "guarantee": self.guarantee,
        }


def witness_lines(finding: Finding) -> list[str]:
    """Return a violation's witness as lines of text: its observations, and the faults that were on meanwhile."""
    lines = []
    for seen in finding.witness:
        told = [f"  {seen.hop}: {seen.key} {seen.outcome.value} at {told_time(seen.seen_wall_ns)}"]
        if seen.event_ns:
            told.append(f"{(seen.seen_wall_ns - seen.event_ns) / 1e6:.1f} ms after it was due")
        if seen.digest is not None:
            told.append(f"digest {seen.digest}")
        if seen.deviation is not None:
            told.append(f"deviation {seen.deviation:g}")
        lines.append(", ".join(told))
    for fault in finding.faults:
        lasted = (fault.healed_mono_ns - fault.injected_mono_ns) / 1e9
        since = ""
        if finding.witness:
            ago = (max(seen.seen_ns for seen in finding.witness) - fault.injected_mono_ns) / 1e9
            since = f", injected {ago:.2f} s before the last of these was seen"
        lines.append(f"  fault {fault.kind} of {fault.target}, on for {lasted:.2f} s{since}")
    return lines


def told_time(wall_ns: int) -> str:
    """Return a moment in UTC, to the millisecond."""
    return f"{datetime.fromtimestamp(wall_ns // 1_000_000 / 1000, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
