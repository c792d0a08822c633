"""Every value of every view of real recordings against SciPy in float64, live and historic, with exact times.

The files are those of the folder that FULLSPAN_DAS_FILES names, or that lies beside the checkout; whoever has none gets
the sample recording and generated fibres, which are as hard.
"""

import asyncio
import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import grpc
import h5py
import numpy as np
import pytest

from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.recording import Recording

pytestmark = pytest.mark.anyio

CHECKOUT = Path(__file__).parents[4]
FOLDER = Path(os.environ.get("FULLSPAN_DAS_FILES") or CHECKOUT.parent / "shared" / "data" / "das")
SAMPLE = Path(os.environ.get("FULLSPAN_VAR") or CHECKOUT / "var") / "data" / "sample.npy"
ODD_FS = Fraction(249_997, 125)  # 1999.976 samples/s
TOLERANCE_DB = 0.01
FAR_BLOCK = 1_000_003
"""The fibre has run for more than a day when the first block comes: rounding that adds up would show by then."""


@dataclass(frozen=True)
class Fibre:
    """Which of a recording is played at which rate, and the windows: of view 0, and of view 1 and how they overlap."""

    fs: Fraction
    nfft: int
    narrow_nfft: int
    overlap: float
    scale: str = "1"


FILES = {
    "deformation_rate_event_1.hdf5": Fibre(ODD_FS, 256, 512, 0.98),
    "iDAS005_hdf5_example.626.h5": Fibre(Fraction(1000), 256, 512, 0.9, "1.14E-9"),
    "daspy_example_500x5000_f32.h5": Fibre(Fraction(100), 1024, 4096, 0.5),
    "decimated_optodas.hdf5": Fibre(Fraction(500), 2048, 4096, 0.75),
    "prodml_2.0.h5": Fibre(Fraction(200), 128, 1024, 0.9, "0.001"),
    "febus_2.h5": Fibre(Fraction(1050), 256, 512, 0.5),
}
GENERATED = {
    "int16 at 1000": Fibre(Fraction(1000), 256, 512, 0.9, "1.14E-9"),
    "float32 at 1999.976": Fibre(ODD_FS, 256, 512, 0.98),
}
PLAYED = {"sample as int16": Fibre(Fraction(1000), 1024, 2048, 0.75), "sample as float32": Fibre(ODD_FS, 512, 1024, 0)}
FIBRES = GENERATED | PLAYED | FILES


def there():
    names = [*GENERATED, *(PLAYED if SAMPLE.is_file() else ()), *(name for name in FILES if (FOLDER / name).is_file())]
    return sorted(names)


def file_values(name):
    """The samples [channel, time] of a file, read as the format says and not as the server does."""
    found = []
    with h5py.File(FOLDER / name) as file:
        file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
        data = max(found, key=lambda item: item.size)[:]
    data = data.reshape(data.shape[-2:])
    return data if name.startswith("daspy") else data.T


def generated_values(name):
    """Steep noise of earthquake and quiet channels, 130 of them, as a strain rate has it."""
    steep = np.cumsum(np.random.default_rng(6).standard_normal((130, 1100)), axis=1)
    steep *= np.geomspace(1e-9, 1e-5, 130)[:, None]
    return steep.astype(np.float32) if name.startswith("float32") else np.rint(steep / 4e-8).astype(np.int16)


def sample_values(name):
    """600 channels of the sample: a tile and the beginning of the next one, over the end of a loop."""
    recording = Recording.load(SAMPLE)
    formula = ReplayFormula(recording, ReplayOptions(channels=600, dtype=name.split()[-1]))
    return formula.samples(recording.samples - 1000, 3000).T, formula.scale


def fibre_values(name):
    if name in PLAYED:
        return sample_values(name)
    return (file_values if name in FILES else generated_values)(name), FIBRES[name].scale


def as_it_is(values):
    return values


def hard(values):
    """The same far from zero; float32 also with a channel that is NaN and one that is infinite for a sample."""
    if values.dtype == np.int16:
        return values + np.int16(32767 - values.max())
    with np.errstate(invalid="ignore"):
        sigma = values.astype(np.float64).std(axis=1, keepdims=True)
    moved = (values + 1e6 * sigma).astype(np.float32)
    moved[6] = np.nan
    moved[8, 300] = np.inf
    return moved


class Expected:
    """What SciPy makes of a fibre's samples, of which the first one that is there is `first_sample`, for an answer."""

    def __init__(self, oracle, answer, fibre, first_sample):
        self.grid = answer["metadata"]["grid"]
        self.waterfall = answer["view_type"] == 2
        hop, nfft = self.grid["hop"], self.grid["nfft"]
        self.span = hop if self.waterfall else nfft
        begin = self.grid["first_line"] * hop - first_sample
        assert begin >= 0
        self.lines = (fibre.data.shape[1] - begin - self.span) // hop + 1
        channels = sorted(map(int, answer["channel_to_stream_index"]))
        data = fibre.data[channels[0] - 1 : channels[-1], begin : begin + (self.lines - 1) * hop + self.span]
        windows = np.lib.stride_tricks.sliding_window_view(data, self.span, axis=1)[:, ::hop]
        self.silent = (windows.min(axis=2) == windows.max(axis=2)).T
        """[line, channel]: one value in the whole window, of which SciPy leaves a rest that is no signal."""
        with np.errstate(invalid="ignore"):
            if self.waterfall:
                self.first_bin, made = 0, windows.astype(np.float64).std(axis=2)[..., None] * float(fibre.scale)
            else:
                self.first_bin, bins = band(answer, fibre.fs)
                made = oracle.amplitude(data, fibre.fs, nfft, hop, float(fibre.scale))[..., bins]
        self.values = made.swapaxes(0, 1)
        """[line, channel, value], not finite where a window is not."""

    def stamp_ms(self, index):
        """The line's centre in exact arithmetic, rounded once."""
        centre = (self.grid["first_line"] + index) * self.grid["hop"] + Fraction(self.span, 2)
        fs = Fraction(self.grid["fs_num"], self.grid["fs_den"])
        return round(Fraction(self.grid["t0_ns"], 10**6) + centre * 1000 / fs)


