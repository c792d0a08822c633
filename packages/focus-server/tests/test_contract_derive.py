"""Derivations: known values, and what must hold for every input."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focus_server.contract import (
    NFFT_VALUES,
    ConfigureRequest,
    Refusal,
    View,
    band_bins,
    exact,
    frequencies,
    hop_samples,
    lines_dt,
    request_bins,
    request_hop,
    stream_amount,
    stream_groups,
    stream_index,
)

ODD_FS = Fraction(249_997, 125)  # 1999.976 samples/s
RATES = st.sampled_from([Fraction(100), Fraction(1000), Fraction(2000), ODD_FS, Fraction("12.5")])
NFFTS = st.sampled_from(NFFT_VALUES)


def test_a_number_is_the_decimal_that_was_written():
    assert exact(0.1) == Fraction(1, 10)
    assert exact(1999.976) == ODD_FS
    assert exact(3) == 3
    assert exact(ODD_FS) == ODD_FS


@pytest.mark.parametrize(
    ("fs", "nfft", "fmin", "fmax", "bins"),
    [
        (Fraction(1000), 1024, 0, 500, (0, 512)),
        (Fraction(1000), 1024, 0, 1000, (0, 512)),
        (Fraction(1000), 1000, 10, 20, (10, 20)),
        (Fraction(1000), 256, 10, 20, (3, 5)),
        (ODD_FS, 1024, 0, 1000, (0, 512)),
        (ODD_FS, 65536, 999.98, 1000, (32768, 32768)),
        (Fraction("102.4"), 1024, 0.1, 1.1, (1, 11)),  # 0.1 as a binary fraction would lose bin 1
        (Fraction(1000), 128, 0, 1, (0, 0)),
    ],
)
def test_known_bands(fs, nfft, fmin, fmax, bins):
    assert band_bins(fs, nfft, fmin, fmax) == bins


def _bins(fs, nfft, fmin, fmax):
    try:
        return band_bins(fs, nfft, fmin, fmax)
    except Refusal:
        return None


def test_a_band_without_a_bin_is_refused_with_spacing_and_nyquist():
    with pytest.raises(Refusal) as caught:
        band_bins(Fraction(1000), 128, 10, 12)
    assert caught.value.status == 400
    assert "10 to 12 Hz" in caught.value.error
    assert "7.8125 Hz apart" in caught.value.error
    assert "Nyquist frequency, 500 Hz" in caught.value.error
    with pytest.raises(Refusal, match="Nyquist frequency, 500 Hz"):
        band_bins(Fraction(1000), 1024, 600, 700)


@settings(deadline=None)
@given(fs=RATES, nfft=NFFTS, low=st.floats(0, 999), span=st.floats(1, 1000))
def test_a_band_holds_exactly_the_bins_between_its_ends(fs, nfft, low, span):
    low, high = Decimal(repr(low)), Decimal(repr(min(1000.0, low + span)))

    def inside(k):
        return 0 <= k <= nfft // 2 and low <= _hz(fs, nfft, k) <= high

    bins = _bins(fs, nfft, float(low), float(high))
    if bins is None:
        above = int(low / _hz(fs, nfft, 1))
        assert not any(inside(k) for k in range(above - 1, above + 3))
    else:
        first, last = bins
        assert inside(first)
        assert inside(last)
        assert not inside(first - 1)
        assert not inside(last + 1)


def _hz(fs, nfft, k):
    """k·fs/nfft as a decimal; exact, because nfft is a power of two and fs has few decimals."""
    return Decimal(k) * (Decimal(fs.numerator) / Decimal(fs.denominator)) / Decimal(nfft)


@pytest.mark.parametrize(
    ("fs", "nfft", "overlap", "lines_per_second", "hop"),
    [
        (1000, 256, None, 20, 50),
        (1000, 256, None, None, 128),
        (1000, 65536, None, None, 1000),
        (ODD_FS, 65536, None, None, 2000),
        (1000, 1024, 0.5, None, 512),
        (1000, 1024, 0, None, 1024),
        (1000, 128, 0.98, None, 3),
        (1000, 1024, 0.9, None, 102),
        (1000, 128, None, 5000, 1),
        (1000, 128, None, 0.1, 10_000),
        (1000, 128, None, 16, 62),  # 62.5: to the even neighbour
        (1000, None, None, None, 50),
        (2000, None, None, None, 100),
        (ODD_FS, None, None, None, 100),
        (1000, None, None, 5, 200),
    ],
)
def test_known_hops(fs, nfft, overlap, lines_per_second, hop):
    assert hop_samples(Fraction(fs), nfft, overlap, lines_per_second) == hop


@settings(deadline=None)
@given(fs=RATES, nfft=NFFTS)
def test_by_default_a_line_a_second_or_more(fs, nfft):
    hop = hop_samples(fs, nfft)
    assert 1 <= hop <= nfft // 2
    assert abs(lines_dt(fs, hop)) <= 1 + Fraction(1, 2) / fs


def test_line_spacing_and_frequencies_are_exact():
    assert lines_dt(ODD_FS, 50) == Fraction(6250, 249_997)
    assert frequencies(Fraction(1000), 256, 3, 5) == [11.71875, 15.625, 19.53125]
    assert frequencies(ODD_FS, 1024, 512, 512) == [999.988]
    assert frequencies(ODD_FS, 65536, 0, 999) == [float(k * ODD_FS / 65536) for k in range(1000)]


def test_a_request_gives_bins_and_hop():
    request = ConfigureRequest.read(
        {
            "view_type": 1,
            "channels": {"min": 1, "max": 1},
            "displayInfo": {"height": 1},
            "nfftSelection": 256,
            "lines_per_second": 20,
            "frequencyRange": {"min": 10, "max": 20},
        }
    )
    assert request_bins(request, Fraction(1000)) == (3, 5)
    assert request_hop(request, Fraction(1000)) == 50
    everything = request.model_copy(update={"frequency_range": None})
    assert request_bins(everything, ODD_FS) == (0, 128)
    waterfall = request.model_copy(update={"view_type": View.WATERFALL, "nfft": None, "lines_per_second": None})
    assert request_bins(waterfall, Fraction(1000)) is None
    assert request_hop(waterfall, Fraction(1000)) == 50


@pytest.mark.parametrize(
    ("view", "amount", "streams"),
    [(View.MULTICHANNEL, 1, 1), (View.MULTICHANNEL, 2, 2), (View.MULTICHANNEL, 50, 3), (View.SINGLE, 50, 1)],
)
def test_streams_of_a_view(view, amount, streams):
    assert stream_amount(view, amount) == streams


def test_known_groups():
    assert stream_groups(1, 50, 3) == [(1, 17), (18, 34), (35, 50)]
    assert stream_groups(11, 14, 3) == [(11, 12), (13, 13), (14, 14)]
    assert stream_index(stream_groups(11, 14, 3)) == {"11": 0, "12": 0, "13": 1, "14": 2}


@settings(deadline=None)
@given(low=st.integers(1, 2222), amount=st.integers(1, 2222), parts=st.integers(1, 3))
def test_groups_cover_the_range_in_order_with_sizes_that_hardly_differ(low, amount, parts):
    parts = min(parts, amount)
    groups = stream_groups(low, low + amount - 1, parts)
    channels = [channel for first, last in groups for channel in range(first, last + 1)]
    sizes = [last - first + 1 for first, last in groups]
    assert channels == list(range(low, low + amount))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1
    assert len(groups) == parts


def historic(seconds, height, fs=Fraction(2000), **fields):
    body = {"view_type": 1, "channels": {"min": 1, "max": 1}, "displayInfo": {"height": height}, "nfftSelection": 1024}
    times = {"start_time": 1_700_000_000.5, "end_time": 1_700_000_000.5 + seconds}
    return request_hop(ConfigureRequest.read(body | times | fields), fs)


@pytest.mark.parametrize(
    ("seconds", "height", "fields", "hop"),
    [
        (60, 100, {}, 512),  # 233 lines of 120,000 samples
        (60, 58, {}, 2069),  # 4 * 58 = 232 are fewer
        (60, 59, {}, 512),
        (600, 100, {}, 12_000),
        (600, 100, {"overlap": 0.5}, 512),
        (600, 100, {"lines_per_second": 20}, 100),
        (600, 7, {"fs": ODD_FS}, 171_427),
        (600, 100, {"view_type": 2, "nfftSelection": None}, 12_000),
        (20, 100, {"view_type": 2, "nfftSelection": None}, 100),
        (0.25, 1, {}, 512),
    ],
)
def test_many_lines_of_a_historic_view_become_as_many_as_are_shown(seconds, height, fields, hop):
    assert historic(seconds, height, **fields) == hop
