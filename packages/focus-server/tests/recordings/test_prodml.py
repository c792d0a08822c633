import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from focus_server.errors import RecordingError
from focus_server.fiber import FiberGrid
from focus_server.recordings import RecordingEntry
from focus_server.recordings.entry import recording_uuid
from focus_server.recordings.prodml import gap_table, open_recording, raw_data, read_entry, write_recording

NO_GAPS = np.empty((0, 4), np.int64)


def entry_for(folder, rate=(2000, 1), channels=98, dtype="int16", scale="1.14E-9", units="1/s", slot=7, **other):
    grid = FiberGrid(1_700_000_000_123_456_789, *rate)
    first = grid.first_sample(10 * slot)
    samples = grid.first_sample(10 * slot + 10) - first
    key = (grid.t0_ns, *rate, channels, dtype, scale)
    fields = {
        "uuid": recording_uuid("local", key, slot), "base_path": str(folder), "path": f"local/20231114/slot-{slot}.h5",
        "start_ns": grid.time_ns(first), "end_ns": grid.time_ns(first + samples), "site": "local",
        "channels": channels, "dx": 1.5, "fiber_start_meters": 2520.0, "units": units, "dtype": dtype, "scale": scale,
        "samples": samples, "t0_ns": grid.t0_ns, "fs_num": rate[0], "fs_den": rate[1], "first_sample": first,
    }  # fmt: skip
    return RecordingEntry(**fields | other)


def noise(entry):
    values = np.random.default_rng(3).normal(0, 1000, (entry.samples, entry.channels))
    return values.astype(entry.dtype)


@pytest.mark.parametrize("rate", [(2000, 1), (249997, 125), (3000, 1)])
@pytest.mark.parametrize(("dtype", "scale"), [("int16", "1.14E-9"), ("float32", "1")])
def test_a_file_alone_gives_the_entry_and_the_samples_again(tmp_path, rate, dtype, scale):
    entry = entry_for(tmp_path, rate, dtype=dtype, scale=scale, gaps=True)
    data = noise(entry)
    gaps = np.array([[entry.first_sample + 5, entry.first_sample + 9, 1, 64]], np.int64)
    path = write_recording(entry, data, gaps, tmp_path)
    assert read_entry(path, tmp_path) == entry
    with open_recording(path) as file:
        assert np.array_equal(raw_data(file)[:], data)
        assert np.array_equal(gap_table(file), gaps)
        assert raw_data(file).chunks == (round(rate[0] / rate[1]), 64)
        assert raw_data(file).compression is None
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("rate", "within_ns"), [((2000, 1), 0), ((249997, 125), 1000), ((3000, 1), 1000)])
def test_dascore_reads_the_same_values_at_the_same_times(tmp_path, dascore, rate, within_ns):
    entry = entry_for(tmp_path, rate)
    data = noise(entry)
    path = write_recording(entry, data, NO_GAPS, tmp_path)
    (patch,) = dascore.spool(path)
    assert patch.dims == ("time", "distance")
    assert np.array_equal(patch.data, data)
    grid = FiberGrid(entry.t0_ns, *rate)
    expected = np.array([grid.time_ns(entry.first_sample + i) for i in range(entry.samples)])
    assert np.abs(patch.get_array("time").astype("datetime64[ns]").astype(np.int64) - expected).max() <= within_ns
    assert patch.get_array("distance")[[0, -1]].tolist() == [2520.0, 2520.0 + 97 * 1.5]
    assert np.allclose(patch.convert_units("1/s").data, data * 1.14e-9, rtol=1e-12)


def test_a_unit_that_dascore_does_not_know_does_not_hide_the_file_from_it(tmp_path, dascore):
    entry = entry_for(tmp_path, units="strain rate")
    path = write_recording(entry, noise(entry), NO_GAPS, tmp_path)
    assert dascore.spool(path)[0].shape == (entry.samples, entry.channels)
    assert read_entry(path, tmp_path).units == "strain rate"