def band(answer, fs):
    """The bins of a job; their frequencies must be exactly those of the definition."""
    nfft, found = answer["metadata"]["grid"]["nfft"], answer["frequencies_list"]
    first = round(found[0] * nfft / fs)
    assert found == [float(k * fs / nfft) for k in range(first, first + len(found))]
    return first, slice(first, first + len(found))


def check(oracle, expected, streams):
    """Every row is there, at its exact time; every value is SciPy's, and NaN exactly where SciPy's is not finite."""
    for rows in streams:
        assert rows.order == list(range(expected.lines))
        assert [rows.stamps[index] for index in rows.order] == [expected.stamp_ms(index) for index in rows.order]
    if expected.waterfall:
        (rows,) = streams
        got = rows.stack().swapaxes(1, 2)
    else:
        got = np.concatenate([rows.stack() for rows in streams], axis=1)
    assert got.shape == expected.values.shape
    finite = np.isfinite(expected.values).all(axis=2)
    assert np.isnan(got[~finite]).all()
    assert (got[expected.silent] == 0).all()
    heard = finite & ~expected.silent
    assert heard.mean() > 0.3
    if expected.waterfall:
        np.testing.assert_allclose(got[heard], expected.values[heard], rtol=1e-6)
    else:
        assert oracle.deviation_db(got[heard], expected.values[heard], expected.first_bin) <= TOLERANCE_DB
        assert (got[heard] >= 0).all()


def views(name, channels):
    """What is asked for: all channels in a part of the band, some of them in the whole band, all as a waterfall."""
    fibre = FIBRES[name]
    some = (channels // 2 - 15, channels // 2 + 16)
    part = {"min": float(fibre.fs) / 50, "max": float(fibre.fs) / 3}
    return [
        {"view": 0, "channels": (1, channels), "nfftSelection": fibre.nfft, "overlap": 0.5, "frequencyRange": part},
        {"view": 1, "channels": some, "nfftSelection": fibre.narrow_nfft, "overlap": fibre.overlap},
        {"view": 2, "channels": (1, channels)},
    ]


async def watched(watch, answer):
    return [await watch(answer, stream, first=False) for stream in range(answer["stream_amount"])]


@pytest.fixture
def fibre(source):
    """Make a fibre of a recording's samples: fibre(name, how)."""

    def make(name, how):
        values, scale = fibre_values(name)
        return source(np.ascontiguousarray(how(values)), fs=FIBRES[name].fs, scale=scale)

    return make


TWICE = "daspy_example_500x5000_f32.h5"
"""The earthquake of the sample again, as another file."""


def cases(way):
    """Each recording in one `way` (of both the arithmetic is the same), generated ones in both; `soak` has the rest."""

    def marks(name, how):
        return [] if name in GENERATED or (name != TWICE and how is way) else [pytest.mark.soak]

    return [
        pytest.param(name, how, id=f"{name}, {how.__name__}", marks=marks(name, how))
        for name in there()
        for how in (as_it_is, hard)
    ]


@pytest.mark.parametrize(("name", "how"), cases(as_it_is))
async def test_live_views_of_a_recording_agree_with_scipy(bench, watch, until, oracle, fibre, name, how):
    made, played = await bench(ring_samples=16384, compute_cores=1000, viewer_wait_bytes=2**28), fibre(name, how)
    made.announce(played)
    blocks = list(played.blocks(FAR_BLOCK))
    first = [block for block in blocks if block.seq == 0]
    made.give(*first)
    answers = [await made.create(**wanted) for wanted in views(name, played.channels)]
    streams = [await watched(watch, answer) for answer in answers]
    watched_streams = [stream for job in made.jobs.live() for stream in job.streams]
    await until(lambda: all(it.next_line is not None for it in watched_streams), "the first line of each is settled")
    made.give(*blocks[len(first) :])
    begin, end = first[0].first_sample, blocks[-1].first_sample + blocks[-1].samples
    given = replace(played, data=played.data[:, : end - begin])
    for answer, rows in zip(answers, streams, strict=True):
        expected = Expected(oracle, answer, given, begin)
        await asyncio.gather(*(one.read_to(expected.lines - 1) for one in rows))
        check(oracle, expected, rows)
        assert answer["metadata"]["lowered"] is None


@pytest.mark.parametrize(("name", "how"), cases(hard))
async def test_historic_views_of_a_recording_agree_with_scipy(bench, watch, oracle, archive, fibre, name, how):
    made, played = await bench(), fibre(name, how)
    begin = played.grid.first_sample(FAR_BLOCK) + 7
    recording = archive.moved(played, begin)
    end = begin + played.data.shape[1]
    for wanted in views(name, played.channels):
        answer = await made.play([recording], begin / played.fs, end / played.fs, **wanted)
        streams = await watched(watch, answer)
        for rows in streams:
            assert await rows.end() == (grpc.StatusCode.OK, "")
        check(oracle, Expected(oracle, answer, played, begin), streams)
