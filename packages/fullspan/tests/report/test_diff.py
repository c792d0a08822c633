"""Two runs side by side: what became of the tests, and which latencies differ by more than they vary."""

import json

import numpy as np
import pytest

from fullspan.bundle import ResultsRecord
from fullspan.ledger import Ledger, Observation
from fullspan.report.diff import compare, shift_of
from fullspan.report.diff.shift import Way
from fullspan.verdict import Verdict
from packages.fullspan.tests.commands import fullspan_here
from packages.fullspan.tests.report.sample import SECOND, WALL, at, sample_bundle

HANG_TEST = "suites/focus/test_broker_hang.py::test_nothing_is_lost_while_the_broker_hangs"
PROOF_TEST = "suites/focus/test_live_proof.py::test_what_is_on_the_screen_is_what_the_fibre_said"


def drifting(draw, n, median, kept=0.9):
    """Return latencies, ms, each of which depends on the one before: log-normal around a median."""
    noise = draw.normal(0, 0.3 * np.sqrt(1 - kept**2), n)
    level = np.empty(n)
    level[0] = draw.normal(0, 0.3)
    for place in range(1, n):
        level[place] = kept * level[place - 1] + noise[place]
    return median * np.exp(level)


def test_runs_that_do_not_differ_are_seldom_told_apart_though_neighbours_are_alike():
    draw = np.random.default_rng(11)
    pairs = [(drifting(draw, 1_000, 20), drifting(draw, 1_000, 20)) for _ in range(50)]
    wrong = sum(shift_of(a, b).way is not Way.ALIKE for a, b in pairs)
    mixed = [(draw.permutation(a), draw.permutation(b)) for a, b in pairs]
    naive = sum(shift_of(a, b).way is not Way.ALIKE for a, b in mixed)
    # Five of a hundred are what a 95 % interval allows; seven of fifty would come once in eighty times.
    assert wrong <= 6
    assert naive >= 2 * max(wrong, 2), "without their order in time they would be told apart far more often"


@pytest.mark.parametrize(("factor", "way"), [(1.5, Way.SLOWER), (1 / 1.5, Way.FASTER), (1.02, Way.ALIKE)])
def test_a_difference_that_matters_is_found_with_its_size(factor, way):
    draw = np.random.default_rng(3)
    shift = shift_of(drifting(draw, 4_000, 20, 0.5), drifting(draw, 4_000, 20 * factor, 0.5), comparisons=20)
    assert shift.way is way
    assert shift.low < factor - 1 < shift.high
    assert shift.change == pytest.approx(factor - 1, abs=0.08)
    assert shift.level == pytest.approx(0.9975)


@pytest.mark.parametrize("n", [0, 1, 39])
def test_few_values_tell_nothing(n):
    sample = np.full(n, 20.0)
    assert shift_of(sample, 3 * sample).way is Way.FEW


