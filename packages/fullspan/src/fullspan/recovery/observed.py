"""Moments of a recovery as a hop's observations show them, so that every suite means the same by them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fullspan.faults import Evidence
from fullspan.ledger import Observation
from fullspan.recovery.phase import Phase

__all__ = ["Moments", "observed"]

Moments: TypeAlias = Mapping[Phase, int | None]


@dataclass(frozen=True, slots=True)
class _Passed:
    """One record at the hop: when it was due and when it was first seen, CLOCK_MONOTONIC, ns."""

    due_ns: int
    seen_ns: int

    @property
    def late_ns(self) -> int:
        return self.seen_ns - self.due_ns


def observed(
    observations: Iterable[Observation], fault: Evidence, sla_s: float, expected: Collection[str] | None = None
) -> dict[Phase, int | None]:
    """Return when a hop was degraded, good again, within its SLA, drained, and complete, CLOCK_MONOTONIC, ns.

    `sla_s` is how long after it was due a record may be seen. `expected` are the keys of the records that were due
    while the fault was on; without them nobody can tell whether the data are complete. A record that was never seen is
    none of the observations: only `expected` reveals it.
    """
    first = _first_seen(observations)
    passed = sorted(first.values(), key=lambda record: record.seen_ns)
    sla_ns = round(sla_s * 1e9)
    moments: dict[Phase, int | None] = {
        Phase.DEGRADED: _degraded(passed, fault.injected_mono_ns, sla_ns),
        Phase.FIRST_GOOD: next((record.seen_ns for record in passed if record.seen_ns >= fault.healed_mono_ns), None),
        Phase.WITHIN_SLA: _within(passed, fault.healed_mono_ns, sla_ns),
        Phase.DRAINED: _drained(passed, fault.healed_mono_ns),
    }
    if expected is not None:
        moments[Phase.COMPLETE] = _complete(first, expected, fault.healed_mono_ns)
    return moments


def _first_seen(observations: Iterable[Observation]) -> dict[str, _Passed]:
    first: dict[str, _Passed] = {}
    for seen in observations:
        record = _Passed(seen.seen_ns - (seen.seen_wall_ns - seen.event_ns), seen.seen_ns)
        known = first.get(seen.key)
        if known is None or record.seen_ns < known.seen_ns:
            first[seen.key] = record
    return first


def _degraded(passed: Iterable[_Passed], injected_ns: int, sla_ns: int) -> int | None:
    """Return when the first record was overdue that became so after the injection."""
    overdue = (record.due_ns + sla_ns for record in passed if record.late_ns > sla_ns)
    return min((moment for moment in overdue if moment >= injected_ns), default=None)


def _within(passed: Iterable[_Passed], healed_ns: int, sla_ns: int) -> int | None:
    """Return when the first record after the last late one was seen; None when the last of all was late."""
    since: int | None = None
    for record in passed:
        if record.seen_ns < healed_ns:
            continue
        if record.late_ns > sla_ns:
            since = None
        elif since is None:
            since = record.seen_ns
    return since


def _drained(passed: Iterable[_Passed], healed_ns: int) -> int | None:
    """Return when the last of those records was seen that were due before the heal and seen after it."""
    return max((record.seen_ns for record in passed if record.due_ns < healed_ns <= record.seen_ns), default=healed_ns)


def _complete(first: Mapping[str, _Passed], expected: Collection[str], healed_ns: int) -> int | None:
    """Return when the last expected record was there, not before the heal; None when one never was."""
    if any(key not in first for key in expected):
        return None
    return max((first[key].seen_ns for key in expected), default=healed_ns)
