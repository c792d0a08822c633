"""A finding: what one invariant says about one window of records."""

from dataclasses import dataclass
from typing import Any

from fullspan.ledger.record import Observation
from fullspan.verdict import Verdict

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one invariant, in a sentence; `n` records were checked, `witness` shows a violation."""

    name: str
    verdict: Verdict
    summary: str
    n: int
    witness: tuple[Observation, ...] = ()
    first_bad_hop: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain JSON values."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "summary": self.summary,
            "n": self.n,
            "witness": [observation.to_json() for observation in self.witness],
            "first_bad_hop": self.first_bad_hop,
        }
