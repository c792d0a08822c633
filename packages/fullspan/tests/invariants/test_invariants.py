import json

import pytest

from fullspan.invariants import freshness, integrity, no_duplicate, no_loss, order
from fullspan.ledger import Guarantee, Journey, Ledger, Observation, Outcome, Stage, reconcile
from fullspan.verdict import Verdict

LIMIT = 100
ALL = (no_loss, no_duplicate, order, integrity, freshness)
NAMES = ("no loss", "no duplicate", "order", "integrity", "freshness")


def seen(hop, number, at=None, **more):
    at = number if at is None else at
    return Observation(hop, f"j/0/{number}", number, number, at, at, **more)


def reconciled(changes=(), n=10, hops=("row", "pixel"), gone=(), guarantee=Guarantee.EXACTLY_ONCE):
    """Reconcile n records at two hops, seen in time and right except for what `changes` replaces and `gone` drops."""
    ledger = Ledger()
    replaced = {(change.hop, change.key) for change in changes}
    for hop in hops:
        for number in range(n):
            if (hop, f"j/0/{number}") not in replaced and (hop, number) not in gone:
                ledger.observe(seen(hop, number, digest=f"d{number}"))
    ledger.observe_all(changes)
    journeys = [
        Journey(f"j/0/{number}", [Stage(hop, [f"j/0/{number}"], digest=f"d{number}") for hop in hops])
        for number in range(n)
    ]
    return reconcile(ledger, journeys, LIMIT, guarantee)


@pytest.mark.parametrize(("invariant", "name"), list(zip(ALL, NAMES, strict=True)))
def test_a_faultless_window_passes_every_invariant(invariant, name):
    finding = invariant.check(reconciled(), minimum=10)
    assert (finding.name, finding.verdict, finding.n, finding.witness) == (name, Verdict.PASS, 20, ())
    assert finding.summary.startswith("0 ")
    assert finding.summary.endswith("of 10 at row, 10 at pixel")


@pytest.mark.parametrize("invariant", ALL)
def test_a_window_with_too_few_records_cannot_tell(invariant):
    finding = invariant.check(reconciled(), minimum={"row": 5, "pixel": 11})
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.summary == "too few records to tell: 10 at pixel of at least 11"


@pytest.mark.parametrize("invariant", ALL)
def test_a_hop_that_saw_nothing_cannot_tell(invariant):
    assert invariant.check(reconciled(), minimum={"frame": 1}).verdict is Verdict.INCONCLUSIVE
    assert invariant.check(reconciled(), hops=["frame"]).verdict is Verdict.INCONCLUSIVE
    assert invariant.check(reconcile(Ledger(), [])).summary == "too few records to tell: none at any hop"


def test_loss_fails_with_the_first_bad_hop_and_a_witness():
    finding = no_loss.check(reconciled(gone={("row", 4), ("pixel", 4), ("pixel", 7)}))
    assert finding.verdict is Verdict.FAIL
    assert finding.summary == (
        "1 missing of 10 at row, 2 missing of 10 at pixel; first bad hop row: j/0/4 was not seen at hop row"
    )
    assert finding.first_bad_hop == "row"
    assert [o.key for o in finding.witness] == ["j/0/3", "j/0/5"]


def test_a_violation_fails_even_when_there_are_too_few_records():
    assert no_loss.check(reconciled(gone={("pixel", 4)}), minimum=1000).verdict is Verdict.FAIL


def test_a_window_in_which_everything_is_missing_fails_without_a_witness():
    finding = no_loss.check(reconciled(n=1, gone={("row", 0), ("pixel", 0)}))
    assert (finding.verdict, finding.witness) == (Verdict.FAIL, ())


def test_a_duplicate_fails():
    finding = no_duplicate.check(reconciled([seen("pixel", 3, digest="d3"), seen("pixel", 3, 4, digest="d3")]))
    assert (finding.verdict, finding.first_bad_hop) == (Verdict.FAIL, "pixel")
    assert finding.summary.startswith("1 surplus of 10 at pixel; first bad hop pixel: j/0/3 was seen 2 times")
    assert len(finding.witness) == 2


