"""Every row of a historic job against SciPy, across files and gaps, read over gRPC as clients do."""

from fractions import Fraction

import grpc
import numpy as np
import pytest

pytestmark = pytest.mark.anyio

ODD_FS = Fraction(249_997, 125)  # 1999.976 samples/s
CHANNELS, NFFT, HOP = 70, 256, 128


def noise(dtype, seconds, fs=1000, channels=CHANNELS):
    rng = np.random.default_rng(3)
    data = rng.standard_normal((channels, int(seconds * fs))) * np.geomspace(20, 2000, channels)[:, None] + 300
    return data.astype(dtype)


@pytest.fixture
def played(bench, watch):
    """Play all of a job's streams to their ends: played(recordings, start, end, ...) -> answer, rows of each stream."""

    async def play(recordings, start_s, end_s, **fields):
        made = await bench()
        answer = await made.play(recordings, start_s, end_s, **fields)
        streams = []
        for stream in range(answer["stream_amount"]):
            rows = await watch(answer, stream, first=False)
            assert await rows.end() == (grpc.StatusCode.OK, "")
            streams.append(rows)
        return answer, streams, made.jobs.get(answer["job_id"])

    return play


def touched(lost, channels, line, hop, span):
    """Which channels lack a sample of a line."""
    gone = np.zeros(channels, bool)
    for begin, end, first, last in lost:
        if begin < line * hop + span and line * hop < end:
            gone[first - 1 : last] = True
    return gone


