"""Every kind of checker that fullspan registers does what a checker must."""

import pytest

from fullspan.faults import Evidence
from fullspan.invariants.streaming import Checker, sweep
from fullspan.ledger import Ledger, Observation, Outcome
from fullspan.stack.kinds import find_kind, kinds_of
from fullspan.testing import check_checker
from fullspan.verdict import Verdict

GROUP = "fullspan.invariants"
HOPS = ("sent", "stored")
WALL = 1_780_000_000_000_000_000
HANG = Evidence("hang", "kafka", True, True, "", "", 1, 2)


def seen(hop, number, at=None, **more):
    at = 10 * number + HOPS.index(hop) if at is None else at
    told = {"watermark_ns": number, "amount": 5, "stale": False} | more.pop("attributes", {})
    return Observation(hop, f"s/{number}", number, WALL + 10 * number, at, WALL + at, attributes=told, **more)


# Of each kind: how it is made, and what makes the ledger wrong: what is added at the hop `stored`, what is left out.
WRONG = {
    "bounded-recovery": ({"faults": [HANG], "within_ns": 5, "fresh_ns": 5}, [seen("stored", 10, at=200)], 10),
    "conservation": ({"attribute": "amount"}, [seen("stored", 4, attributes={"amount": 6})], 4),
    "freshness": ({"late_after_ns": 5}, [seen("stored", 4, at=200)], 4),
    "gap-free": ({}, [], 4),
    "integrity": ({}, [seen("stored", 4, digest="odd")], 4),
    "no-duplicate": ({}, [seen("stored", 4, at=200)], None),
    "no-invention": ({}, [seen("stored", 99)], None),
    "no-loss": ({}, [], 4),
    "order": ({}, [seen("stored", 4, at=200)], 4),
    "shown-stale": ({"stale_after_ns": 5}, [seen("stored", 4, at=200)], 4),
    "watermark": ({}, [seen("stored", 99, attributes={"watermark_ns": -1})], None),
}


def ledger(extra=(), gone=None):
    found = Ledger()
    for number in range(12):
        digest = f"d{number}"
        found.observe(seen("sent", number, digest=digest))
        if number != gone:
            found.observe(seen("stored", number, digest=digest))
    found.observe_all(extra)
    return found


def test_every_kind_is_registered_and_tested():
    assert set(kinds_of(GROUP)) == set(WRONG)


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_a_kind_does_what_every_checker_must(kind):
    options, extra, gone = WRONG[kind]
    found = find_kind(GROUP, kind, Checker)
    assert found.kind == kind
    finding = check_checker(lambda: found(HOPS, **options), ledger(), ledger(extra, gone), "stored")
    assert finding.name == found.name


def test_the_conformance_check_finds_a_checker_that_cannot_fail():
    class Blind(Checker):
        kind, name, words = "blind", "blind", "seen"

        def take(self, piece):
            self.checked[piece.hop] += int(piece.first.sum())

    with pytest.raises(AssertionError, match="a checker fails what is wrong"):
        check_checker(lambda: Blind(HOPS), ledger(), ledger(gone=4), "stored")


def test_the_conformance_check_finds_a_checker_that_forgets_between_pieces():
    class Forgetful(find_kind(GROUP, "order", Checker)):
        def take(self, piece):
            self._summits = {hop: type(summit)() for hop, summit in self._summits.items()}
            super().take(piece)

    with pytest.raises(AssertionError, match="how the stream is cut into pieces changes the finding"):
        check_checker(lambda: Forgetful(HOPS), ledger(), ledger([seen("stored", 4, at=200)], 4), "stored")


def test_an_unknown_outcome_is_never_a_reason_to_fail():
    unsure = [seen("sent", 50, outcome=Outcome.UNKNOWN), seen("stored", 50, outcome=Outcome.UNKNOWN)]
    checkers = [find_kind(GROUP, kind, Checker)(HOPS, **options) for kind, (options, _, _) in WRONG.items()]
    assert {finding.verdict for finding in sweep(checkers, ledger(unsure))} == {Verdict.PASS}