def test_another_base_path_is_taken_from_where_the_file_lies(tmp_path):
    entry = entry_for(tmp_path / "a")
    written = write_recording(entry, noise(entry), NO_GAPS, tmp_path / "a")
    moved = tmp_path / "b" / "elsewhere.h5"
    moved.parent.mkdir()
    written.rename(moved)
    assert read_entry(moved, tmp_path / "b") == entry.model_copy(
        update={"base_path": str(tmp_path / "b"), "path": "elsewhere.h5"}
    )


def linked_outside(path):
    with h5py.File(path, "a") as file:
        del file["Acquisition/Raw[0]/RawData"]
        file["Acquisition/Raw[0]/RawData"] = h5py.ExternalLink("other.h5", "/Acquisition/Raw[0]/RawData")


def stored_outside(path):
    with h5py.File(path, "a") as file:
        raw = file["Acquisition/Raw[0]"]
        shape, size = raw["RawData"].shape, raw["RawData"].nbytes
        del raw["RawData"]
        raw.create_dataset("RawData", shape, "<i2", external=[(b"/etc/hostname", 0, size)])


def virtual(path):
    with h5py.File(path, "a") as file:
        raw = file["Acquisition/Raw[0]"]
        layout = h5py.VirtualLayout(raw["RawData"].shape, "<i2")
        del raw["RawData"]
        raw.create_virtual_dataset("RawData", layout)


def group_linked_outside(path):
    with h5py.File(path, "a") as file:
        del file["Acquisition/Raw[0]"]
        file["Acquisition/Raw[0]"] = h5py.ExternalLink("other.h5", "/Acquisition/Raw[0]")


def soft_linked(path):
    with h5py.File(path, "a") as file:
        file.move("Acquisition/Raw[0]/RawData", "elsewhere")
        file["Acquisition/Raw[0]/RawData"] = h5py.SoftLink("/elsewhere")


@pytest.mark.parametrize("change", [linked_outside, stored_outside, virtual, group_linked_outside, soft_linked])
def test_what_does_not_lie_in_the_file_is_refused(tmp_path, change):
    entry = entry_for(tmp_path)
    path = write_recording(entry, noise(entry), NO_GAPS, tmp_path)
    path.with_name("other.h5").write_bytes(path.read_bytes())
    change(path)
    with pytest.raises(RecordingError, match=r"links to elsewhere|does not lie in the file"):
        read_entry(path, tmp_path)


def without_attribute(path):
    with h5py.File(path, "a") as file:
        del file["Acquisition"].attrs["focus_t0_ns"]


def other_length(path):
    with h5py.File(path, "a") as file:
        file["Acquisition"].attrs["focus_samples"] = np.int64(5)


def other_grid(path):
    with h5py.File(path, "a") as file:
        file["Acquisition"].attrs["focus_fs_num"] = np.int64(1999)


def cut_short(path):
    os.truncate(path, path.stat().st_size // 2)


def not_hdf5(path):
    path.write_bytes(b"nothing of the kind")


def empty(path):
    with h5py.File(path, "w"):
        pass


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_attribute, "wrong at focus_t0_ns"), (other_length, r"attributes say int16 of shape \(5, 98\)"),
        (other_grid, "do not fit its own grid"), (cut_short, "cannot be read"), (not_hdf5, "cannot be read"),
        (empty, "is not a recording"), (Path.unlink, "cannot be read: .*No such file"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_a_sentence(tmp_path, change, says):
    entry = entry_for(tmp_path)
    path = write_recording(entry, noise(entry), NO_GAPS, tmp_path)
    change(path)
    with pytest.raises(RecordingError, match=says):
        read_entry(path, tmp_path)


def test_a_path_out_of_the_folder_is_not_written(tmp_path):
    entry = entry_for(tmp_path, path="../elsewhere.h5")
    with pytest.raises(RecordingError, match="leads out of its base path"):
        write_recording(entry, noise(entry), NO_GAPS, tmp_path / "base")
    assert list(tmp_path.iterdir()) == []


def test_what_the_disk_does_not_take_leaves_nothing_and_can_be_written_later(tmp_path, room):
    entry = entry_for(tmp_path)
    with room(100_000), pytest.raises(OSError, match="File too large"):
        write_recording(entry, noise(entry), NO_GAPS, tmp_path)
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == []
    assert read_entry(write_recording(entry, noise(entry), NO_GAPS, tmp_path), tmp_path) == entry
