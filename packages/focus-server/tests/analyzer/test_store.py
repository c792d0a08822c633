"""Jobs on disk."""

import json
import os
import stat
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from focus_server.analyzer.configure import make_answer, plan_job
from focus_server.analyzer.history import plan_history
from focus_server.analyzer.job import JobRecord
from focus_server.analyzer.store import JobStore
from focus_server.contract import ConfigureRequest
from focus_server.errors import FocusError

BODY = {
    "view_type": "0",
    "channels": {"min": 1, "max": 5},
    "displayInfo": {"height": 9},
    "frequencyRange": {"min": 0.5, "max": 300.25},
    "nfftSelection": 512,
}


@pytest.fixture
def record(feed, source):
    fibre = source(np.zeros((70, 4000), np.int16))

    def make(serial, key=None):
        request = ConfigureRequest.read(BODY)
        plan = plan_job(request, feed(fibre).samples, [], 10.0, 0.0)
        answer = make_answer(plan, fibre.announcement(), f"0-{serial}", "127.0.0.1", 4000 + serial)
        created = datetime.now(UTC)
        return JobRecord(serial=serial, key=key, created=created, fibre=plan.fibre, request=request, answer=answer)

    return make


def test_a_job_comes_back_as_it_was(tmp_path, record):
    saved = [record(2, key="again"), record(1)]
    for one in saved:
        JobStore(tmp_path).save(one)
    assert JobStore(tmp_path).load(60) == sorted(saved, key=lambda one: one.serial)
    assert stat.S_IMODE((tmp_path / "0-1.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("version", "record_lacks", "answer_lacks"),
    [
        (1, ("roi", "viewer", "recordings"), ("display", "lines", "left_out")),
        (2, ("roi", "viewer"), ("display",)),
    ],
)
def test_a_job_of_an_earlier_schema_comes_back_as_a_live_one(tmp_path, record, version, record_lacks, answer_lacks):
    """What version 1 wrote knew no recordings, and version 2 no commands."""
    saved = record(1)
    document = saved.model_dump(mode="json", by_alias=True) | {"schema_version": version}
    for name in record_lacks:
        del document[name]
    for name in answer_lacks:
        del document["answer"]["metadata"][name]
    (tmp_path / "0-1.json").write_text(json.dumps(document))
    (again,) = JobStore(tmp_path).load(60)
    assert (again.schema_version, again.recordings) == (version, ())
    assert again.model_copy(update={"schema_version": 3}) == saved


def test_a_historic_job_comes_back_with_its_recordings(tmp_path, archive, source):
    recordings = archive.write(source(np.zeros((5, 3000), np.int16), scale="0.25"), lost=[(0, 100, 1, 5)])
    times = {"start_time": 1_700_000_000, "end_time": 1_700_000_003}
    request = ConfigureRequest.read(BODY | times | {"playrate": 2.5})
    plan = plan_history(request, recordings)
    answer = make_answer(plan, recordings[0], "3-4", "127.0.0.1", 4004)
    created = datetime.now(UTC)
    saved = JobRecord(
        serial=4, created=created, fibre=plan.fibre, request=request, answer=answer, recordings=plan.recordings
    )
    JobStore(tmp_path).save(saved)
    assert JobStore(tmp_path).load(60) == [saved]
    assert saved.recordings == tuple(recordings)


def test_a_removed_job_is_gone(tmp_path, record):
    store = JobStore(tmp_path)
    store.save(record(1))
    store.remove("0-1")
    store.remove("0-1")
    assert store.load(60) == []


def test_serials_never_come_twice(tmp_path, record):
    store = JobStore(tmp_path)
    assert [store.next_serial() for _ in range(3)] == [1, 2, 3]
    assert JobStore(tmp_path).next_serial() == 4
    store.save(record(17))
    (tmp_path / "serial").write_text("")
    assert JobStore(tmp_path).next_serial() == 18


def test_jobs_that_were_left_long_ago_are_removed(tmp_path, record):
    store = JobStore(tmp_path)
    for serial in (1, 2):
        store.save(record(serial))
        old = time.time() - 100
        os.utime(tmp_path / f"0-{serial}.json", (old, old))
    store.touch(["0-2", "0-99"])
    assert [one.serial for one in store.load(60)] == [2]
    assert not (tmp_path / "0-1.json").exists()


def test_a_broken_file_is_removed_and_the_others_are_read(tmp_path, record):
    store = JobStore(tmp_path)
    store.save(record(1))
    (tmp_path / "0-2.json").write_text('{"serial": 2')
    (tmp_path / ".0-3.json.part").write_text("half")
    assert [one.serial for one in store.load(60)] == [1]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FocusError, match="cannot be made"):
        JobStore(tmp_path / "file" / "jobs")
