"""The self-test on the double: every defect is found for what it is, and nothing is found where nothing is planted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fullspan.ledger import Kind
from fullspan.selftest.catalogue import CALLED, FAULTS, PLANTED, STREAMED, VIEWS, broken
from fullspan.selftest.command import QUICK_FAULTS, run_selftest
from fullspan.selftest.defect import NO_ALARM, Defect, Diagnosis, Result
from fullspan.selftest.doubles import doubles_up
from fullspan.selftest.focus_calls import CALLED as FOCUS_CALLED
from fullspan.selftest.focus_catalogue import FOCUS
from fullspan.selftest.focus_views import VIEWS as FOCUS_VIEWS
from fullspan.selftest.matrix import Matrix, bound_of
from fullspan.verdict import Verdict
from packages.fullspan.tests.commands import environment
from packages.fullspan.tests.selftest.guide import must_stand_in_the_guide

ROOT = Path(__file__).parents[4]
QUICK = len(PLANTED) + len(STREAMED) + len(CALLED) + 1 + len(VIEWS) + 3 + QUICK_FAULTS


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """The quick self-test, as `fullspan selftest` runs it."""
    os.environ["FULLSPAN_VAR"] = str(tmp_path_factory.mktemp("var"))
    try:
        return run_selftest(lambda _what: None, full=False, clean=10)
    finally:
        del os.environ["FULLSPAN_VAR"]


def test_every_defect_is_found_with_its_kind_and_first_bad_hop(matrix: Matrix):
    wrong = [f"{r.defect.name}: {r.found}, {r.detail}" for r in matrix.planted if not r.right]
    assert wrong == []
    assert len(matrix.planted) == QUICK >= 50
    found = {kind for result in matrix.planted for kind in result.found.kinds}
    streaming = {"no invention", "monotonic watermark", "conservation", "gap-free", "bounded recovery"}
    assert found == {*Kind, *streaming, "stale shown as stale"}
    assert {r.found.hop for r in matrix.planted if r.found.hop} == {"source", "relay", "store", "screen"}


def test_thirteen_clean_streams_beside_them_give_no_alarm(matrix: Matrix):
    assert [str(result.found) for result in matrix.clean] == ["no alarm"] * 13
    assert "0 false alarms in 13 runs without a defect; below 21 % of runs at 95 % confidence." in matrix.summary()


def test_what_nobody_can_tell_is_neither_pass_nor_fail(matrix: Matrix):
    unsure = {r.defect.name: r.detail for r in matrix.planted if r.found.verdict is Verdict.INCONCLUSIVE}
    assert set(unsure) == {"idle", "looked-too-late", "idle-fault", "all-unknown"}
    assert "too few records to tell" in unsure["all-unknown"]
    assert "too few records to tell" in unsure["idle"]
    assert "freshness" in unsure["looked-too-late"]
    assert "did not bite" in unsure["idle-fault"]


@pytest.mark.parametrize(
    "found",
    [
        NO_ALARM,
        Diagnosis(Verdict.INCONCLUSIVE),
        broken("store", Kind.MISSING),
        broken("relay", Kind.DUPLICATE),
        broken("relay", Kind.MISSING, Kind.LATE),
        Diagnosis(Verdict.FAIL, frozenset({Kind.MISSING}), "relay", frozenset({"screen"})),
    ],
)
def test_any_other_diagnosis_than_the_right_one_is_a_miss(found: Diagnosis):
    defect = Defect("one-lost", "double", "relay", "one record is dropped", broken("relay", Kind.MISSING))
    matrix = Matrix(
        [Result(defect, found, "why"), Result(Defect("clean", "double", "nowhere", "", NO_ALARM), NO_ALARM)]
    )
    assert matrix.verdict is Verdict.FAIL
    assert matrix.exit_code == 1
    assert any(line.startswith("MISSED  double  one-lost") for line in matrix.lines())
    assert any(line.strip().startswith("expected missing at relay, found") for line in matrix.lines())


def test_a_false_alarm_fails_and_nothing_planted_tells_nothing():
    clean = Defect("clean", "double", "nowhere", "", NO_ALARM)
    assert Matrix([Result(clean, broken("relay", Kind.LATE))]).verdict is Verdict.FAIL
    assert Matrix([Result(clean, NO_ALARM)]).verdict is Verdict.INCONCLUSIVE
    assert Matrix([]).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("alarms", "runs", "bound"), [(0, 10, 0.2589), (0, 200, 0.01487), (1, 20, 0.2161)])
def test_the_bound_is_that_of_clopper_and_pearson(alarms, runs, bound):
    assert bound_of(alarms, runs) == pytest.approx(bound, rel=1e-3)


def test_the_guide_says_what_is_planted(matrix: Matrix):
    """The table of the guide is made from the defects themselves; FULLSPAN_WRITE_GUIDE=1 writes it anew."""
    table = Matrix(
        [*matrix.results, *(Result(f.defect, f.defect.expected) for f in list(FAULTS.values())[QUICK_FAULTS:])]
    )
    must_stand_in_the_guide("double", table.markdown())


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_whole_self_test_by_its_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fullspan", "selftest", "--full", "--clean", "20", "--json"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=580,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert [one for one in said["results"] if not one["right"]] == []
    assert (done.returncode, said["verdict"]) == (0, "pass")
    double, focus = QUICK - QUICK_FAULTS + len(FAULTS) + 23, len(FOCUS) + len(FOCUS_VIEWS) + len(FOCUS_CALLED) + 3
    assert len(said["results"]) == double + focus


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_without_a_sample_recording_focus_is_left_out_and_nothing_stays(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fullspan", "selftest", "--full"],
        cwd=tmp_path, env=environment(FULLSPAN_VAR=str(tmp_path / "var")), capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "The slice of Focus is left out: " in done.stdout
    assert list((tmp_path / "var" / "selftest").iterdir()) == [], "nothing of it stays"


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_two_hundred_clean_runs_one_after_the_other_give_no_alarm(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FULLSPAN_VAR", str(tmp_path / "var"))
    with doubles_up() as doubles:
        results = [doubles.planted((), clean=1)[0] for _ in range(200)]
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *Matrix(results).summary(), ""]))
    assert [result.detail for result in results if not result.right] == []
