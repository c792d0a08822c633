"""Defects planted into a slice of Focus: real programs and real wires.

A few of them are planted into the running Focus in `suites/focus/test_selftest_slice.py` at each run.
"""

import pytest

from fullspan.errors import Inconclusive
from fullspan.ledger import Kind
from fullspan.selftest.defect import Result
from fullspan.selftest.focus_calls import CALLED, CLEAN_CALLS
from fullspan.selftest.focus_catalogue import CLEAN, FOCUS
from fullspan.selftest.focus_slice import focus_up
from fullspan.selftest.focus_views import CLEAN_VIEW, VIEWS
from fullspan.selftest.matrix import Matrix
from fullspan.verdict import Verdict
from packages.fullspan.tests.selftest.guide import must_stand_in_the_guide


@pytest.fixture(scope="module")
def focus():
    """The slice of Focus, with its state below the project's own."""
    try:
        with focus_up() as up:
            yield up
    except Inconclusive as missing:
        pytest.skip(str(missing))


@pytest.mark.soak
def test_without_a_defect_there_is_no_alarm(focus):
    result = focus.plant(CLEAN)
    assert (str(result.found), result.right) == ("no alarm", True), result.detail


@pytest.mark.soak
@pytest.mark.parametrize("planted", FOCUS, ids=lambda planted: planted.defect.name)
def test_a_defect_between_real_programs_is_found(focus, planted):
    result = focus.plant(planted)
    assert result.right, f"{result.found}: {result.detail}"


@pytest.mark.soak
@pytest.mark.parametrize("viewed", [CLEAN_VIEW, *VIEWS], ids=lambda viewed: viewed.defect.name)
def test_what_a_page_is_told_and_shown_while_the_source_is_silent_is_judged(focus, viewed):
    result = focus.look(viewed)
    assert result.right, f"{result.found}: {result.detail}"


@pytest.mark.soak
@pytest.mark.parametrize("called", [CLEAN_CALLS, *CALLED], ids=lambda called: called.defect.name)
def test_calls_of_unknown_outcome_hide_no_defect_and_are_none(focus, called):
    result = focus.call(called)
    assert result.right, f"{result.found}: {result.detail}"


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_hundred_jobs_without_a_defect_give_no_alarm(focus):
    results = [focus.plant(CLEAN) for _ in range(100)]
    assert [f"{result.found}: {result.detail}" for result in results if not result.right] == []
    assert Matrix(results).summary() == [
        "0 false alarms in 100 runs without a defect; below 3 % of runs at 95 % confidence."
    ]


def test_the_guide_says_what_is_planted():
    assert len(FOCUS) >= 15
    assert {kind for planted in FOCUS for kind in planted.defect.expected.kinds} == set(Kind)
    assert all(planted.defect.expected.verdict is Verdict.FAIL for planted in FOCUS)
    table = Matrix([Result(planted.defect, planted.defect.expected) for planted in (*FOCUS, *VIEWS, *CALLED)])
    must_stand_in_the_guide("Focus", table.markdown())