def test_disorder_fails():
    finding = order.check(reconciled([seen("row", 3, at=8, digest="d3")]))
    assert (finding.verdict, finding.first_bad_hop) == (Verdict.FAIL, "row")
    assert "1 out of order of 10 at row" in finding.summary
    assert "j/0/3 was seen after j/0/8 at hop row" in finding.summary


def test_altered_and_swapped_content_fails():
    finding = integrity.check(reconciled([seen("pixel", 3, digest="d4"), seen("pixel", 5, digest="odd")]))
    assert finding.verdict is Verdict.FAIL
    assert "1 swapped of 10 at pixel, 1 altered of 10 at pixel" in finding.summary
    assert "j/0/3 carries the content of j/0/4" in finding.summary


def test_content_that_nobody_compared_cannot_tell():
    blank = [seen("row", number) for number in range(10)] + [seen("pixel", number) for number in range(10)]
    assert integrity.check(reconciled(blank)).verdict is Verdict.INCONCLUSIVE


def test_late_fails():
    finding = freshness.check(reconciled([seen("pixel", 3, at=3 + LIMIT + 1, digest="d3")]))
    assert (finding.verdict, finding.first_bad_hop) == (Verdict.FAIL, "pixel")
    assert "1 late of 10 at pixel" in finding.summary


def test_an_undecided_record_makes_freshness_inconclusive_and_never_a_fail():
    unsure = seen("pixel", 3, at=3 + LIMIT + 50, digest="d3", attributes={"not_before_ns": 3})
    finding = freshness.check(reconciled([unsure]))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.summary.startswith("late or not is undecided for 1 at pixel")
    assert freshness.check(reconciled([unsure]), hops=["row"]).verdict is Verdict.PASS
    late = seen("pixel", 5, at=500, digest="d5")
    assert freshness.check(reconciled([unsure, late])).verdict is Verdict.FAIL


def test_other_hops_do_not_count():
    assert no_loss.check(reconciled(gone={("pixel", 4)}), hops=["row"]).verdict is Verdict.PASS


def test_a_guarantee_is_told_with_what_it_allows():
    again = [seen("pixel", 3, digest="d3"), seen("pixel", 3, 4, digest="d3")]
    unsure = [seen("row", 7, outcome=Outcome.UNKNOWN)]
    loose = reconciled([*again, *unsure], gone={("pixel", 7)}, guarantee=Guarantee.AT_LEAST_ONCE)
    repeats, loss = no_duplicate.check(loose), no_loss.check(loose)
    assert (repeats.verdict, repeats.guarantee) == (Verdict.PASS, "at least once")
    assert repeats.summary == "0 surplus of 9 at row, 9 at pixel; 1 seen again at pixel, as at least once allows"
    assert loss.summary == (
        "0 missing of 9 at row, 9 at pixel; 1 of unknown outcome at row; 1 of unknown outcome at pixel"
    )
    assert no_loss.check(loose, minimum=10).verdict is Verdict.INCONCLUSIVE
    mark = [seen("row", 5, outcome=Outcome.MARKED, attributes={"last": 6})]
    best = reconciled(mark, gone={("row", 6), ("pixel", 5), ("pixel", 6)}, guarantee=Guarantee.BEST_EFFORT)
    assert no_loss.check(best).summary.endswith("; 2 marked as left out at row; 2 marked as left out at pixel")
    exact = reconciled(mark, gone={("row", 6), ("pixel", 5), ("pixel", 6)})
    assert no_loss.check(exact).summary.startswith("2 missing of 10 at row, 2 missing of 10 at pixel")


def test_a_finding_is_plain_json():
    finding = no_loss.check(reconciled(gone={("row", 4), ("pixel", 4)}))
    read = json.loads(json.dumps(finding.to_json()))
    assert (read["verdict"], read["first_bad_hop"], read["n"]) == ("fail", "row", 20)
    assert read["witness"][0]["key"] == "j/0/3"
