"""A search finds the known minimum, also of what fails in seven of ten trials, and keeps to its budget."""

import itertools
import random
import time

import pytest

from fullspan.errors import Inconclusive
from fullspan.shrink import Search

WHOLE = tuple(range(1, 13))


class Double:
    """Fails in `rate` of all trials if all of `needed` are there; the clock moves by `takes_s` per trial."""

    def __init__(self, needed, rate=1.0, seed=1, takes_s=0.05, noise=0.0):
        self.needed = set(needed)
        self.rate, self.takes_s, self.noise = rate, takes_s, noise
        self.source = random.Random(seed)
        self.now = 0.0
        self.tried = []

    def __call__(self, numbers):
        self.now += self.takes_s
        self.tried.append(numbers)
        if self.source.random() < self.noise:
            return "another failure"
        if self.needed <= set(numbers) and self.source.random() < self.rate:
            return "the failure"
        return None

    def reduce(self, budget_s=900.0, whole=WHOLE):
        return Search(self, budget_s, clock=lambda: self.now).reduce(whole)


@pytest.mark.parametrize("needed", [(), (1,), (12,), (3, 7), (1, 2, 3), (2, 6, 11), WHOLE])
def test_the_minimum_of_a_certain_failure_is_found(needed):
    double = Double(needed)
    found = double.reduce()
    assert found.kept == tuple(needed)
    assert found.minimal
    assert (found.signature, found.failed, found.repeated) == ("the failure", 10, 10)
    assert found.trials == len(double.tried)
    assert found.took_s == pytest.approx(found.trials * 0.05)
    if needed:
        # Each fault that is kept was left out alone, and the rest did not fail.
        for number in needed:
            rest = tuple(other for other in needed if other != number)
            assert rest in double.tried


def test_every_pair_of_eight_is_found():
    whole = tuple(range(8))
    for pair in itertools.combinations(whole, 2):
        assert Double(pair).reduce(whole=whole).kept == pair


def test_fifty_millisecond_trials_that_reproduce_in_seven_of_ten():
    """The real clock, a known minimum of three of eight faults, and another failure now and then."""
    double = Double((3, 6, 7), rate=0.7, noise=0.05, seed=5)

    def trial(numbers):
        time.sleep(0.05)  # audit: sleep because a trial takes that long
        return double(numbers)

    said = []
    began = time.monotonic()
    found = Search(trial, 60.0, said.append).reduce(range(1, 9))
    assert found.kept == (3, 6, 7)
    assert found.minimal
    assert found.signature == "the failure"
    assert 3 <= found.failed <= found.repeated == 10
    assert found.trials * 0.05 <= time.monotonic() - began < 60
    assert said[0].startswith("the whole schedule, trial 1 of 8: ")
    assert any(line.endswith("does not fail") for line in said)
    assert "3 of 8 faults are left after" in str(found)


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.soak)])
def test_of_many_searches_nearly_all_find_exactly_the_minimum(count):
    """What chance may do: a needed fault is never left out, and one that is not needed is rarely kept."""
    exact, trials = 0, []
    for seed in range(count):
        needed = tuple(sorted(random.Random(seed).sample(WHOLE, 3)))
        double = Double(needed, rate=0.7, seed=seed)
        found = double.reduce()
        assert set(found.kept) >= set(needed)
        exact += found.kept == needed
        trials.append(found.trials)
    assert exact >= 0.95 * count
    # At 50 ms each they take seconds, not minutes.
    assert sorted(trials)[len(trials) // 2] < 300


@pytest.mark.parametrize("budget_s", [0.1, 0.5, 1.0, 2.0, 3.0])
def test_a_budget_is_kept_and_what_is_left_still_fails(budget_s):
    double = Double((3, 7, 10), seed=3)
    found = double.reduce(budget_s)
    assert found.took_s <= budget_s + 0.05
    assert set(found.kept) >= {3, 7, 10}
    assert found.minimal is (budget_s == 3.0)
    if found.minimal:
        assert found.kept == (3, 7, 10)
    else:
        assert "the time was over before all had been tried" in str(found)


def test_of_long_trials_few_are_spent_on_the_whole():
    double = Double((3,), takes_s=60.0)
    found = double.reduce(900.0, whole=(1, 2, 3, 4))
    assert double.tried[:4] == [(1, 2, 3, 4)] * 4
    assert len(double.tried[4]) < 4
    assert set(found.kept) >= {3}
    assert len(found.kept) < 4


def test_what_does_not_fail_or_fails_otherwise_is_not_made_smaller():
    with pytest.raises(Inconclusive, match="did not fail in 8 trials, so there is nothing to make smaller"):
        Double((99,)).reduce()
    # The commonest failure is the one that is looked for; a part that fails in another way does not fail.
    double = Double((3, 7), noise=0.2, seed=4)
    assert double.reduce().kept == (3, 7)


def test_a_failure_without_any_fault_is_told():
    assert Double((), rate=0.5, seed=2).reduce().kept == ()


def test_no_part_is_tried_again_that_was_seen_not_to_fail():
    double = Double((2, 11))
    double.reduce()
    # In a row it is tried often enough to be believed; after that, never again.
    refused = [part for part, _ in itertools.groupby(double.tried) if not {2, 11} <= set(part)]
    assert len(refused) > 5
    assert len(refused) == len(set(refused))
