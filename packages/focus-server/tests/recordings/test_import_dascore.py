"""What DASCore reads becomes recordings: the same values, times to the nanosecond, and nothing that runs code."""

import os
import pickle
import warnings
from fractions import Fraction
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from focus_server.errors import RecordingError
from focus_server.recordings.export import write_export
from focus_server.recordings.import_entry import on_grid_of
from focus_server.recordings.import_file import open_sources
from focus_server.recordings.source import MovedSource
from focus_server.recordings.told import Told

REAL = sorted(Path(os.environ.get("FULLSPAN_DAS_FILES") or "nowhere").glob("*"))
"""Files of interrogators that whoever runs the tests may have; the generated ones are always there."""
START = np.datetime64("2024-02-29T23:59:58.123456789", "ns")


def everything(source):
    return source.read(source.entry.first_sample, source.entry.end_sample, 1, source.entry.channels)


@pytest.fixture
def patch(dascore):
    return partial(make_patch, dascore)


def make_patch(
    dascore, data, step_ns=500_006, dims=("time", "distance"), units="m/s", start=START, dx=0.4, begin=101.0
):
    axes = {
        "time": start + np.arange(data.shape[dims.index("time")]) * np.timedelta64(step_ns, "ns"),
        "distance": begin + dx * np.arange(data.shape[dims.index("distance")]),
    }
    return dascore.Patch(data=data, coords=axes, dims=dims, attrs={"data_units": units})


def written(tmp_path, made, name="foreign.h5"):
    with warnings.catch_warnings():  # PyTables dislikes some names that DASCore gives
        warnings.simplefilter("ignore")
        made.io.write(tmp_path / name, "dasdae")
    return tmp_path / name


@pytest.mark.parametrize("dims", [("time", "distance"), ("distance", "time")])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_patch_is_imported_with_its_values_times_and_places(patch, tmp_path, dims, dtype):
    data = np.random.default_rng(1).integers(-(2**15), 2**15, (300, 4)).astype(dtype)
    if dtype == "float32":
        data[5, 1], data[7, 2], data[9, 3] = np.nan, np.inf, -0.0
    path = written(tmp_path, patch(data if dims[0] == "time" else data.T, dims=dims))
    ((source,), notes) = open_sources(path)
    entry = source.entry
    assert everything(source).tobytes() == data.tobytes()
    assert (entry.dtype, entry.fs, entry.samples, entry.channels) == (dtype, Fraction("1999.976"), 300, 4)
    assert (entry.start_ns, entry.t0_ns) == (START.astype(int), START.astype(int))
    assert entry.dx == pytest.approx(0.4, rel=1e-12)
    assert (entry.fiber_start_meters, entry.units, entry.scale, entry.site) == (101.0, "m/s", "1", "imported")
    assert notes == ["foreign.h5: its period, 500006 ns, is rounded; 1999.976 samples per second are taken (--fs)"]
    write_export(source, tmp_path / "out.sgy")
    ((again,), _) = open_sources(tmp_path / "out.sgy")
    assert everything(again).tobytes() == data.tobytes()
    assert again.entry == entry


def test_what_is_told_wins_where_it_fits(patch, tmp_path):
    path = written(tmp_path, patch(np.ones((100, 3), np.float32)))
    told = Told(site="north", fs=Fraction("1999.9761"), dx=2.0, units="1/s", start_ns=7)
    ((source,), notes) = open_sources(path, told)
    entry = source.entry
    assert (entry.site, entry.fs, entry.dx, entry.units, entry.t0_ns) == ("north", told.fs, 2.0, "1/s", 7)
    assert notes == []
    with pytest.raises(RecordingError, match=r"500006 ns apart, which --fs 2000 does not fit"):
        open_sources(path, Told(fs=Fraction(2000)))


