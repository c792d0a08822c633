"""One record explained: where each hop of a finished run saw it, and where it went wrong first."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from fullspan.bundle import Bundle, FaultSpan, TestRecord, ViolationRecord
from fullspan.errors import UsageError
from fullspan.ledger.blame import blame
from fullspan.ledger.journey import Journey, Stage
from fullspan.ledger.journeys import find_journey
from fullspan.ledger.record import Observation, Outcome
from fullspan.ledger.store import connect, files_in

__all__ = ["Explanation", "explain", "look_up"]

MOST_KEYS: Final = 12  # of one stage; a row can be made of hundreds of blocks
COLUMNS: Final = tuple(field.name for field in fields(Observation) if field.name != "hop")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one test knows of one record.

    `journey` is what the test asked of it, None when it asked nothing; `seen` are all observations of its keys, by hop
    in stage order and then by time. `faults` are the two that were on meanwhile, or shortly before.
    """

    key: str
    test: str
    journey: Journey | None
    seen: tuple[Observation, ...]
    violations: tuple[ViolationRecord, ...]
    faults: tuple[FaultSpan, ...]

    @property
    def first_bad_hop(self) -> str | None:
        """Return the hop at which the record went wrong first, None when it did not, as far as the bundle says."""
        return self.violations[0].first_bad_hop if self.violations else None

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as plain JSON values."""
        stages = [] if self.journey is None else self.journey.stages
        return {
            "record": self.key,
            "test": self.test,
            "first_bad_hop": self.first_bad_hop,
            "journey": [{"hop": stage.hop, "keys": list(stage.keys)} for stage in stages],
            "seen": [observation.to_json() for observation in self.seen],
            "violations": [violation.model_dump(mode="json") for violation in self.violations],
            "faults": [fault.model_dump(mode="json") for fault in self.faults],
        }

    def lines(self) -> Iterator[str]:
        """Yield the explanation as text for a person."""
        yield f"{self.key} in {self.test}"
        for stage in self._stages():
            yield from self._stage_lines(stage)
        for violation in self.violations:
            told = "" if violation.is_root else f", as a consequence of hop {violation.first_bad_hop}"
            yield f"  {violation.kind} at {violation.hop}: {violation.detail}{told}"
        for fault in self.faults:
            lasted = (fault.healed_mono_ns - fault.injected_mono_ns) / 1e9
            yield f"  fault {fault.kind} of {fault.target}, on for {lasted:.2f} s"
        yield f"  first bad hop: {self.first_bad_hop or 'none that the test found'}"

    def _stages(self) -> Sequence[Stage]:
        if self.journey is not None:
            return self.journey.stages
        return [Stage(hop, [self.key]) for hop in dict.fromkeys(seen.hop for seen in self.seen)]

    def _stage_lines(self, stage: Stage) -> Iterator[str]:
        for key in stage.keys[:MOST_KEYS]:
            found = [seen for seen in self.seen if (seen.hop, seen.key) == (stage.hop, key)]
            if not found:
                yield f"  {stage.hop:<12} {key}  never seen"
            for seen in found:
                yield f"  {stage.hop:<12} {key}  {told(seen)}"
        if len(stage.keys) > MOST_KEYS:
            yield f"  {stage.hop:<12} and {len(stage.keys) - MOST_KEYS:,} keys more"


def told(seen: Observation) -> str:
    """Return an observation without its hop and key, in words."""
    words = [f"{seen.outcome.value} at {seen.seen_ns / 1e9:.6f} s"]
    if seen.event_ns:
        words.append(f"{(seen.seen_wall_ns - seen.event_ns) / 1e6:+.1f} ms from when it was due")
    if seen.digest is not None:
        words.append(f"digest {seen.digest}")
    if seen.deviation is not None:
        words.append(f"deviation {seen.deviation:g}")
    return ", ".join(words)


def explain(bundle: Bundle, key: str, test: str | None = None) -> list[Explanation]:
    """Return what each test of a bundle, or those whose name contains `test`, knows of a record or of one of its keys.

    Raises UsageError when no test saw it or asked for it; the nearest key that was seen is named.
    """
    chosen = [record for record in bundle.results().tests if test is None or test in record.nodeid]
    if not chosen:
        raise UsageError(f"No test of {bundle.id} is called {test!r}." if test else f"{bundle.id} holds no test yet.")
    found = [known for record in chosen if (known := _explanation(bundle, record, key)) is not None]
    if not found:
        nearest = next((near for record in chosen if (near := _nearest(bundle, record, key)) is not None), None)
        remedy = f"The nearest that was seen is {nearest}." if nearest else "No test of it kept any observation."
        raise UsageError(f"No test of {bundle.id} saw a record {key!r}, or asked for it.", remedy)
    return found


def _explanation(bundle: Bundle, test: TestRecord, key: str) -> Explanation | None:
    journey = find_journey(bundle.journeys_of(test.nodeid), key)
    keys = {key} if journey is None else {one for stage in journey.stages for one in stage.keys} | {key}
    folder = bundle.observations_of(test.nodeid)
    seen = look_up(folder, sorted(keys)) if folder.is_dir() and files_in(folder) else []
    if journey is None and not seen:
        return None
    if journey is not None:
        place = {stage.hop: number for number, stage in enumerate(journey.stages)}
        seen.sort(key=lambda one: (place.get(one.hop, len(place)), one.seen_ns))
    names = {key} if journey is None else {journey.key}
    known = bundle.violations(test.nodeid).violations
    violations = tuple(one for one in known if one.key == key or names.intersection(one.records))
    return Explanation(key, test.nodeid, journey, tuple(seen), violations, _faults(test, seen))


def _faults(test: TestRecord, seen: Sequence[Observation]) -> tuple[FaultSpan, ...]:
    spans = [
        FaultSpan(
            kind=fault.kind,
            target=fault.target,
            injected_mono_ns=fault.injected_mono_ns,
            healed_mono_ns=fault.healed_mono_ns,
        )
        for fault in test.faults
        if fault.injected_mono_ns is not None and fault.healed_mono_ns is not None
    ]
    return blame(seen, spans)


def look_up(folder: Path, keys: Sequence[str], hop: str | None = None) -> list[Observation]:
    """Return what a ledger's folder holds of some keys, at one hop or at all, by time.

    Raises UsageError when there is no ledger.
    """
    with connect(folder) as sql:
        rows = sql.execute(
            f"SELECT hop, {', '.join(COLUMNS)} FROM observations "  # noqa: S608
            "WHERE key IN (SELECT unnest($1)) AND (hop = $2 OR $2 IS NULL) ORDER BY seen_ns",
            [list(keys), hop],
        ).fetchall()
    return [_observation(row) for row in rows]


def _observation(row: Sequence[Any]) -> Observation:
    values: dict[str, Any] = dict(zip(("hop", *COLUMNS), row, strict=True))
    values["attributes"] = MappingProxyType(json.loads(values["attributes"] or "{}"))
    values["outcome"] = Outcome(values["outcome"] or Outcome.SEEN)
    return Observation(**values)


def _nearest(bundle: Bundle, test: TestRecord, key: str) -> str | None:
    folder = bundle.observations_of(test.nodeid)
    if not folder.is_dir() or not files_in(folder):
        return None
    with connect(folder) as sql:
        row = sql.execute(
            "SELECT key FROM observations ORDER BY jaro_winkler_similarity(key, ?) DESC, key LIMIT 1", [key]
        ).fetchone()
    return None if row is None else str(row[0])
