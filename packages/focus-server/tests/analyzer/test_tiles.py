"""Lines out of the ring: every value against SciPy, each channel of a line computed once."""

from fractions import Fraction

import numpy as np
import pytest

from focus_server.analyzer.feed import Feed
from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.tiles import Tiles, Wanted

CHANNELS, SAMPLES = 130, 6000


def counts(dtype):
    noise = np.random.default_rng(2).normal(0, 2000, (CHANNELS, SAMPLES))
    return noise.astype(dtype)


def rows(tiles, wanted, first=0, last=None):
    wanted = list(wanted)
    tiles.compute(tiles.plan(wanted))
    return [tiles.row(want, first, want.grid.values - 1 if last is None else last) for want in wanted]


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("fs", [Fraction(1000), Fraction(1999976, 1000)])
@pytest.mark.parametrize(("nfft", "hop", "channels"), [(256, 50, (1, 130)), (128, 3, (64, 64)), (2048, 1024, (60, 70))])
def test_rows_from_blocks_agree_with_scipy(oracle, source, feed, nfft, hop, channels, fs, dtype):
    fibre = source(counts(dtype), fs=fs, scale="0.0125")
    made = feed(fibre, ring_samples=4096, first_block=1000)
    begin = fibre.grid.first_sample(1000)
    grid = LineGrid(nfft, hop)
    low, high = channels
    oldest, newest = grid.oldest_line(made.samples.begin(low, high)), grid.newest_line(made.samples.end)
    lines = range(max(oldest, newest - 90), newest + 1)
    assert len(lines) >= 2
    found = rows(Tiles(made.samples), [Wanted(grid, line, low, high) for line in lines])
    part = fibre.data[low - 1 : high, lines[0] * hop - begin : grid.end_sample(lines[-1]) - begin]
    expected = oracle.amplitude(part, fs, nfft, hop, scale=0.0125).swapaxes(0, 1)
    assert oracle.deviation_db(np.stack(found), expected) < 0.01


def test_a_band_is_cut_out(oracle, source, feed):
    fibre = source(counts(np.int16))
    grid = LineGrid(256, 128)
    (row,) = rows(Tiles(feed(fibre).samples), [Wanted(grid, 3, 5, 6)], first=10, last=20)
    expected = oracle.amplitude(fibre.data[4:6, 384:640], 1000, 256, 128)[:, 0, 10:21]
    assert oracle.deviation_db(row, expected, first_bin=10) < 0.01


def test_with_a_hop_beyond_the_window_a_row_is_the_mean_power_of_all_samples(oracle, source, feed):
    fibre = source(counts(np.int16))
    grid = LineGrid(128, 300)
    found = rows(Tiles(feed(fibre).samples), [Wanted(grid, line, 3, 9) for line in (2, 3)])
    for line, row in zip((2, 3), found, strict=True):
        starts = [line * 300 + start for start in (0, 86, 172)]
        windows = np.stack([fibre.data[2:9, start : start + 128] for start in starts], axis=1)
        power = oracle.amplitude(windows, 1000, 128, 128)[..., 0, :] ** 2
        assert oracle.deviation_db(row, np.sqrt(power.mean(axis=1))) < 0.01


def test_waterfall_rows_are_standard_deviations(source, feed):
    fibre = source(counts(np.int16), scale="0.5")
    grid = LineGrid(None, 50)
    found = rows(Tiles(feed(fibre).samples), [Wanted(grid, line, 1, 130) for line in (7, 8)])
    for line, row in zip((7, 8), found, strict=True):
        expected = fibre.data[:, line * 50 : (line + 1) * 50].astype(np.float64).std(axis=1) * 0.5
        np.testing.assert_allclose(row[:, 0], expected, rtol=1e-6)


def test_each_channel_of_a_line_is_computed_once(source, feed):
    tiles = Tiles(feed(source(counts(np.int16))).samples)
    grid = LineGrid(256, 50)
    first = tiles.plan([Wanted(grid, 4, 1, 30), Wanted(grid, 4, 20, 80), Wanted(grid, 5, 1, 80)])
    assert [(piece.line, piece.count, piece.channels) for piece in first] == [(4, 2, ((1, 81),))]
    tiles.compute(first)
    second = tiles.plan([Wanted(grid, 4, 70, 100), Wanted(grid, 5, 10, 20)])
    assert [(piece.line, piece.count, piece.channels) for piece in second] == [(4, 1, ((81, 101),))]
    tiles.compute(second)
    assert np.isfinite(tiles.row(Wanted(grid, 4, 60, 100), 0, 128)).all()


def test_a_group_that_is_missing_is_nan_and_a_line_without_any_is_none(source):
    fibre = source(counts(np.int16))
    feed = Feed(100_000, 2.0, lambda _: None)
    feed.announced(fibre.announcement(), 0.0)
    for block in fibre.blocks():
        if block.group != 1 or block.seq not in (10, 11):
            feed.arrived(block, 0.0)
    tiles, grid = Tiles(feed.samples), LineGrid(256, 100)
    whole, broken, alone = rows(tiles, [Wanted(grid, 3, 1, 130), Wanted(grid, 9, 1, 130), Wanted(grid, 9, 65, 128)])
    assert np.isfinite(whole).all()
    assert np.isnan(broken[64:128]).all()
    assert np.isfinite(broken[:64]).all()
    assert np.isfinite(broken[128:]).all()
    assert alone is None


def test_a_channel_of_nan_is_nan_and_its_neighbours_are_right(oracle, source, feed):
    data = counts(np.float32)
    data[6] = np.nan
    fibre = source(data)
    (row,) = rows(Tiles(feed(fibre).samples), [Wanted(LineGrid(256, 256), 2, 5, 9)])
    assert np.isnan(row[2]).all()
    good = [0, 1, 3, 4]
    expected = oracle.amplitude(data[[4, 5, 7, 8], 512:768], 1000, 256, 256)[:, 0]
    assert oracle.deviation_db(row[good], expected) < 0.01


def test_old_lines_are_forgotten(source, feed):
    tiles = Tiles(feed(source(counts(np.int16))).samples, kept_bytes=130 * 129 * 4 * 8)
    grid = LineGrid(256, 50)
    for line in range(20):
        rows(tiles, [Wanted(grid, line, 1, 130)])
    there = [tiles.row(Wanted(grid, line, 1, 130), 0, 128) is not None for line in range(20)]
    assert there == [False] * 12 + [True] * 8
    again = tiles.plan([Wanted(grid, line, 1, 130) for line in (11, 12)])
    assert [(piece.line, piece.count) for piece in again] == [(11, 1)]


def test_a_line_larger_than_the_arena_is_computed_too(oracle, source, feed):
    fibre = source(counts(np.int16))
    grid = LineGrid(256, 128)
    (row,) = rows(Tiles(feed(fibre).samples, kept_bytes=4096), [Wanted(grid, 3, 1, 130)])
    assert oracle.deviation_db(row, oracle.amplitude(fibre.data[:, 384:640], 1000, 256, 128)[:, 0]) < 0.01
