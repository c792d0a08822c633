"""Lines on the fibre's clock, exactly."""

from fractions import Fraction

import pytest

from focus_server.analyzer.grid import Clock, LineGrid


def test_a_line_covers_its_window():
    grid = LineGrid(256, 50)
    assert (grid.first_sample(3), grid.end_sample(3), grid.centre(3)) == (150, 406, 278)
    assert (grid.span, grid.values, grid.window_starts()) == (256, 129, (0,))


def test_a_line_of_a_waterfall_covers_its_hop():
    grid = LineGrid(None, 75)
    assert (grid.first_sample(2), grid.end_sample(2), grid.centre(2)) == (150, 225, Fraction(375, 2))
    assert (grid.span, grid.values) == (75, 1)


@pytest.mark.parametrize(("nfft", "hop"), [(128, 129), (128, 256), (128, 257), (256, 1000), (1024, 20_000)])
def test_with_a_hop_beyond_the_window_no_sample_is_skipped(nfft, hop):
    grid = LineGrid(nfft, hop)
    starts = grid.window_starts()
    covered = {start + n for start in starts for n in range(nfft)}
    assert covered == set(range(hop))
    assert len(starts) == -(-hop // nfft)
    assert grid.end_sample(0) == hop == grid.first_sample(1)


@pytest.mark.parametrize(("nfft", "hop"), [(256, 50), (256, 1000), (None, 50)])
def test_the_newest_and_the_oldest_line(nfft, hop):
    grid = LineGrid(nfft, hop)
    newest = grid.newest_line(10_000)
    assert grid.end_sample(newest) <= 10_000 < grid.end_sample(newest + 1)
    oldest = grid.oldest_line(9_999)
    assert grid.first_sample(oldest - 1) < 9_999 <= grid.first_sample(oldest)
    assert grid.newest_line(0) < 0


def test_times_are_rounded_once_even_after_a_year():
    clock = Clock(1_700_000_000_123_456_789, Fraction(1999976, 1000))
    sample = 1999976 * 60 * 60 * 24 * 365 // 1000
    exact = Fraction(1_700_000_000_123_456_789) + Fraction(sample) * 10**9 / Fraction(1999976, 1000)
    assert abs(clock.time_ns(sample) - exact) <= Fraction(1, 2)
    assert abs(clock.time_ms(sample + Fraction(1, 2)) * 10**6 - exact) < 10**6
