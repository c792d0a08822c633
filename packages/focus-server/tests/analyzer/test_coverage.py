"""Intervals against a plain set of numbers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from focus_server.analyzer.coverage import Coverage

INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=12)
BOUNDS = st.tuples(st.integers(0, 70), st.integers(0, 30))


def filled(intervals):
    coverage, numbers = Coverage(), set()
    for begin, length in intervals:
        coverage.add(begin, begin + length)
        numbers |= set(range(begin, begin + length))
    return coverage, numbers


@settings(deadline=None)
@given(INTERVALS, BOUNDS)
def test_parts_and_holes_are_what_a_set_has(intervals, bounds):
    coverage, numbers = filled(intervals)
    begin, end = bounds[0], bounds[0] + bounds[1]
    there = {n for low, high in coverage.parts(begin, end) for n in range(low, high)}
    missing = {n for low, high in coverage.holes(begin, end) for n in range(low, high)}
    assert there == numbers & set(range(begin, end))
    assert missing == set(range(begin, end)) - numbers


@settings(deadline=None)
@given(INTERVALS, BOUNDS)
def test_holds_and_run_end(intervals, bounds):
    coverage, numbers = filled(intervals)
    begin, end = bounds[0], bounds[0] + bounds[1] + 1
    assert coverage.holds(begin, end) == set(range(begin, end)).issubset(numbers)
    assert coverage.run_end(begin) == next(n for n in range(begin, 200) if n not in numbers)
    assert coverage.next_begin(begin) == min((n for n in numbers if n >= begin), default=None)


@settings(deadline=None)
@given(INTERVALS, st.integers(0, 80))
def test_forgetting_takes_out_what_is_below(intervals, below):
    coverage, numbers = filled(intervals)
    coverage.forget_below(below)
    left = {n for n in numbers if n >= below}
    assert {n for low, high in coverage.parts(0, 200) for n in range(low, high)} == left
    assert bool(coverage) == bool(left)
    if left:
        assert (coverage.begin, coverage.end) == (min(left), max(left) + 1)


def test_touching_intervals_become_one():
    coverage = Coverage()
    coverage.add(0, 10)
    coverage.add(20, 30)
    coverage.add(10, 20)
    assert list(coverage.parts(0, 100)) == [(0, 30)]
