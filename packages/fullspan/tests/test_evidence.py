"""What a test shows arrives in its record, and in the bundle's files."""

import pytest

from fullspan.bundle import Bundle, ResultsRecord
from fullspan.evidence import Evidence
from fullspan.faults import Evidence as FaultEvidence
from fullspan.ledger import Journey, Ledger, Observation, Stage, reconcile
from fullspan.recovery import Phase, RecoveryProfile
from fullspan.verdict import Verdict

SECOND = 1_000_000_000
FAULT = FaultEvidence("stop", "rabbitmq", True, True, "ended", "answers", 10 * SECOND, 15 * SECOND, 2.0)


@pytest.fixture
def bundle(tmp_path):
    return Bundle.create(tmp_path, "evidence")


@pytest.fixture
def evidence(bundle):
    return Evidence("test_a.py::test_b", bundle, lambda what: None)


def written(bundle, evidence):
    bundle.write_results(ResultsRecord(tests=[evidence.record(Verdict.PASS, "", "")]))
    return bundle.results().tests[0]


def test_a_recovery_is_kept_as_a_whole_and_each_second_as_a_figure(bundle, evidence):
    layers = {
        "row": {Phase.DEGRADED: 11 * SECOND, Phase.FIRST_GOOD: 15_250_000_000, Phase.COMPLETE: None},
        "page": {Phase.DETECTED: 12 * SECOND, Phase.FRESH: 17 * SECOND},
    }
    evidence.recovery(RecoveryProfile.of(FAULT, layers, 30 * SECOND))
    test = written(bundle, evidence)
    (recovery,) = test.recoveries
    assert (recovery.kind, recovery.target) == ("stop", "rabbitmq")
    assert (recovery.injected_mono_ns, recovery.until_mono_ns) == (10 * SECOND, 30 * SECOND)
    assert [layer.name for layer in recovery.layers] == ["row", "page"]
    assert recovery.layers[0].seconds == {"degraded": 1.0, "first good": 0.25, "data complete": None}
    assert recovery.layers[1].seconds == {"detected": 2.0, "screen fresh": 2.0}
    assert recovery.after == {
        "detected": "injected",
        "degraded": "injected",
        "first good": "healed",
        "data complete": "healed",
        "screen fresh": "healed",
    }
    assert {figure.name: figure.value for figure in test.figures} == {
        "stop of rabbitmq: row degraded, after it was injected": 1.0,
        "stop of rabbitmq: row first good, after it was healed": 0.25,
        "stop of rabbitmq: page detected, after it was injected": 2.0,
        "stop of rabbitmq: page screen fresh, after it was healed": 2.0,
    }
    assert {(figure.unit, figure.table) for figure in test.figures} == {("s", "recovery")}


def test_a_reconciliation_is_kept_with_its_debts(bundle, evidence):
    ledger = Ledger()
    ledger.observe(Observation("row", "1/0/7", 7, 0, 100, 100))
    ledger.observe(Observation("frame", "1/0/7", 7, 0, 130, 130))
    evidence.reconciliation(reconcile(ledger, [Journey("1/0/7", [Stage("row", ["1/0/7"]), Stage("frame", ["1/0/7"])])]))
    (totals,) = written(bundle, evidence).totals
    assert [row["hop"] for row in totals.hops] == ["row", "frame"]
    (debt,) = totals.debts
    assert (debt.before, debt.after, debt.steps) == ("row", "frame", [(100, 1), (130, 0)])
