"""A recording is a .npy and a JSON file; what is wrong with either is said in one sentence."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from focus_server.errors import FocusError
from focus_server.fiber.recording import Recording

INFO = {"schema": 1, "dims": ["channel", "time"], "fs": "100", "dx": 1.0, "units": "counts"}


def write(folder: Path, array: np.ndarray, **changes: object) -> Path:
    path = folder / "rec.npy"
    np.save(path, array)
    path.with_suffix(".json").write_text(json.dumps(INFO | changes))
    return path


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_both_layouts_load_as_time_by_channel(tmp_path: Path, dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    by_channel = Recording.load(write(tmp_path, array))
    np.testing.assert_array_equal(by_channel.values, [[0, 3], [1, 4], [2, 5]])
    assert (by_channel.channels, by_channel.samples) == (2, 3)
    by_time = Recording.load(write(tmp_path, array, dims=["time", "channel"]))
    np.testing.assert_array_equal(by_time.values, array)
    assert by_time.values.dtype == np.float64
    assert by_time.sha256 == hashlib.sha256((tmp_path / "rec.npy").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dims": ["time", "time"]}, "dims"),
        ({"fs": "-1"}, "fs: .*positive"),
        ({"fs": "fast"}, "fs: .*decimal"),
        ({"dx": 0}, "dx"),
        ({"colour": 1}, "colour"),
        ({"sha256": "0" * 64}, "sha256"),
        ({"schema": 9}, "schema"),
    ],
)
def test_a_wrong_description(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(FocusError, match=sentence):
        Recording.load(write(tmp_path, np.zeros((2, 2)), **changes))


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros(4), "two dimensions"),
        (np.zeros((2, 2), "int64"), "int64"),
        (np.zeros((0, 2)), "two dimensions"),
        (np.array([[1.0, np.nan]]), "not finite"),
    ],
)
def test_a_wrong_array(tmp_path: Path, array: np.ndarray, sentence: str) -> None:
    with pytest.raises(FocusError, match=sentence):
        Recording.load(write(tmp_path, array))


def test_a_missing_or_foreign_file(tmp_path: Path) -> None:
    with pytest.raises(FocusError, match=r"rec\.json cannot be read"):
        Recording.load(tmp_path / "rec.npy")
    path = write(tmp_path, np.zeros((2, 2)))
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(FocusError, match="not a NumPy"):
        Recording.load(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FocusError, match="not a readable"):
        Recording.load(path)
    path.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(FocusError, match="not a readable"):
        Recording.load(path)
