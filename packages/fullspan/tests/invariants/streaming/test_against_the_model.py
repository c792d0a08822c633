"""Every streaming checker agrees with the plain model, on histories in which anything can have happened."""

import math
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fullspan.faults import Evidence
from fullspan.invariants import Guarantee
from fullspan.invariants.streaming import (
    BoundedRecovery,
    Conservation,
    Freshness,
    GapFree,
    Integrity,
    MonotonicWatermark,
    NoDuplicate,
    NoInvention,
    NoLoss,
    Order,
    ShownStale,
    sweep,
)
from fullspan.ledger import Observation, Outcome
from fullspan.ledger.columns import to_table
from fullspan.verdict import Verdict
from packages.fullspan.tests.invariants.streaming import model

HOPS = ("sent", "kept", "shown")
STREAMS = ("a", "b/c", "")
WALL = 1_780_000_000_000_000_000
LIMIT, GRACE, WITHIN = 40, 10, 30
MOST = 9
OUTCOMES = (Outcome.SEEN,) * 5 + (Outcome.UNKNOWN, Outcome.REFUSED, Outcome.MARKED)


def observation(hop, stream, sequence, at, **more):
    key = f"{stream}/{sequence}" if stream else str(sequence)
    due = more.pop("due", at)
    event = 0 if due is None else WALL + due
    return Observation(hop, key, sequence, event, at, WALL + at, **more)


# One choice of each kind; most of them harmless.
extras = st.tuples(
    st.integers(0, 200),  # where it comes in
    st.sampled_from(HOPS),
    st.sampled_from(STREAMS),
    st.integers(0, MOST),
    st.sampled_from(OUTCOMES),
    st.sampled_from(["right", "right", "right", "odd", None]),
    st.sampled_from([None, 0.5, 1.0, 1.5, math.nan, math.inf]),
    st.sampled_from([0, 20, 39, 40, 41, 60, 200, None]),  # how long after it was due
    st.sampled_from([None, None, 0, 5, 10, 2**62, -(2**62)]),  # watermark, or amount
    st.sampled_from([None, True, False]),
)


@st.composite
def histories(draw):
    """Draw an orderly history of some streams, from which some is lost and into which anything is mixed."""
    streams = draw(st.sampled_from([STREAMS[:1], STREAMS[:2], STREAMS]))
    n = draw(st.integers(0, 6))
    lag = draw(st.integers(0, 4))
    flow = sorted(
        ((number + lag * place) // 6, place, hop, stream, number)
        for place, hop in enumerate(HOPS)
        for stream in streams
        for number in range(n)
    )
    history = [
        observation(
            hop, stream, number, at * 60, due=number * 10, digest=f"{stream}{number}", attributes={"amount": 7 * number}
        )
        for at, _, hop, stream, number in flow
    ]
    for place in sorted(draw(st.sets(st.integers(0, 60), max_size=3)), reverse=True):
        if place < len(history):
            del history[place]
    for where, hop, stream, number, outcome, digest, deviation, age, count, stale in draw(st.lists(extras, max_size=8)):
        attributes = {} if stale is None else {"stale": stale}
        if count is not None:
            attributes["amount"] = count
            attributes["watermark_ns"] = WALL + count if 0 <= count < 100 else count
        if outcome is Outcome.MARKED:
            attributes["last"] = number + where % 4
        if where % 5 == 0 and age is not None:
            attributes["not_before_ns"] = WALL + where
        at = min(where, len(history)) * 4
        told = f"{stream}{number}" if digest == "right" else digest
        extra = observation(
            hop, stream, number, at, due=None if age is None else at - age, digest=told, deviation=deviation,
            attributes=MappingProxyType(attributes), outcome=outcome,
        )  # fmt: skip
        history.insert(min(where, len(history)), extra)
    return history


@st.composite
def fault_lists(draw):
    found = []
    for begin, length in draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), min_size=1, max_size=3)):
        found.append(Evidence("hang", "broker", True, True, "", "", begin, begin + length, 0.1))
    return found


def pieces(history, size):
    """Cut a history where the hop changes, and after `size` observations."""
    cut = []
    for seen in history:
        if not cut or cut[-1][0] != seen.hop or len(cut[-1][1]) == size:
            cut.append((seen.hop, []))
        cut[-1][1].append(seen)
    return [(hop, to_table(rows)) for hop, rows in cut]


drawn = given(
    st.tuples(
        histories(),
        st.sampled_from(list(Guarantee)),
        st.sampled_from([2, 100, 100]),
        st.booleans(),
        fault_lists(),
        st.sampled_from([None, 1.0]),
    )
)
of_any_kind = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(of_any_kind, max_examples=500)
@drawn
def test_agrees_with_the_plain_model(case):
    check(*case)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(4))  # so that they share the cores
@settings(of_any_kind, max_examples=25_000, derandomize=False)  # else all parts would draw the same histories in CI
@drawn
def test_agrees_with_the_plain_model_in_a_hundred_thousand_histories(part, case):
    check(*case)


def check(history, guarantee, size, flag, faults, tolerance):
    expected = {"a": (0, 5), "b/c": (2, 3)} if flag else None
    fresh = model.freshness(history, HOPS, LIMIT)
    recovered = model.bounded_recovery(history, HOPS, faults, WITHIN, LIMIT)
    wanted = [
        (NoLoss(HOPS, guarantee, expected=expected), model.no_loss(history, HOPS, guarantee, expected), False),
        (NoDuplicate(HOPS, guarantee), model.no_duplicate(history, HOPS, guarantee), False),
        (NoInvention(HOPS, guarantee), model.no_invention(history, HOPS), False),
        (Order(HOPS, guarantee), model.order(history, HOPS), False),
        (GapFree(HOPS, guarantee), model.gap_free(history, HOPS, guarantee), False),
        (Integrity(HOPS, tolerance, slots=4096), model.integrity(history, HOPS, tolerance), False),
        (Freshness(HOPS, LIMIT), fresh[:2], fresh[2]),
        (MonotonicWatermark(HOPS), model.watermark(history, HOPS), False),
        (
            Conservation(HOPS, "amount", guarantee, by_stream=flag),
            model.conservation(history, HOPS, guarantee, flag),
            False,
        ),
        (ShownStale(HOPS, LIMIT, GRACE), model.shown_stale(history, HOPS, LIMIT, GRACE), False),
        (BoundedRecovery(HOPS, faults, WITHIN, LIMIT), recovered[:2], recovered[2]),
    ]
    findings = sweep([checker for checker, _, _ in wanted], pieces(history, size))
    for finding, (checker, (wrong, checked), unsure) in zip(findings, wanted, strict=True):
        assert checker.wrong == wrong, finding
        assert checker.checked == {hop: checked[hop] for hop in checker.checked}, finding
        bad = [hop for hop in HOPS if wrong[hop]]
        enough = all(count >= 1 for count in checker.checked.values())
        verdict = Verdict.FAIL if bad else Verdict.PASS if enough and not unsure else Verdict.INCONCLUSIVE
        assert (finding.verdict, finding.first_bad_hop) == (verdict, bad[0] if bad else None)
        assert len(finding.witness) <= 5
        assert finding.guarantee == checker.guarantee.value
