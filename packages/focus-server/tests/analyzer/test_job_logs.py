"""Every event about a job names it, also when threads that know no jobs write it."""

import numpy as np
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from focus_server.analyzer.store import JobStore

pytestmark = pytest.mark.anyio


async def test_what_happens_to_a_job_names_it(bench, archive, source, watch):
    recordings = archive.write(
        source(np.random.default_rng(8).normal(0, 9, (2, 4000)).astype(np.float32)), recording_s=2
    )
    made = await bench()
    with capture_logs(processors=[merge_contextvars]) as log:
        answer = await made.play(recordings, 0, 4, nfftSelection=256)
        for file in archive.folder.rglob("*.h5"):
            file.write_bytes(b"broken")
        await (await watch(answer, first=False)).end()
        made.jobs.cancel(answer["job_id"])
    events = [(line["event"], line.get("job")) for line in log]
    assert ("recording.unreadable", answer["job_id"]) in events
    assert ("job.ended", answer["job_id"]) in events
    assert {job for _, job in events} == {answer["job_id"]}


def test_a_job_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "3-7.json").write_text("{}")
    with capture_logs() as log:
        assert JobStore(tmp_path).load(60) == []
    assert [(line["event"], line["job"]) for line in log] == [("job.unreadable", "3-7")]
