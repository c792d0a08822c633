"""One hop under examination: which of the keys that should have been seen there went wrong, and how."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.reconciliation import WITNESS_LIMIT, Kind
from fullspan.ledger.record import Observation, Outcome

__all__ = ["Excuses", "Expectation", "Fault", "HopExam"]

MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one key must look like at one hop, where to look for its content before, and who depends on it."""

    digest: str | None
    tolerance: float | None
    previous: tuple[str, str] | None  # hop and key at the stage before, of the first record that names this key
    place: int  # in the order in which the journeys name the keys
    records: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a key went wrong."""

    kind: Kind
    detail: str
    witness: tuple[Observation, ...]
    swapped_with: str | None = None


@dataclass(frozen=True, slots=True)
class Excuses:
    """Records, by number, that need not be seen any more, until some hop sees them after all.

    Of the `unknown` ones some hop could not tell, or it refused them; the `omitted` ones it has marked as left out.
    """

    unknown: set[int] = field(default_factory=set)
    omitted: set[int] = field(default_factory=set)


class HopExam:
    """The examination of one hop; done when constructed, with the excuses of all hops before it brought up to date.

    `seen` holds the observations of each expected key in the order in which they were seen, `faults` what went wrong
    under the stream's guarantee.
    """

    def __init__(
        self,
        hop: str,
        expected: dict[str, Expectation],
        observations: Sequence[Observation],
        earlier: Mapping[str, "HopExam"],
        late_after_ns: int | None,
        guarantee: Guarantee,
        excuses: Excuses,
    ) -> None:
        self.hop = hop
        self.expected = expected
        self.seen: dict[str, list[Observation]] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.surplus = self.extra = self.compared = self.judged = self.undecided = self.unknown = self.omitted = 0
        self._guarantee = guarantee
        self._unsaid: set[str] = set()
        self._marked: set[str] = set()
        self._earlier = earlier
        self._owners: dict[str, list[str]] | None = None
        self._take_in(observations)
        self._find_missing(self._excused(excuses))
        self._find_duplicates()
        self._find_altered()
        self._find_disorder()
        if late_after_ns is not None:
            self._find_late(late_after_ns)

    def _take_in(self, observations: Sequence[Observation]) -> None:
        for observation in sorted(observations, key=lambda seen: seen.seen_ns):
            if observation.outcome is Outcome.MARKED:
                self._marked.update(self._covered(observation))
            elif observation.outcome is not Outcome.SEEN:
                self._unsaid.add(observation.key)
            elif observation.key in self.expected:
                self.seen.setdefault(observation.key, []).append(observation)
            else:
                self.extra += 1

    def _covered(self, mark: Observation) -> Iterable[str]:
        last = mark.attributes.get("last", mark.sequence)
        if not isinstance(last, int) or last - mark.sequence < len(self.expected):
            upto = last if isinstance(last, int) else mark.sequence
            return [mark.key, *(f"{mark.stream}/{number}" for number in range(mark.sequence, upto + 1))]
        named = ((key, *key.rpartition("/")[::2]) for key in self.expected)
        return [key for key, stream, name in named if stream == mark.stream and _is_between(name, mark.sequence, last)]

    def _excused(self, excuses: Excuses) -> set[str]:
        """Return the keys that need not have been seen, and bring the excuses of their records up to date."""
        excused: set[str] = set()
        if not (self._unsaid or self._marked or excuses.unknown or excuses.omitted):
            return excused
        unknown: set[int] = set()
        omitted: set[int] = set()
        unseen: set[int] = set()
        for key, expectation in self.expected.items():
            if key in self.seen:
                continue
            unseen.update(expectation.records)
            if key in self._unsaid or excuses.unknown.issuperset(expectation.records):
                self.unknown += 1
                unknown.update(expectation.records)
                excused.add(key)
            if not self._guarantee.allows_marked_loss:
                continue
            if key in self._marked or excuses.omitted.issuperset(expectation.records):
                self.omitted += key not in excused
                omitted.update(expectation.records)
                excused.add(key)
        here = {record for expectation in self.expected.values() for record in expectation.records}
        excuses.unknown.difference_update(here - unseen)
        excuses.omitted.difference_update(here - unseen)
        excuses.unknown.update(unknown)
        excuses.omitted.update(omitted)
        return excused

    def _fault(
        self, kind: Kind, key: str, detail: str, witness: Iterable[Observation | None], swapped_with: str | None = None
    ) -> None:
        shown = tuple(observation for observation in witness if observation is not None)[:WITNESS_LIMIT]
        self.faults.setdefault(key, []).append(Fault(kind, detail, shown, swapped_with))

    def _before(self, key: str) -> Observation | None:
        """Return what the stage before saw first of the same record, if it has one key for it and saw it."""
        previous = self.expected[key].previous
        if previous is None:
            return None
        seen = self._earlier[previous[0]].seen.get(previous[1])
        return seen[0] if seen else None

    def _find_missing(self, excused: Collection[str]) -> None:
        if len(self.seen) == len(self.expected):
            return
        after = self._nearest_seen(reversed(self.expected))
        for key, before in self._nearest_seen(self.expected).items():
            if key in excused:
                continue
            witness = (self._before(key), before, after[key])
            self._fault(Kind.MISSING, key, f"{key} was not seen at hop {self.hop}", witness)

    def _nearest_seen(self, keys: Iterable[str]) -> dict[str, Observation | None]:
        """Return for every key that was not seen the last seen one of its stream, going along `keys`."""
        last: dict[str, Observation] = {}
        nearest: dict[str, Observation | None] = {}
        for key in keys:
            stream = key.rpartition("/")[0]
            seen = self.seen.get(key)
            if seen:
                last[stream] = seen[0]
            else:
                nearest[key] = last.get(stream)
        return nearest

    def _find_duplicates(self) -> None:
        for key, seen in self.seen.items():
            if len(seen) > 1:
                self.surplus += len(seen) - 1
            if len(seen) > 1 and not self._guarantee.allows_repeats:
                self._fault(Kind.DUPLICATE, key, f"{key} was seen {len(seen)} times at hop {self.hop}", seen)

    def _find_altered(self) -> None:
        for key, seen in self.seen.items():
            expectation = self.expected[key]
            before = self._before(key)
            wanted = self._wanted(key, before)
            compared = False
            for observation in seen:
                reason = None
                if wanted is not None and observation.digest is not None:
                    compared = True
                    if observation.digest != wanted:
                        source = "expected" if expectation.digest is not None else "seen at the hop before"
                        reason = f"its digest {observation.digest} is not the one {source}, {wanted}"
                if expectation.tolerance is not None and observation.deviation is not None:
                    compared = True
                    # The comparison is this way round so that a deviation that is no number is wrong too.
                    if not observation.deviation <= expectation.tolerance:
                        reason = f"it deviates by {observation.deviation:g}, allowed are {expectation.tolerance:g}"
                if reason is not None:
                    self._alteration(observation, before, reason)
                    break
            self.compared += compared

    def _wanted(self, key: str, before: Observation | None) -> str | None:
        digest = self.expected[key].digest
        if digest is not None:
            return digest
        return before.digest if before is not None else None

    def _alteration(self, observation: Observation, before: Observation | None, reason: str) -> None:
        key = observation.key
        other = self._owner_of(observation)
        if other is None:
            self._fault(Kind.ALTERED, key, f"{key} was altered at hop {self.hop}: {reason}", (before, observation))
            return
        there = self.seen.get(other, [None])[0]
        detail = f"{key} carries the content of {other} at hop {self.hop}"
        self._fault(Kind.SWAPPED, key, detail, (before, observation, there), other)

    def _owner_of(self, observation: Observation) -> str | None:
        """Return the other key whose expected content an observation carries, the nearest one when several do."""
        told = observation.attributes.get("equals")
        if told is not None:
            return str(told) if told != observation.key else None
        if observation.digest is None:
            return None
        if self._owners is None:
            self._owners = {}
            for key in self.expected:
                wanted = self._wanted(key, self._before(key))
                if wanted is not None:
                    self._owners.setdefault(wanted, []).append(key)
        here = self.expected[observation.key].place
        owners = (key for key in self._owners.get(observation.digest, ()) if key != observation.key)
        return min(owners, key=lambda key: abs(self.expected[key].place - here), default=None)

    def _find_disorder(self) -> None:
        """Find the keys that were first seen after a later one of their stream."""
        latest: dict[str, Observation] = {}
        for observation in sorted((seen[0] for seen in self.seen.values()), key=lambda seen: seen.seen_ns):
            stream = observation.stream
            ahead = latest.get(stream)
            if ahead is None or observation.sequence >= ahead.sequence:
                latest[stream] = observation
                continue
            detail = f"{observation.key} was seen after {ahead.key} at hop {self.hop}"
            self._fault(Kind.ORDER, observation.key, detail, (ahead, observation))

    def _find_late(self, late_after_ns: int) -> None:
        for key, seen in self.seen.items():
            first = seen[0]
            limit = first.event_ns + late_after_ns
            absent_until = first.attributes.get("not_before_ns", first.seen_wall_ns)
            if first.seen_wall_ns > limit and not (isinstance(absent_until, int) and absent_until > limit):
                self.undecided += 1
                continue
            self.judged += 1
            if first.seen_wall_ns > limit:
                late = (first.seen_wall_ns - first.event_ns) / MILLISECOND
                detail = f"{key} was seen {late:.0f} ms after it was due at hop {self.hop}, allowed are "
                self._fault(Kind.LATE, key, detail + f"{late_after_ns / MILLISECOND:.0f}", (self._before(key), first))


def _is_between(name: str, first: int, last: int) -> bool:
    return name.isdecimal() and first <= int(name) <= last