def check_rows(oracle, rows, expected, lost, first_line, hop, span, low, high):
    """Each line's row of channels low..high is SciPy's, NaN exactly where lost, and not there when all is lost."""
    for index, line in enumerate(range(first_line, first_line + expected.shape[1])):
        gone = touched(lost, CHANNELS, line, hop, span)[low - 1 : high]
        assert (index in rows.values) == (not gone.all())
        if not gone.all():
            row = rows.values[index]
            assert (np.isnan(row).all(axis=1) == gone).all()
            assert not np.isnan(row[~gone]).any()
            assert oracle.deviation_db(row[~gone], expected[low - 1 : high, index][~gone], 1) <= 0.01


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("fs", [Fraction(1000), ODD_FS])
async def test_three_streams_agree_with_scipy_across_files_and_gaps(played, archive, source, oracle, dtype, fs):
    fibre = source(noise(dtype, 4.2, fs), fs=fs, scale="0.5")
    second = int(fs)
    lost = [
        (second // 2, second // 2 + 100, 1, 64),
        (2 * second + 300, 2 * second + 900, 1, 64),
        (2 * second + 310, 2 * second + 899, 65, 70),
        (3 * second + 500, 3 * second + 501, 65, 70),
    ]
    recordings = archive.write(fibre, lost=lost)
    assert len(recordings) == 4
    band = {"min": 10, "max": 400}
    answer, streams, job = await played(
        recordings, 0, 4, view=0, channels=(1, CHANNELS), nfftSelection=NFFT, overlap=0.5, frequencyRange=band
    )
    lines = answer["metadata"]["lines"]
    assert lines == (int(4 * fs) - NFFT) // HOP + 1
    low_bin = -(-10 * NFFT * fs.denominator // fs.numerator)
    bins = slice(low_bin, low_bin + answer["frequencies_amount"])
    expected = oracle.amplitude(fibre.data[:, : int(4 * fs)], fs, NFFT, HOP, 0.5)[:, :lines, bins]
    for rows, (low, high) in zip(streams, [(1, 24), (25, 47), (48, 70)], strict=True):
        check_rows(oracle, rows, expected, lost, 0, HOP, NFFT, low, high)
        assert rows.messages[0].start_channel == low
        assert all(rows.stamps[index] == stamp_ms(fibre, index) for index in rows.order)
    skipped = {line for line in range(lines) if line not in streams[0].values}
    assert skipped == {line for line in range(lines) if touched(lost, CHANNELS, line, HOP, NFFT)[:24].all()}
    assert job.missing_lines == len(skipped)


def stamp_ms(fibre, line):
    centre = line * HOP + NFFT // 2
    return round((fibre.t0_ns + centre * 10**9 / fibre.fs) / 10**6)


async def test_a_single_channel_begins_where_it_was_asked_to(played, archive, source, oracle):
    fibre = source(noise(np.int16, 5, channels=3))
    answer, (rows,), _ = await played(archive.write(fibre), 1.5, 4.25, channels=(2, 2), nfftSelection=1024)
    assert answer["metadata"]["grid"]["first_line"] == 3
    assert rows.order == list(range(answer["metadata"]["lines"]))
    expected = oracle.amplitude(fibre.data[1], 1000, 1024, 512)[3:7]
    assert len(expected) == len(rows.order) == 4
    assert oracle.deviation_db(rows.stack()[:, 0], expected) <= 0.01


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
async def test_waterfall_rows_are_standard_deviations(played, archive, source, dtype):
    fibre = source(noise(dtype, 3), scale="0.25")
    lost = [(1040, 1041, 65, 70), (2000, 2100, 1, 70)]
    answer, (rows,), job = await played(archive.write(fibre, lost=lost), 0, 3, view=2, channels=(1, CHANNELS))
    assert answer["metadata"]["lines"] == 60
    assert [index for index in range(60) if index not in rows.values] == [40, 41]
    assert job.missing_lines == 2
    expected = fibre.data[:, :3000].reshape(CHANNELS, 60, 50).astype(np.float64).std(axis=2) * 0.25
    for index in rows.order:
        row = rows.values[index][0]
        gone = touched(lost, CHANNELS, index, 50, 50)
        assert (np.isnan(row) == gone).all()
        np.testing.assert_allclose(row[~gone], expected[~gone, index], rtol=1e-6)


async def test_with_a_hop_beyond_the_window_rows_are_mean_powers_across_files(played, archive, source, oracle):
    fibre = source(noise(np.int16, 6, channels=3))
    answer, (rows,), _ = await played(
        archive.write(fibre), 0, 6, channels=(1, 3), nfftSelection=256, displayInfo={"height": 5}
    )
    assert answer["metadata"]["grid"]["hop"] == 1200
    starts = [index * (1200 - 256) // 4 for index in range(5)]
    for index in range(5):
        parts = [fibre.data[:, 1200 * index + start : 1200 * index + start + 256] for start in starts]
        power = np.mean([oracle.amplitude(part, 1000, 256, 128)[:, 0] ** 2 for part in parts], axis=0)
        assert oracle.deviation_db(rows.values[index], np.sqrt(power)) <= 0.01


async def test_a_line_too_large_for_memory_is_made_of_channels_one_after_the_other(
    played, archive, source, oracle, monkeypatch
):
    """Blocks of 7 channels instead of what 4 million samples are."""
    monkeypatch.setattr("focus_server.analyzer.history.cursor._BLOCK_SAMPLES", 7 * NFFT)
    fibre = source(noise(np.float32, 3))
    lost = [(1500, 1600, 1, 64)]
    _, (rows,), _ = await played(
        archive.write(fibre, lost=lost), 0, 3, channels=(1, CHANNELS), nfftSelection=NFFT, overlap=0.5
    )
    expected = oracle.amplitude(fibre.data, 1000, NFFT, HOP)
    check_rows(oracle, rows, expected, lost, 0, HOP, NFFT, 1, CHANNELS)


@pytest.mark.parametrize(("step", "message"), [(1, 1), (3, 7), (5, 1024), (1024, 10)])
async def test_pieces_join_without_a_seam(played, archive, source, oracle, monkeypatch, step, message):
    """Lines overlap by seven eighths; `step` of them are made at a time, and `message` of them leave together."""
    monkeypatch.setattr("focus_server.analyzer.history.cursor._STEP_VALUES", step * CHANNELS * (NFFT // 2 + 1))
    monkeypatch.setattr("focus_server.analyzer.history.cursor._MESSAGE_LINES", message)
    fibre = source(noise(np.int16, 2))
    lost = [(410, 470, 1, 64), (900, 1300, 1, 70), (1500, 1501, 65, 70)]
    answer, (rows,), _ = await played(
        archive.write(fibre, lost=lost), 0.1, 2, channels=(1, CHANNELS), nfftSelection=NFFT, overlap=0.875
    )
    first = answer["metadata"]["grid"]["first_line"]
    assert first == 4
    size = min(message, 2**20 // (CHANNELS * (NFFT // 2 + 1) * 4 + 32))
    assert [len({index // size for index in one.row_index}) for one in rows.messages] == [1] * len(rows.messages)
    assert len(rows.messages) == len({index // size for index in rows.order})
    expected = oracle.amplitude(fibre.data, 1000, NFFT, 32)[:, first:]
    assert expected.shape[1] == answer["metadata"]["lines"]
    check_rows(oracle, rows, expected, lost, first, 32, NFFT, 1, CHANNELS)


async def test_channels_that_are_not_finite_are_nan_but_not_missing(played, archive, source):
    data = noise(np.float32, 2, channels=3)
    data[1] = np.nan
    data[:, 1200:1210] = np.inf
    _, (rows,), job = await played(archive.write(source(data)), 0, 2, channels=(1, 3), nfftSelection=256, overlap=0)
    assert rows.order == list(range(7))
    assert job.missing_lines == 0
    whole = [index for index in rows.order if index != 4]
    assert all(np.isnan(rows.values[index]).all(axis=1).tolist() == [False, True, False] for index in whole)
    assert np.isnan(rows.values[4]).all()
