"""The violations of a test as its bundle keeps them: each with its witness, its faults and its record's journey."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fullspan.bundle import FaultSpan, StageRecord, ViolationRecord, ViolationsRecord
from fullspan.faults import Evidence
from fullspan.ledger.blame import blame
from fullspan.ledger.journey import Journey
from fullspan.ledger.ledger import Ledger
from fullspan.ledger.reconciliation import WITNESS_LIMIT, Reconciliation, Violation
from fullspan.ledger.record import Observation

__all__ = ["MOST_VIOLATIONS", "violations_of"]

MOST_VIOLATIONS: Final = 200  # of a test; what they have in common shows in far fewer


def violations_of(
    nodeid: str, examined: Iterable[tuple[str, Reconciliation]], ledger: Ledger, faults: Sequence[Evidence]
) -> ViolationsRecord:
    """Return what went wrong in a test; `examined` are its reconciliations and their titles."""
    asked = list(examined)
    found = [(title, violation) for title, reconciliation in asked for violation in reconciliation.violations]
    kept = sorted(found, key=lambda entry: not entry[1].is_root)[:MOST_VIOLATIONS]
    wanted = {violation.records[0] for _, violation in kept}
    journeys = {
        journey.key: journey
        for _, reconciliation in asked
        for journey in reconciliation.journeys
        if journey.key in wanted
    }
    seen = _first_seen(journeys.values(), ledger)
    return ViolationsRecord(
        test=nodeid,
        total=len(found),
        violations=[_record(title, violation, journeys, seen, faults) for title, violation in kept],
    )


def _record(
    title: str,
    violation: Violation,
    journeys: Mapping[str, Journey],
    seen: Mapping[tuple[str, str], Observation],
    faults: Sequence[Evidence],
) -> ViolationRecord:
    journey = journeys.get(violation.records[0])
    return ViolationRecord(
        title=title,
        kind=violation.kind.value,
        hop=violation.hop,
        key=violation.key,
        first_bad_hop=violation.first_bad_hop,
        is_root=violation.is_root,
        detail=violation.detail,
        records=list(violation.records[:WITNESS_LIMIT]),
        record_count=len(violation.records),
        swapped_with=violation.swapped_with,
        witness=[observation.to_json() for observation in violation.witness],
        faults=[
            FaultSpan(
                kind=fault.kind,
                target=fault.target,
                injected_mono_ns=fault.injected_mono_ns,
                healed_mono_ns=fault.healed_mono_ns,
            )
            for fault in blame(violation.witness, faults)
        ],
        journey=[] if journey is None else _stages(journey, violation, seen),
    )


def _stages(journey: Journey, violation: Violation, seen: Mapping[tuple[str, str], Observation]) -> list[StageRecord]:
    stages = []
    for stage in journey.stages:
        # The key that went wrong is shown in any case, however many others the record needs at this hop.
        first = [violation.key] if stage.hop == violation.hop and violation.key in stage.keys else []
        keys = list(dict.fromkeys([*first, *stage.keys]))[:WITNESS_LIMIT]
        shown = [seen[stage.hop, key].to_json() for key in keys if (stage.hop, key) in seen]
        stages.append(StageRecord(hop=stage.hop, keys=keys, key_count=len(stage.keys), seen=shown))
    return stages


def _first_seen(journeys: Iterable[Journey], ledger: Ledger) -> dict[tuple[str, str], Observation]:
    wanted: dict[str, set[str]] = {}
    for journey in journeys:
        for stage in journey.stages:
            wanted.setdefault(stage.hop, set()).update(stage.keys)
    first: dict[tuple[str, str], Observation] = {}
    for hop, keys in wanted.items():
        for observation in ledger.observations(hop):
            if observation.key in keys:
                known = first.setdefault((hop, observation.key), observation)
                if observation.seen_ns < known.seen_ns:
                    first[hop, observation.key] = observation
    return first
