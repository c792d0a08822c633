"""`focus-server import --scan`, each time as the program that a user runs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from focus_server.recordings.prodml import write_recording


@pytest.fixture
def base(make_entry):
    path = Path(make_entry().base_path)
    for slot in range(3):
        entry = make_entry(slot, samples=50, channels=3)
        written = write_recording(entry, np.zeros((50, 3), np.int16), np.empty((0, 4), np.int64), path)
        os.utime(written, (time.time() - 60, time.time() - 60))
    return path


@pytest.fixture
def run(mongo, tmp_path):
    def program(folder, url=mongo.url):
        command = [sys.executable, "-m", "focus_server", "import", "--scan", str(folder)]
        environment = {**os.environ, "HOME": str(tmp_path), "FOCUS_MONGO_URL": url}
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    return program


def test_files_without_an_entry_are_entered_once(run, base, database):
    first, second = run(base), run(base)
    assert first.stdout == "3 recordings added, 0 closed, 0 without a file, 0 files not recognized.\n"
    assert second.stdout == "0 recordings added, 0 closed, 0 without a file, 0 files not recognized.\n"
    assert (first.returncode, second.returncode) == (0, 0)
    assert "3 of 3 files" in first.stderr
    documents = database[database.base_paths.find_one({"base_path": str(base)})["guid"]]
    assert documents.count_documents({"end_time": {"$ne": None}, "deleted": False}) == 3
    assert documents.index_information()["uuid_1"]["unique"]


def test_what_is_no_recording_is_refused_and_named(run, base):
    (base / "foreign.h5").write_text("a list")
    os.utime(base / "foreign.h5", (0, 0))
    done = run(base)
    assert (done.returncode, done.stdout) == (
        1,
        "3 recordings added, 0 closed, 0 without a file, 1 files not recognized.\n",
    )
    assert "refused: foreign.h5: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_catalogue_that_is_down_is_a_sentence(run, base, mongo):
    begin = time.monotonic()
    done = run(base, "mongodb://user:s3cret@127.0.0.1:1/prisma")
    assert (done.returncode, done.stdout) == (3, "")
    assert "focus-server: MongoDB cannot be reached" in done.stderr
    assert time.monotonic() - begin < 20
    wrong = run(base, mongo.url.replace("@", "wrong@"))
    assert (wrong.returncode, "user or the password" in wrong.stderr) == (3, True)
    for it in (done, wrong):
        assert "s3cret" not in it.stderr
        assert "mongodb://" not in it.stderr
        assert "Traceback" not in it.stderr


def test_a_folder_that_is_not_there_is_wrong_usage(run, tmp_path):
    done = run(tmp_path / "nowhere")
    assert (done.returncode, "nowhere" in done.stderr) == (3, True)
