"""`focus-server import --scan`, with all that its user sees."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from focus_server.recordings.prodml import write_recording

SCAN = ("import", "--scan")


@pytest.fixture
def base(make_entry):
    path = Path(make_entry().base_path)
    for slot in range(3):
        entry = make_entry(slot, samples=50, channels=3)
        written = write_recording(entry, np.zeros((50, 3), np.int16), np.empty((0, 4), np.int64), path)
        os.utime(written, (time.time() - 60, time.time() - 60))
    return path


def test_files_without_an_entry_are_entered_once(run, base, database):
    first, second = run(*SCAN, base), run(*SCAN, base)
    assert first.out == "3 recordings added, 0 closed, 0 without a file, 0 files not recognized.\n"
    assert second.out == "0 recordings added, 0 closed, 0 without a file, 0 files not recognized.\n"
    assert (first.code, second.code) == (0, 0)
    assert "3 of 3 files" in first.err
    documents = database[database.base_paths.find_one({"base_path": str(base)})["guid"]]
    assert documents.count_documents({"end_time": {"$ne": None}, "deleted": False}) == 3
    assert documents.index_information()["uuid_1"]["unique"]


def test_what_is_no_recording_is_refused_and_named(run, base):
    (base / "foreign.h5").write_text("a list")
    os.utime(base / "foreign.h5", (0, 0))
    done = run(*SCAN, base)
    assert (done.code, done.out) == (
        1,
        "3 recordings added, 0 closed, 0 without a file, 1 files not recognized.\n",
    )
    assert "refused: foreign.h5: " in done.err


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_catalogue_that_is_down_is_a_sentence(run, base, outage):
    begin = time.monotonic()
    done = run(*SCAN, base, url="mongodb://user:s3cret@127.0.0.1:1/prisma")
    assert (done.code, done.out) == (3, "")
    assert "focus-server: MongoDB cannot be reached" in done.err
    assert time.monotonic() - begin < 20
    wrong = run(*SCAN, base, url=outage.url.replace("@", "wrong@"))
    assert (wrong.code, "user or the password" in wrong.err) == (3, True)
    for it in (done, wrong):
        assert "s3cret" not in it.err + it.log
        assert "mongodb://" not in it.err + it.log


def test_a_folder_that_is_not_there_is_wrong_usage(run, tmp_path):
    done = run(*SCAN, tmp_path / "nowhere")
    assert (done.code, "nowhere" in done.err) == (3, True)
