"""A time and channels cut out of several recordings: the very samples, and holes told apart from zeros."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focus_server.errors import FocusError, RecordingError
from focus_server.fiber import FiberGrid
from focus_server.recordings.moment import moment_ns
from focus_server.recordings.rate import rate_of_interval, rate_of_period
from focus_server.recordings.selection import Selection
from focus_server.recordings.source import ArraySource, part_of

T0_NS = 1_700_000_000_123_456_789
FIRST = 1_000_003
GRID = FiberGrid(T0_NS, 249997, 125)


@pytest.fixture(scope="module")
def whole(make_source):
    return make_source(samples=300, channels=6, gaps=[(20, 40, 2, 3), (90, 95, 1, 6)], first_sample=FIRST)


def everything(source):
    return source.read(source.entry.first_sample, source.entry.end_sample, 1, source.entry.channels)


def cut(whole, begin, end):
    """Cut rows out of the whole, as a recording of its own."""
    rows = whole.gaps[(whole.gaps[:, 0] < FIRST + end) & (whole.gaps[:, 1] > FIRST + begin)].copy()
    rows[:, :2] = rows[:, :2].clip(FIRST + begin, FIRST + end)
    entry = part_of(whole.entry, FIRST + begin, FIRST + end, 1, 6)
    return ArraySource(entry, whole.data[begin:end], rows)


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.tuples(st.integers(0, 299), st.integers(1, 120)), min_size=1, max_size=4),
    wanted=st.tuples(st.integers(0, 280), st.integers(1, 300)),
    columns=st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_a_selection_is_the_samples_that_are_there_and_a_gap_where_none_is(whole, cuts, wanted, columns):
    begin, end = wanted[0], min(300, sum(wanted))
    low, high = sorted(columns)
    there = np.zeros(300, bool)
    for start, length in cuts:
        there[start : start + length] = True
    present = np.flatnonzero(there[begin:end]) + begin
    sources = [cut(whole, start, min(300, start + length)) for start, length in cuts]
    times = GRID.time_ns(FIRST + begin), GRID.time_ns(FIRST + end)
    channels = whole.entry.first_channel + low - 1, whole.entry.first_channel + high - 1
    if not present.size:
        with pytest.raises(RecordingError, match="nothing recorded"):
            Selection(sources, times, channels)
        return
    found = Selection(sources, times, channels)
    first, last = present[0], present[-1] + 1
    expected = np.where(there[first:last, None], whole.data[first:last, low - 1 : high], np.int16(0))
    assert (found.entry.first_sample, found.entry.end_sample) == (FIRST + first, FIRST + last)
    assert np.array_equal(everything(found), expected)
    missing = np.zeros((last - first, high - low + 1), bool)
    for a, b, c, d in (found.gaps - [FIRST + first, FIRST + first, 0, 0]).tolist():
        missing[a:b, c - 1 : d] = True
    known = np.zeros((300, 6), bool)
    known[20:40, 1:3] = known[90:95] = True
    assert np.array_equal(missing, ~there[first:last, None] | known[first:last, low - 1 : high])
    assert found.missing_samples == (last - first) - present.size


def test_times_are_half_open_to_the_nanosecond(whole):
    at = GRID.time_ns(FIRST + 100)
    assert GRID.time_ns(FIRST + 101) - at == 500_006
    for shift, first in ((0, 100), (1, 101), (-1, 100)):
        found = Selection([whole], (at + shift, None)).entry
        assert found.first_sample == FIRST + first
    for shift, end in ((0, 100), (1, 101), (-1, 100)):
        assert Selection([whole], (None, at + shift)).entry.end_sample == FIRST + end


def test_a_part_says_where_it_lies_and_has_an_identity_of_its_own(whole):
    part, again = (Selection([whole], (None, None), (9, 10)).entry for _ in range(2))
    assert (part.first_channel, part.channels) == (9, 2)
    assert part.fiber_start_meters == whole.entry.fiber_start_meters + 2 * whole.entry.dx
    assert part.uuid == again.uuid != whole.entry.uuid


@pytest.mark.parametrize("channels", [(6, 8), (8, 13), (9, 8), (0, 0)])
def test_channels_that_are_not_there_are_refused(whole, channels):
    with pytest.raises(RecordingError, match="are not among 7-12"):
        Selection([whole], (None, None), channels)


def test_recordings_of_two_fibres_do_not_become_one(whole, make_source):
    other = make_source(samples=300, channels=6, site="south")
    with pytest.raises(RecordingError, match="not of one fibre"):
        Selection([whole, other])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-11-14T22:13:20.123456789Z", T0_NS), ("2023-11-14 22:13:20.123456789", T0_NS),
        ("1700000000.123456789", T0_NS), ("1700000000", 1_700_000_000_000_000_000), ("0", 0),
        ("2023-11-14", 1_699_920_000_000_000_000), ("2023-11-14T22:13", 1_699_999_980_000_000_000),
        ("2023-11-14T22:13:20.5Z", 1_700_000_000_500_000_000),
    ],
)  # fmt: skip
def test_a_moment_is_read_to_the_nanosecond(text, expected):
    assert moment_ns(text) == expected


@pytest.mark.parametrize("text", ["", "now", "2023-13-01", "2023-11-14T25:00", "-5", "1e9", "2023-11-14T10:00+02:00"])
def test_what_is_no_moment_is_a_sentence(text):
    with pytest.raises(FocusError, match="is no time; write it as"):
        moment_ns(text)


@pytest.mark.parametrize(
    ("period_ns", "rate"), [(500_006, "1999.976"), (952_381, "1050"), (2_000_000, "500"), (333_333, "3000")]
)
def test_the_rate_of_a_rounded_period_is_the_shortest_one(period_ns, rate):
    assert rate_of_period(period_ns) == Fraction(rate)


@settings(deadline=None)
@given(st.decimals("0.1", "100000", places=6))
def test_the_rate_of_an_interval_in_double_is_the_one_that_was_written(rate):
    interval = float(1_000_000 / Fraction(rate))
    found = rate_of_interval(interval)
    assert float(1_000_000 / found) == interval
    assert abs(found - Fraction(rate)) <= Fraction(rate) / 10**15