@pytest.fixture
def pair(tmp_path):
    """A run that failed, and one of the same kind that passed."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    return sample_bundle(tmp_path / "a"), sample_bundle(tmp_path / "b")


def test_a_run_beside_itself_differs_in_nothing(pair):
    a, _ = pair
    found = compare(a.path, a.path)
    assert found.verdict is Verdict.PASS
    assert found.differing == []
    assert {moved.fate.value for moved in found.tests} == {"the same"}
    assert len(found.latencies) == 8, "two tests with four hops each"
    assert {shift.way for shift in found.latencies.values()} == {Way.ALIKE}
    assert all(single.change == 0 for single in (*found.figures, *found.recoveries))
    assert len(found.figures) == 5
    assert len(found.recoveries) == 5


def test_fixed_broken_gone_and_new_tests_are_told_with_their_reason(pair):
    a, b = pair
    good, bad = a.results().tests
    fixed = bad.model_copy(update={"verdict": Verdict.PASS, "reason": ""})
    broken = good.model_copy(update={"verdict": Verdict.FAIL, "reason": "integrity: 3 altered"})
    b.write_results(ResultsRecord(tests=[broken, fixed, good.model_copy(update={"nodeid": "x.py::test_new"})]))
    found = compare(a.path, b.path)
    assert [(m.test, m.fate.value) for m in found.tests] == [
        (PROOF_TEST, "broken"), (HANG_TEST, "fixed"), ("x.py::test_new", "new"),
    ]  # fmt: skip
    text = "\n".join(found.lines())
    assert "Tests: 1 broken, 1 fixed, 1 new." in text
    assert "broken: test_what_is_on_the_screen_is_what_the_fibre_said: pass -> fail: integrity: 3 altered" in text
    assert found.exit_code == 1
    back = compare(b.path, a.path)
    assert [m.fate.value for m in back.tests] == ["fixed", "broken", "gone"]
    b.write_results(ResultsRecord(tests=[good, fixed]))
    assert compare(a.path, b.path).exit_code == 0
    b.write_results(ResultsRecord(tests=[good]))
    assert compare(a.path, b.path).exit_code == 2, "it shows less"


def test_records_that_go_wrong_elsewhere_are_told(pair):
    a, b = pair
    good, bad = b.results().tests
    moved = bad.findings[0].model_copy(update={"first_bad_hop": "frame"})
    b.write_results(ResultsRecord(tests=[good, bad.model_copy(update={"findings": [moved]})]))
    assert [m.told for m in compare(a.path, b.path).tests] == ["", "first bad hop row -> frame"]


def test_a_slower_hop_is_named_and_the_others_are_not(pair):
    a, b = pair
    draw = np.random.default_rng(5)
    for bundle, row_s in ((a, 0.020), (b, 0.035)):
        ledger = Ledger()
        for number in range(400):
            for hop, delay_s in (("block", 0.010), ("row", row_s)):
                due_s = 10 + number / 40
                seen_s = due_s + delay_s * float(draw.lognormal(0, 0.2))
                due, seen, wall = WALL + round(due_s * SECOND), at(seen_s), WALL + round(seen_s * SECOND)
                ledger.observe(Observation(hop, f"1/0/{number}", number, due, seen, wall))
        folder = bundle.observations_of(PROOF_TEST)
        for file in folder.iterdir():
            file.unlink()
        ledger.dump(folder)
    found = compare(a.path, b.path)
    slower = {key: shift for key, shift in found.latencies.items() if shift.way is Way.SLOWER}
    assert list(slower) == [(PROOF_TEST, "row")]
    assert slower[PROOF_TEST, "row"].change == pytest.approx(0.75, abs=0.1)
    assert found.exit_code == 1
    assert any("slower: test_what_is_on_the_screen_is_what_the_fibre_said, row: 20 ms -> 35 ms" in line
               for line in found.lines())  # fmt: skip


def test_other_conditions_are_told_first(pair):
    a, b = pair
    b.write_run(b.run().model_copy(update={"seed": 7, "profile": "roomy", "machine": {"cpus": 8, "python": "3.11.7"}}))
    found = compare(a.path, b.path)
    assert found.differing == [
        "profile none and roomy",
        "seed 2026 and 7",
        "the machine's cpus, 2 and 8",
        "the machine's system, Linux 6.1 and None",
    ]
    assert list(found.lines())[2] == "Not the same: profile none and roomy."


def test_recoveries_and_figures_have_one_value_each_and_no_interval(pair):
    a, b = pair
    good, bad = b.results().tests
    layer = bad.recoveries[0].layers[0].model_copy(update={"seconds": {"first good": 0.8, "within SLA": 2.31}})
    recovery = bad.recoveries[0].model_copy(update={"layers": [layer]})
    figure = good.figures[2].model_copy(update={"value": 140.5})
    good = good.model_copy(update={"figures": [figure]})
    b.write_results(ResultsRecord(tests=[good, bad.model_copy(update={"recoveries": [recovery]})]))
    text = list(compare(a.path, b.path).lines())
    assert "Recovery, one value each: 1 of 2 differ by 10% or more." in text
    hang = "test_nothing_is_lost_while_the_broker_hangs: hang of rabbitmq, row, first good"
    assert f"  {hang}: 0.4 -> 0.8 s, +100%" in text
    assert "  test_what_is_on_the_screen_is_what_the_fibre_said: line latency, p95: 112.4 -> 140.5 ms, +25%" in text


def test_the_commands_compare_and_write_anew(pair, tmp_path):
    a, b = pair
    done = fullspan_here(tmp_path, "diff", str(a.path), str(b.path), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["runs"] == [a.id, b.id]
    assert len(document["latencies"]) == 8
    assert fullspan_here(tmp_path, "diff", str(a.path), str(b.path)).stdout.startswith(f"A  {a.id}  fail: 1 of 2 tests")
    written = fullspan_here(tmp_path, "report", str(a.path))
    assert (written.returncode, written.stdout) == (0, f"{a.report}\n")
    wrong = fullspan_here(tmp_path, "diff", str(a.path), str(tmp_path))
    assert (wrong.returncode, "holds no bundle" in wrong.stderr) == (3, True)
    assert "There is no run in" in fullspan_here(tmp_path, "report").stderr
