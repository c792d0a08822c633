"""Only the one known pickle is read, and even of it only what a recording needs."""

import hashlib
import io
import os
import pickle
import zipfile
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy._core import multiarray

from focus_server.errors import FocusError
from focus_server.fiber.command import sample
from focus_server.fiber.recording import Recording
from focus_server.fiber.sample import PickledSample, RestrictedUnpickler, store_sample

MEMBER = "package/example.pkl"


NAMES = {
    multiarray._reconstruct: ("numpy.core.multiarray", "_reconstruct"),
    datetime: ("daspy.core.dasdatetime", "DASDateTime"),
}


class SampleWriter(pickle._Pickler):
    """Gives numpy's reconstructor and the time's class the names under which the real sample holds them."""

    def save_global(self, obj: object, name: str | None = None) -> None:
        if obj not in NAMES:
            super().save_global(obj, name)
            return
        for text in NAMES[obj]:
            self.save(text)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)


def pickled(fields: object) -> bytes:
    buffer = io.BytesIO()
    SampleWriter(buffer, protocol=4).dump(fields)
    return buffer.getvalue()


def wheel_with(path: Path, content: bytes) -> tuple[Path, PickledSample]:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, content)
    return path, PickledSample(MEMBER, len(content), hashlib.sha256(content).hexdigest(), "a test", "MIT")


@pytest.fixture
def fields() -> dict[str, object]:
    return {
        "data": np.arange(12.0).reshape(3, 4),
        "dx": 2,
        "fs": 100.0,
        "start_distance": 2520,
        "start_time": datetime(2016, 3, 21, 9, 0, tzinfo=timezone(timedelta(hours=2))),
        "data_type": "strain rate",
    }


def test_the_known_file_becomes_a_recording(tmp_path: Path, fields: dict[str, object]) -> None:
    wheel, known = wheel_with(tmp_path / "w.whl", pickled(fields))
    folder = tmp_path / "data"
    assert store_sample(wheel, folder, known) is True
    recording = Recording.load(folder / "sample.npy")
    np.testing.assert_array_equal(recording.values, fields["data"].T)
    info = recording.info
    assert (info.fs, info.dx, info.fiber_start_meters, info.units) == ("100", 2.0, 2520.0, "1/s")
    assert info.start_time == "2016-03-21T07:00:00+00:00"
    assert info.sha256 == recording.sha256
    assert sorted(path.name for path in folder.iterdir()) == ["sample.json", "sample.npy"]


def test_a_whole_sample_is_left_alone_and_a_broken_one_written_again(tmp_path: Path, fields: dict[str, object]) -> None:
    wheel, known = wheel_with(tmp_path / "w.whl", pickled(fields))
    folder = tmp_path / "data"
    store_sample(wheel, folder, known)
    before = (folder / "sample.npy").stat().st_ino
    assert store_sample(tmp_path / "gone.whl", folder, known) is False
    assert (folder / "sample.npy").stat().st_ino == before
    (folder / "sample.npy").write_bytes((folder / "sample.npy").read_bytes()[:-1])
    assert store_sample(wheel, folder, known) is True
    assert Recording.load(folder / "sample.npy").samples == 4


def test_another_sha256_is_refused_before_anything_is_read(tmp_path: Path, fields: dict[str, object]) -> None:
    content = pickled(fields)
    wheel, known = wheel_with(tmp_path / "w.whl", content)
    with pytest.raises(FocusError, match="sha256"):
        store_sample(wheel, tmp_path / "data", replace(known, sha256="0" * 64))
    with pytest.raises(FocusError, match="another size"):
        store_sample(wheel, tmp_path / "data", replace(known, size=len(content) + 1))
    assert not (tmp_path / "data").exists()


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_that_names_os_system_is_refused_even_with_the_right_sha256(tmp_path: Path) -> None:
    wheel, known = wheel_with(tmp_path / "w.whl", pickle.dumps({"data": Evil(tmp_path / "ran")}))
    with pytest.raises(FocusError, match=r"posix\.system"):
        store_sample(wheel, tmp_path / "data", known)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
        ("daspy.core.section", "Section"),
        ("subprocess", "Popen"),
    ],
)
def test_only_exact_pairs_are_admitted(module: str, name: str) -> None:
    code = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)) + b"\x93."
    with pytest.raises(FocusError, match="not admitted"):
        RestrictedUnpickler(io.BytesIO(code)).load()


def test_a_file_that_is_not_the_package(tmp_path: Path) -> None:
    _, known = wheel_with(tmp_path / "other.whl", b"x")
    with pytest.raises(FocusError, match="does not hold"):
        store_sample(tmp_path / "other.whl", tmp_path / "data", replace(known, member="elsewhere"))
    (tmp_path / "text.whl").write_text("no archive")
    with pytest.raises(FocusError, match="not a readable wheel"):
        store_sample(tmp_path / "text.whl", tmp_path / "data", known)
    with pytest.raises(FocusError, match="cannot be read"):
        store_sample(tmp_path / "gone.whl", tmp_path / "data", known)


def test_the_command_refuses_a_foreign_wheel(tmp_path: Path) -> None:
    wheel, _ = wheel_with(tmp_path / "w.whl", b"x")
    result = CliRunner().invoke(sample, [str(wheel), "--to", str(tmp_path / "data")])
    assert isinstance(result.exception, FocusError)
    assert "daspy/core/example.pkl" in str(result.exception)
