"""What went wrong, record by record: each violation with its record's journey, as far as the page has room."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fullspan.bundle import Bundle, FaultSpan, StageRecord, TestRecord, ViolationRecord

__all__ = ["Shown", "Step", "shown_violations"]

MOST: Final = 120
"""Violations of one run that are shown; the others are counted, and stand in the bundle."""
ALIKE: Final = 6
"""Violations of one kind at one hop of one test: the next ones would tell the same."""


@dataclass(frozen=True, slots=True)
class Step:
    """One hop of a journey: its keys, what was seen there, and how it looks: good, bad, spoilt or never."""

    hop: str
    look: str
    keys: Sequence[str]
    key_count: int
    seen: Sequence[Mapping[str, Any]]

    @property
    def told(self) -> str:
        """What became of the record here, in a few words."""
        if self.look == "never":
            return "never seen"
        first = self.seen[0] if self.seen else {}
        if first.get("event_ns"):
            return f"{(first['seen_wall_ns'] - first['event_ns']) / 1e6:,.0f} ms after due"
        return "seen"


@dataclass(frozen=True, slots=True)
class Shown:
    """One violation with its journey; `anchor` is its place in the page."""

    anchor: str
    violation: ViolationRecord
    steps: Sequence[Step]
    faults: Sequence[FaultSpan]

    @property
    def has_content(self) -> bool:
        """Tell whether any hop saw the content of the record."""
        return any(seen.get("digest") or seen.get("deviation") is not None for step in self.steps for seen in step.seen)


def shown_violations(bundle: Bundle, tests: Iterable[TestRecord]) -> dict[str, tuple[list[Shown], int]]:
    """Return by test what is shown of its violations, roots first, and how many there are in all."""
    left = MOST
    found: dict[str, tuple[list[Shown], int]] = {}
    for place, test in enumerate(tests):
        record = bundle.violations(test.nodeid)
        if not record.total:
            continue
        chosen = _unlike(record.violations)[:left]
        left -= len(chosen)
        shown = [_shown(f"violation-{place}-{number}", violation) for number, violation in enumerate(chosen)]
        found[test.nodeid] = shown, record.total
    return found


def _unlike(violations: Iterable[ViolationRecord]) -> list[ViolationRecord]:
    """Return the first few violations of each kind at each hop, in their order."""
    alike: Counter[tuple[str, str, bool]] = Counter()
    chosen = []
    for violation in violations:
        sort = violation.kind, violation.hop, violation.is_root
        alike[sort] += 1
        if alike[sort] <= ALIKE:
            chosen.append(violation)
    return chosen


def _shown(anchor: str, violation: ViolationRecord) -> Shown:
    steps = []
    spoilt = False
    for stage in violation.journey:
        spoilt = spoilt or stage.hop == violation.first_bad_hop
        steps.append(_step(stage, violation, spoilt))
    return Shown(anchor, violation, steps, violation.faults)


def _step(stage: StageRecord, violation: ViolationRecord, spoilt: bool) -> Step:
    if not stage.seen:
        look = "never"
    elif stage.hop in (violation.hop, violation.first_bad_hop):
        look = "bad"
    else:
        look = "spoilt" if spoilt else "good"
    return Step(stage.hop, look, stage.keys, stage.key_count, stage.seen)