def test_values_that_float32_rounds_are_noted_and_channels_that_run_backwards_are_turned(patch, tmp_path):
    data = np.linspace(0, 1, 300).reshape(100, 3)
    ((source,), notes) = open_sources(written(tmp_path, patch(data, 10**6, dx=-2.0, begin=10.0, units="nanostrain/s")))
    assert np.array_equal(everything(source), data[:, ::-1].astype(np.float32))
    assert (source.entry.fiber_start_meters, source.entry.dx, source.entry.units) == (6.0, 2.0, "nstrain/s")
    assert notes == ["foreign.h5: its float64 samples are rounded to float32"]


def test_files_that_follow_each_other_are_one_fibre(patch, tmp_path):
    data = np.arange(900, dtype=np.int16).reshape(300, 3)
    first = written(tmp_path, patch(data[:100], 10**6), "a.h5")
    second = written(tmp_path, patch(data[100:], 10**6, start=START + np.timedelta64(100, "ms")), "b.h5")
    late = written(tmp_path, patch(data, 10**6, start=START + np.timedelta64(300_400_000, "ns")), "c.h5")
    ((a,), _), ((b,), _), ((c,), _) = map(open_sources, (first, second, late))
    joined = MovedSource(b, on_grid_of(b.entry, [a.entry]))
    assert joined.entry.fibre_key == a.entry.fibre_key
    assert (joined.entry.first_sample, joined.entry.start_ns) == (100, b.entry.start_ns)
    assert np.array_equal(everything(joined), data[100:])
    assert on_grid_of(c.entry, [a.entry]) == c.entry


class Harm:
    """What a hostile file would run."""

    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


def test_nothing_that_a_file_holds_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.pkl").write_bytes(pickle.dumps(("dascore.core Patch", Harm())))
    with h5py.File("b.h5", "w") as file:
        file["data"] = np.zeros((5, 5))
        file["time"] = file["channel"] = np.arange(5)
        file.attrs["pickled"] = np.bytes_(pickle.dumps(Harm(), 0))
    for name in ("a.pkl", "b.h5"):
        with pytest.raises(RecordingError, match="of one that could run code"):
            open_sources(Path(name))
    assert not Path("harmed").exists()


def test_time_that_is_no_time_of_day_is_asked_for(dascore, tmp_path):
    made = dascore.Patch(
        data=np.ones((4, 2), np.float32),
        coords={"time": np.array([0.0, 0.1, 0.4, 0.5]), "distance": np.arange(2.0)},
        dims=("time", "distance"),
    )
    path = written(tmp_path, made)
    with pytest.raises(RecordingError, match=r"foreign\.h5 cannot be imported: its time is no time of day"):
        open_sources(path)
    ((source,), _) = open_sources(path, Told(fs=Fraction(10), start_ns=5))
    assert (source.entry.fs, source.entry.t0_ns, source.entry.units) == (10, 5, "unknown")


@pytest.mark.parametrize("real", [None, *REAL], ids=lambda path: path.name if path else "generated")
def test_a_file_gives_what_dascore_gives_and_stays_so_in_segy(dascore, patch, tmp_path, real):
    made = patch(np.random.default_rng(2).normal(size=(200, 6)).astype(np.float32))
    path = real or written(tmp_path, made)
    (expected,) = dascore.read(path)
    ((source,), _) = open_sources(path)
    data = expected.transpose("time", ...).data
    assert everything(source).tobytes() == np.ascontiguousarray(data).tobytes()
    assert source.entry.start_ns == expected.get_coord("time").min().astype("datetime64[ns]").astype(int)
    write_export(source, tmp_path / "out.sgy")
    ((again,), _) = open_sources(tmp_path / "out.sgy")
    assert again.entry == source.entry
    assert everything(again).tobytes() == everything(source).tobytes()


def test_dascore_reads_our_segy(dascore, tmp_path, make_source):
    source = make_source(rate=(2000, 1))
    write_export(source, tmp_path / "out.sgy")
    (found,) = dascore.read(tmp_path / "out.sgy", file_format="segy", file_version="2.0")
    assert found.dims == ("time", "channel")
    assert np.array_equal(found.data, source.data)
    assert found.get_coord("time").step == np.timedelta64(500_000, "ns")
