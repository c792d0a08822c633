"""The comparison of what was seen with what should have been seen, hop by hop.

Each key is examined once per hop, however many records depend on it; then every record's first bad hop is the earliest
stage at which one of its keys went wrong. The work grows with the number of observations and of keys in the journeys.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from fullspan.ledger.debt import debts_of
from fullspan.ledger.examine import Excuses, Expectation, HopExam
from fullspan.ledger.guarantee import Guarantee
from fullspan.ledger.journey import Journey
from fullspan.ledger.ledger import Ledger
from fullspan.ledger.reconciliation import HopTotals, Kind, Reconciliation, Violation

__all__ = ["reconcile"]


def reconcile(
    ledger: Ledger,
    journeys: Iterable[Journey],
    late_after_ns: int | Mapping[str, int] | None = None,
    guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
) -> Reconciliation:
    """Compare a ledger with the journeys that its records should have made.

    `late_after_ns` is how long after its `event_ns` a record may be seen, ns: at every hop, or by hop; hops without a
    limit are not judged. `guarantee` is what the stream promises: what that allows is counted, but is no violation. A
    record whose outcome some hop does not know, or that it refused, need not be seen after it. Raises ValueError when
    journeys contradict each other: two for one record, hops in opposite orders, or different content expected of one
    key at one hop.
    """
    asked = list(journeys)
    twice = [key for key, times in Counter(journey.key for journey in asked).items() if times > 1]
    if twice:
        raise ValueError(f"record {twice[0]} has more than one journey")
    expected = _expectations(asked)
    exams: dict[str, HopExam] = {}
    excuses = Excuses()
    for hop in _stage_order(asked):
        limit = late_after_ns.get(hop) if isinstance(late_after_ns, Mapping) else late_after_ns
        exams[hop] = HopExam(hop, expected[hop], ledger.observations(hop), exams, limit, guarantee, excuses)
    first_bad = _first_bad_hops(asked, exams)
    return Reconciliation(
        totals={hop: _totals(exam) for hop, exam in exams.items()},
        violations=tuple(_violations(exams, asked, first_bad)),
        first_bad_hops={asked[record].key: hop for record, hop in first_bad.items()},
        records=len(asked),
        debts=debts_of(asked, exams),
        journeys=tuple(asked),
        guarantee=guarantee,
    )


def _stage_order(journeys: Sequence[Journey]) -> list[str]:
    """Return all hops in an order that holds for every journey."""
    before: dict[str, set[str]] = {}
    for hops in dict.fromkeys(tuple(stage.hop for stage in journey.stages) for journey in journeys):
        for place, hop in enumerate(hops):
            before.setdefault(hop, set()).update(hops[:place])
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        raise ValueError(f"journeys pass the hops {' -> '.join(error.args[1])} in opposite orders") from error


def _expectations(journeys: Sequence[Journey]) -> dict[str, dict[str, Expectation]]:
    """Gather per hop and key what is expected of it and which journeys, by number, depend on it."""
    expected: dict[str, dict[str, Expectation]] = {}
    for number, journey in enumerate(journeys):
        previous: tuple[str, str] | None = None
        for stage in journey.stages:
            only = len(stage.keys) == 1
            of_hop = expected.setdefault(stage.hop, {})
            for key in stage.keys:
                wanted = Expectation(
                    stage.expected_digest(key), stage.tolerance, previous if only else None, len(of_hop)
                )
                known = of_hop.setdefault(key, wanted)
                if (known.digest, known.tolerance) != (wanted.digest, wanted.tolerance):
                    raise ValueError(f"two records expect different content of {key} at hop {stage.hop}")
                known.records.append(number)
            previous = (stage.hop, stage.keys[0]) if only else None
    return expected


def _first_bad_hops(journeys: Sequence[Journey], exams: Mapping[str, HopExam]) -> dict[int, str]:
    """Return, by the number of each journey that went wrong, the earliest stage at which it did."""
    bad: dict[int, set[str]] = {}
    for hop, exam in exams.items():
        for key in exam.faults:
            for record in exam.expected[key].records:
                bad.setdefault(record, set()).add(hop)
    return {
        record: next(stage.hop for stage in journeys[record].stages if stage.hop in hops)
        for record, hops in sorted(bad.items())
    }


def _violations(
    exams: Mapping[str, HopExam], journeys: Sequence[Journey], first_bad: Mapping[int, str]
) -> Iterable[Violation]:
    for hop, exam in exams.items():
        for key in sorted(exam.faults, key=lambda key: exam.expected[key].place):
            records = exam.expected[key].records
            # A key that several records share is a root as soon as one of them was right until here.
            first = hop if any(first_bad[record] == hop for record in records) else first_bad[records[0]]
            names = tuple(journeys[record].key for record in records)
            for fault in exam.faults[key]:
                yield Violation(fault.kind, hop, key, first, names, fault.detail, fault.witness, fault.swapped_with)


def _totals(exam: HopExam) -> HopTotals:
    kinds = Counter(fault.kind for faults in exam.faults.values() for fault in faults)
    return HopTotals(
        hop=exam.hop,
        expected=len(exam.expected),
        observed=len(exam.seen),
        missing=kinds[Kind.MISSING],
        duplicate=exam.surplus,
        altered=kinds[Kind.ALTERED],
        swapped=kinds[Kind.SWAPPED],
        order=kinds[Kind.ORDER],
        late=kinds[Kind.LATE],
        compared=exam.compared,
        judged=exam.judged,
        undecided=exam.undecided,
        extra=exam.extra,
        unknown=exam.unknown,
        omitted=exam.omitted,
    )
