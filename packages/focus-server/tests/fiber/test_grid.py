"""The grid in time: exact at 1999.976 samples/s, also after years."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focus_server.errors import FocusError
from focus_server.fiber.grid import FiberGrid, exact_rate

RATES = st.sampled_from([Fraction(1000), Fraction(2000), Fraction(249997, 125), Fraction(101, 10)])
BLOCKS = st.integers(0, 10**10)


def test_the_rate_is_the_decimal_that_was_written() -> None:
    assert exact_rate(Decimal("1999.976")) == Fraction(249997, 125)


@pytest.mark.parametrize("wrong", ["9.9", "100001", "1000.0000001"])
def test_rates_that_cannot_be_played(wrong: str) -> None:
    with pytest.raises(FocusError, match=wrong):
        exact_rate(Decimal(wrong))


@settings(deadline=None)
@given(RATES, BLOCKS)
def test_blocks_are_100_ms_and_leave_no_sample_out(rate: Fraction, block: int) -> None:
    grid = FiberGrid(5, rate.numerator, rate.denominator)
    first, following = grid.first_sample(block), grid.first_sample(block + 1)
    assert first == int(block * rate / 10)
    assert 0 <= (following - first) - int(rate / 10) <= 1


@settings(deadline=None)
@given(RATES, BLOCKS)
def test_sample_times_are_exact(rate: Fraction, sample: int) -> None:
    grid = FiberGrid(123, rate.numerator, rate.denominator)
    assert 0 <= grid.time_ns(sample) - (123 + sample * 10**9 / rate) < 1


@settings(deadline=None)
@given(RATES, st.integers(-(10**9), 10**18))
def test_the_next_block_begins_now_or_later(rate: Fraction, after_ns: int) -> None:
    grid = FiberGrid(10**18, rate.numerator, rate.denominator)
    wall_ns = grid.t0_ns + after_ns
    block = grid.block_at(wall_ns)
    assert grid.time_ns(grid.first_sample(block)) >= wall_ns
    assert block == 0 or grid.time_ns(grid.first_sample(block - 1)) < wall_ns
    assert grid.due_ns(block) == grid.time_ns(grid.first_sample(block + 1))
