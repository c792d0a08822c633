"""A record of a run that has ended, explained from its bundle alone."""

import json
import subprocess
import sys

import pytest

from fullspan.bundle import Bundle, ResultsRecord, RunRecord, newest_bundle
from fullspan.errors import UsageError
from fullspan.evidence import Evidence
from fullspan.faults import Evidence as FaultEvidence
from fullspan.ledger import Journey, Ledger, Observation, Outcome, Stage, reconcile
from fullspan.ledger.explain import explain
from fullspan.verdict import Verdict
from packages.fullspan.tests.commands import fullspan_here

SECOND = 1_000_000_000
WALL = 1_780_000_000 * SECOND
ROW = "1-7/0/2"


class Injected:
    evidence = (FaultEvidence("hang", "broker", True, True, "", "", 2 * SECOND, 4 * SECOND, 0.1),)


def seen(hop, key, at_s, **more):
    return Observation(hop, key, int(key.rpartition("/")[2]), WALL, at_s * SECOND, WALL + at_s * SECOND, **more)


@pytest.fixture
def bundle(tmp_path):
    """A run of one test, in which row 2 was lost between the hops `row` and `frame`."""
    bundle = Bundle.create(tmp_path / "bundles", "explained")
    evidence = Evidence("suites/test_a.py::test_b", bundle, lambda what: None)
    ledger = Ledger()
    evidence.watch(ledger=ledger, faults=Injected())
    for number in range(4):
        ledger.observe_all(seen("block", f"local/{group}/{number}", number, digest="b") for group in range(20))
        row = f"1-7/0/{number}"
        ledger.observe(seen("row", row, number, deviation=0.25, outcome=Outcome.SEEN))
        if number != 2:
            ledger.observe(seen("frame", row, number + 1))
    journeys = [
        Journey(
            f"1-7/0/{number}",
            [
                Stage("block", [f"local/{group}/{number}" for group in range(20)]),
                Stage("row", [f"1-7/0/{number}"], tolerance=0.5),
                Stage("frame", [f"1-7/0/{number}"]),
            ],
        )
        for number in range(4)
    ]
    evidence.reconciliation(reconcile(ledger, journeys))
    bundle.write_results(ResultsRecord(tests=[evidence.record(Verdict.FAIL, "lost", "")]))
    run = {"name": "explained", "suite": "s", "seed": 1, "fullspan": "0", "began_wall_ns": WALL, "began_mono_ns": 0}
    bundle.write_run(RunRecord(id=bundle.id, **run))
    return bundle


def test_a_lost_record_is_explained_with_its_journey_its_first_bad_hop_and_the_fault(bundle):
    (found,) = explain(bundle, ROW)
    assert found.first_bad_hop == "frame"
    assert [seen.hop for seen in found.seen] == ["block"] * 20 + ["row"]
    assert [fault.target for fault in found.faults] == ["broker"]
    lines = list(found.lines())
    assert lines[0] == f"{ROW} in suites/test_a.py::test_b"
    assert lines[1] == "  block        local/0/2  seen at 2.000000 s, +2000.0 ms from when it was due, digest b"
    assert lines[13:] == [
        "  block        and 8 keys more",
        f"  row          {ROW}  seen at 2.000000 s, +2000.0 ms from when it was due, deviation 0.25",
        f"  frame        {ROW}  never seen",
        f"  missing at frame: {ROW} was not seen at hop frame",
        "  fault hang of broker, on for 2.00 s",
        "  first bad hop: frame",
    ]


def test_a_key_that_a_record_is_made_of_explains_the_record(bundle):
    (found,) = explain(bundle, "local/13/2")
    assert found.journey.key == ROW
    assert found.first_bad_hop == "frame"


def test_a_record_that_nobody_asked_for_is_shown_where_it_was_seen(bundle, tmp_path):
    (found,) = explain(bundle, "1-7/0/1", test="test_b")
    assert found.first_bad_hop is None
    assert list(found.lines())[-1] == "  first bad hop: none that the test found"
    bundle.journeys_of("suites/test_a.py::test_b").unlink()
    (found,) = explain(bundle, "1-7/0/1")
    assert [(seen.hop, seen.key) for seen in found.seen] == [("row", "1-7/0/1"), ("frame", "1-7/0/1")]
    assert found.journey is None


@pytest.mark.parametrize("key", ["1-7/0/22", "1-7/0/2'; DROP", ""])
def test_an_unknown_record_is_answered_with_the_nearest(bundle, key):
    with pytest.raises(UsageError, match=r"saw a record .* The nearest that was seen is (1-7|local)/"):
        explain(bundle, key)


def test_unknown_tests_and_empty_runs_are_refused(bundle, tmp_path):
    with pytest.raises(UsageError, match=r"No test of .* is called 'test_c'"):
        explain(bundle, ROW, test="test_c")
    bundle.write_results(ResultsRecord())
    with pytest.raises(UsageError, match="holds no test yet"):
        explain(bundle, ROW)
    with pytest.raises(UsageError, match="There is no run in"):
        newest_bundle(tmp_path)
    assert newest_bundle(tmp_path / "bundles") == bundle.path


def test_the_command_prints_the_explanation(bundle):
    told = command("explain", ROW, "--bundle", str(bundle.path))
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines()[-1] == "  first bad hop: frame"
    (read,) = json.loads(fullspan_here(bundle.path, "explain", ROW, "--json", "--bundle", str(bundle.path)).stdout)
    assert (read["first_bad_hop"], len(read["seen"]), read["violations"][0]["kind"]) == ("frame", 21, "missing")
    unknown = fullspan_here(bundle.path, "explain", "1-7/0/9", "--bundle", str(bundle.path))
    assert unknown.returncode == 3
    assert "The nearest that was seen is 1-7/0/" in unknown.stderr


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "fullspan", *words], capture_output=True, text=True, check=False, timeout=60
    )
