"""What is missing is exactly what a set of all numbers says."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from k2.feed.sequence import Arrival, Sequence


def missing(sequence):
    return {
        number for hole in sequence.holes for first, last in hole.missing for number in range(first, last + 1)
    }  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=120), st.integers(0, 119))
def test_arrivals_and_holes_are_those_of_a_set(numbers, restart):
    sequence, seen = Sequence(), set()
    for turn, number in enumerate(numbers):
        if turn == restart:
            sequence = Sequence.of(json.loads(json.dumps(sequence.state())))
        arrival = sequence.arrive(number, turn)
        assert (arrival is Arrival.AGAIN) == (number in seen)
        assert (arrival is Arrival.NEXT) == (not seen or number > max(seen))
        seen.add(number)
        assert missing(sequence) == set(range(min(seen), max(seen) + 1)) - seen
        assert sum(hole.count for hole in sequence.holes) == len(missing(sequence))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=60))
def test_a_number_that_is_lost_has_not_come(numbers):
    sequence, seen, all_seen = Sequence(), set(), set()
    for turn, (number, lost) in enumerate(numbers):
        assert (sequence.arrive(number, turn) is Arrival.AGAIN) == (number in seen)
        all_seen.add(number)
        if lost and number not in seen:
            sequence.lose(number, turn)
        else:
            seen.add(number)
        assert missing(sequence) == set(range(min(all_seen), max(all_seen) + 1)) - seen
        assert sum(hole.count for hole in sequence.holes) == len(missing(sequence))


def test_a_number_that_is_lost_again_lies_in_its_hole():
    sequence = Sequence()
    for number in (10, 14, 12):
        sequence.arrive(number, number)
    sequence.lose(12, 99)
    (hole,) = sequence.holes
    assert (hole.first, hole.last, hole.since, hole.count) == (11, 13, 99, 3)
    hole.told = True
    sequence.arrive(11, 100)
    sequence.lose(11, 100)
    assert (hole.since, hole.count) == (99, 3), "when a hole was seen that was told does not change"


def test_a_hole_keeps_its_bounds_while_it_is_filled():
    sequence = Sequence()
    for number in (10, 20, 15, 11):
        sequence.arrive(number, number)
    (hole,) = sequence.holes
    assert (hole.first, hole.last, hole.since, hole.missing) == (11, 19, 20, [[12, 14], [16, 19]])


def test_a_count_that_begins_anew_makes_no_hole():
    sequence = Sequence()
    sequence.arrive(3_000_000_000, 1)
    assert sequence.arrive(1, 2) is Arrival.ANEW
    assert sequence.arrive(2, 3) is Arrival.NEXT
    assert sequence.holes == []
