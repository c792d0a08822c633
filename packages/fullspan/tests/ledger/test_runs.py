"""Runs against Python's own sets: the same numbers, in as few runs as there can be."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fullspan.ledger.runs import Runs

numbers = st.sets(st.integers(-30, 30), max_size=20)


def array(found):
    return np.array(sorted(found), np.int64)


def told(runs):
    return {number for start, end in runs for number in range(start, end + 1)}


def fewest(found):
    return sum(number - 1 not in found for number in found)


@settings(max_examples=100, deadline=None)
@given(numbers, numbers)
def test_runs_are_sets_in_as_few_runs_as_can_be(mine, theirs):
    left, right = Runs.of(array(mine)), Runs.of(array(theirs))
    made = {
        "or": (left | right, mine | theirs),
        "and": (left & right, mine & theirs),
        "less": (left - right, mine - theirs),
    }
    grown = Runs.of(array(mine))
    fresh = grown.add(array(theirs))
    assert fresh.tolist() == [number not in mine for number in sorted(theirs)]
    made["grown"] = (grown, mine | theirs)
    between = set(range(min(mine), max(mine))) - mine if mine else set()
    made["holes"] = (left.holes, between)
    for how, (runs, wanted) in made.items():
        assert told(runs) == wanted, how
        assert (runs.count, len(runs)) == (len(wanted), fewest(wanted)), how
        assert runs.has(array(range(-31, 32))).tolist() == [number in wanted for number in range(-31, 32)], how
