"""What a test shows arrives in its record, and in the bundle's files."""

import pytest

from fullspan.bundle import Bundle, ResultsRecord
from fullspan.evidence import Evidence
from fullspan.faults import Evidence as FaultEvidence
from fullspan.invariants import no_loss
from fullspan.ledger import Journey, Ledger, Observation, Stage, reconcile
from fullspan.recovery import Phase, RecoveryProfile
from fullspan.verdict import Verdict

SECOND = 1_000_000_000
WALL = 1_780_000_000 * SECOND
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


def lossy(evidence):
    """Let five rows pass of which the third is lost after the hop `row`, while a fault is on."""
    ledger = Ledger()
    evidence.watch(ledger=ledger, faults=Injected())
    for number in (7, 8, 9, 10, 11):
        ledger.observe(Observation("row", f"1/0/{number}", number, WALL, number * SECOND, WALL, digest=f"d{number}"))
        if number != 9:
            ledger.observe(Observation("frame", f"1/0/{number}", number, WALL, number * SECOND + 5, WALL))
    examined = reconcile(
        ledger, [Journey(f"1/0/{n}", [Stage("row", [f"1/0/{n}"]), Stage("frame", [f"1/0/{n}"])]) for n in range(7, 12)]
    )
    evidence.reconciliation(examined, "a loss")
    evidence.finding(no_loss.check(examined))


class Injected:
    """Three faults: long before, meanwhile, and after."""

    evidence = (
        FaultEvidence("kill", "broker", True, True, "", "", 1 * SECOND, 2 * SECOND, 0.1),
        FAULT,
        FaultEvidence("hang", "page", True, True, "", "", 40 * SECOND, 41 * SECOND, 0.1),
    )


def test_a_violation_is_kept_with_its_witness_its_faults_and_its_records_journey(bundle, evidence):
    lossy(evidence)
    test = written(bundle, evidence)
    kept = bundle.violations(test.nodeid)
    (violation,) = kept.violations
    assert (kept.total, violation.title, violation.kind, violation.is_root) == (1, "a loss", "missing", True)
    assert (violation.hop, violation.first_bad_hop, violation.key) == ("frame", "frame", "1/0/9")
    assert [(seen["hop"], seen["key"]) for seen in violation.witness] == [
        ("row", "1/0/9"),
        ("frame", "1/0/8"),
        ("frame", "1/0/10"),
    ]
    assert [fault.kind for fault in violation.faults] == ["kill", "stop"]
    assert [(stage.hop, stage.keys, [seen["digest"] for seen in stage.seen]) for stage in violation.journey] == [
        ("row", ["1/0/9"], ["d9"]),
        ("frame", ["1/0/9"], []),
    ]
    (finding,) = test.findings
    assert [fault.target for fault in finding.faults] == ["broker", "rabbitmq"]


def test_a_failed_test_prints_the_witness_and_the_faults(evidence):
    lossy(evidence)
    with pytest.raises(AssertionError) as failed:
        evidence.require()
    first, *shown = str(failed.value).splitlines()
    assert first == "no loss: 1 missing of 5 at frame; first bad hop frame: 1/0/9 was not seen at hop frame"
    assert shown == [
        "  row: 1/0/9 seen at 2026-05-28T20:26:40.000Z, 0.0 ms after it was due, digest d9",
        "  frame: 1/0/8 seen at 2026-05-28T20:26:40.000Z, 0.0 ms after it was due",
        "  frame: 1/0/10 seen at 2026-05-28T20:26:40.000Z, 0.0 ms after it was due",
        "  fault kill of broker, on for 1.00 s, injected 9.00 s before the last of these was seen",
        "  fault stop of rabbitmq, on for 5.00 s, injected 0.00 s before the last of these was seen",
    ]


def test_a_test_without_violations_has_a_file_that_says_so(bundle, evidence):
    evidence.watch(ledger=Ledger())
    evidence.reconciliation(reconcile(Ledger(), []))
    written(bundle, evidence)
    assert (bundle.observations_of("test_a.py::test_b") / "violations.json").is_file()
    assert bundle.violations("test_a.py::test_b").violations == []
    assert bundle.violations("another").total == 0


def test_of_thousands_of_violations_the_roots_are_kept(bundle, evidence):
    journeys = [Journey(f"1/0/{n}", [Stage("row", [f"1/0/{n}"]), Stage("frame", [f"1/0/{n}"])]) for n in range(1000)]
    evidence.reconciliation(reconcile(Ledger(), journeys))
    written(bundle, evidence)
    kept = bundle.violations("test_a.py::test_b")
    assert (kept.total, len(kept.violations)) == (2000, 200)
    assert {violation.hop for violation in kept.violations} == {"row"}
