"""The exchange's clock, from answers that took their time."""

import pytest

from k2.feed.clock import ClockOffset


@pytest.mark.parametrize("offset", [-1.3, 0.0, 5.0])
def test_the_offset_is_that_of_the_fastest_answer_and_within_its_error(offset):
    clock = ClockOffset()
    assert clock.seconds is None
    # The answer's way back took longer than the way there, by the time that it took beyond 1 ms.
    for turn, took in enumerate([0.2, 0.001, 0.5, 0.05]):
        began = 1000.0 + turn
        told = int((began + offset + 0.0005) * 1000) / 1000
        clock.take(began + took / 2, told, took)
    assert clock.seconds == pytest.approx(offset, abs=0.0011)
    assert abs(clock.seconds - offset) <= clock.error


def test_a_clock_that_was_set_is_followed_at_once():
    clock = ClockOffset()
    for turn in range(5):
        clock.take(1000.0 + turn, 1000.0 + turn, 0.002)
    clock.take(1010.0, 1015.0, 0.1)
    assert clock.seconds == pytest.approx(5.0, abs=0.001)
