"""Reading a recording: what was written comes back, what is missing is told, what is wrong is refused."""

import h5py
import numpy as np
import pytest

from focus_server.errors import RecordingError
from focus_server.recordings.prodml import write_recording
from focus_server.recordings.reader import RecordingFile

GAPS = [(10_020, 10_030, 1, 64), (10_025, 10_100, 65, 70)]


@pytest.fixture
def written(make_entry, tmp_path):
    """Write slot 1 of 70 channels, 100 samples from 10,000 on: written(dtype) -> entry, data [channel, time]."""

    def make(dtype="int16", gaps=(), **changes):
        entry = make_entry(1, dtype=dtype, samples=100, **changes).model_copy(update={"path": "local/1.h5"})
        data = (np.random.default_rng(1).standard_normal((100, 70)) * 1000).astype(dtype)
        write_recording(entry, data, np.array(gaps, np.int64).reshape(-1, 4), tmp_path / "recordings")
        return entry, data.T

    return make


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_every_part_comes_back_as_it_was_written(written, dtype):
    entry, data = written(dtype)
    file = RecordingFile(entry)
    for begin, end, low, high in ((0, 100, 1, 70), (3, 4, 64, 65), (99, 100, 70, 70), (0, 50, 1, 64), (5, 5, 1, 2)):
        samples, missing = file.read(entry.first_sample + begin, entry.first_sample + end, low, high)
        assert samples.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(samples, data[low - 1 : high, begin:end])
        assert missing is None
    file.close()


def test_what_is_missing_is_exactly_what_the_table_says(written):
    entry, _ = written(gaps=GAPS)
    begin = entry.first_sample
    assert begin == 10_000
    expected = np.zeros((70, 100), bool)
    expected[:64, 20:30] = True
    expected[64:, 25:100] = True
    file = RecordingFile(entry)
    for first, end, low, high in ((0, 100, 1, 70), (22, 27, 60, 70), (29, 31, 64, 64), (26, 27, 66, 66)):
        _, missing = file.read(begin + first, begin + end, low, high)
        np.testing.assert_array_equal(missing, expected[low - 1 : high, first:end])
    assert file.read(begin, begin + 25, 65, 70)[1] is None
    assert file.read(begin + 30, begin + 100, 1, 64)[1] is None
    file.close()


def test_outside_the_recording_there_is_nothing(written):
    entry, _ = written()
    file = RecordingFile(entry)
    for begin, end in ((-1, 5), (95, 101), (200, 300)):
        with pytest.raises(RecordingError, match="are not in"):
            file.read(entry.first_sample + begin, entry.first_sample + end, 1, 1)
    file.close()


def gone(path):
    path.unlink()


def no_hdf5(path):
    path.write_bytes(b"something else")


def cut_off(path):
    path.write_bytes(path.read_bytes()[:5000])


def another(path):
    with h5py.File(path, "r+") as file:
        file["Acquisition"].attrs["focus_uuid"] = "00000000-0000-0000-0000-000000000000"


def other_channels(path):
    with h5py.File(path, "r+") as file:
        del file["Acquisition/Raw[0]/RawData"]
        file["Acquisition/Raw[0]/RawData"] = np.zeros((100, 69), np.int16)


def unnumbered(path):
    with h5py.File(path, "r+") as file:
        del file["Acquisition"].attrs["focus_first_sample"]


def elsewhere(path):
    with h5py.File(path.with_name("secret.h5"), "w") as other:
        other["samples"] = np.zeros((100, 70), np.int16)
    with h5py.File(path, "r+") as file:
        del file["Acquisition/Raw[0]/RawData"]
        file["Acquisition/Raw[0]/RawData"] = h5py.ExternalLink("secret.h5", "samples")


def stored_elsewhere(path):
    path.with_name("secret").write_bytes(bytes(14_000))
    with h5py.File(path, "r+") as file:
        del file["Acquisition/Raw[0]/RawData"]
        place = str(path.with_name("secret"))
        file["Acquisition/Raw[0]"].create_dataset("RawData", (100, 70), np.int16, external=[(place, 0, 14_000)])


@pytest.mark.parametrize(
    "harm", [gone, no_hdf5, cut_off, another, other_channels, unnumbered, elsewhere, stored_elsewhere]
)
def test_what_is_not_the_recording_is_refused_with_a_sentence(written, harm):
    entry, _ = written()
    harm(entry.file())
    with pytest.raises(RecordingError) as refused:
        RecordingFile(entry)
    assert str(refused.value).endswith(".")


def test_a_path_that_leads_out_is_not_opened(written):
    entry, _ = written()
    with pytest.raises(RecordingError, match="leads out of its base path"):
        RecordingFile(entry.model_copy(update={"path": "../recordings/local/1.h5"}))
