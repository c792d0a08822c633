"""What every streaming checker must do."""

# ruff: noqa: S101 - what a kind must do is asserted

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from fullspan.invariants import Finding
from fullspan.ledger import Ledger
from fullspan.ledger.reconciliation import WITNESS_LIMIT
from fullspan.verdict import Verdict

if TYPE_CHECKING:
    from fullspan.invariants.streaming import Checker

__all__ = ["check_checker"]


def check_checker(make: "Callable[[], Checker]", good: Ledger, bad: Ledger, first_bad_hop: str) -> Finding:
    """Check what every streaming checker must do; return the finding on the bad ledger.

    `make` gives a fresh checker each time, whose `minimum` is at least 1. `good` is a ledger in which all is well,
    `bad` one in which something goes wrong at `first_bad_hop` first. AssertionError says what the checker does not do.
    """
    from fullspan.invariants.streaming import sweep  # brings Arrow with it, which other helpers do not need
    from fullspan.invariants.streaming.sweep import pieces_of

    checker = make()
    assert checker.kind, "a checker has a kind"
    assert checker.name, "a checker has a name"
    assert first_bad_hop in checker.hops, "the first bad hop is one of the hops that the checker looks at"
    nothing = _finding(make(), Ledger())
    assert nothing.verdict is Verdict.INCONCLUSIVE, "where nothing was seen a checker cannot tell"
    passed = _finding(make(), good)
    assert passed.verdict is Verdict.PASS, f"a checker passes what is right: {passed.summary}"
    assert passed.n > 0, "a finding says how many records were checked"
    assert not passed.witness, "what is right has no witness"
    failed = _finding(make(), bad)
    assert failed.verdict is Verdict.FAIL, f"a checker fails what is wrong: {failed.summary}"
    assert failed.first_bad_hop == first_bad_hop, f"a finding names the first bad hop: {failed.first_bad_hop}"
    assert first_bad_hop in failed.summary, "a summary says at which hop"
    assert len(failed.witness) <= WITNESS_LIMIT, f"a witness has at most {WITNESS_LIMIT} observations"
    assert failed.guarantee == make().guarantee.value, "a finding states the guarantee"
    json.dumps(failed.to_json())
    for ledger, whole in ((good, passed), (bad, failed)):
        cut = sweep([make()], pieces_of(ledger, ledger.hops, rows=1))[0]
        told = [(one.verdict, one.summary, one.n, one.first_bad_hop) for one in (cut, whole)]
        assert told[0] == told[1], f"how the stream is cut into pieces changes the finding: {told[0]} and {told[1]}"
    return failed


def _finding(checker: "Checker", ledger: Ledger) -> Finding:
    from fullspan.invariants.streaming import sweep

    (finding,) = sweep([checker], ledger)
    return finding
