"""How many recordings may be played at once: beyond it a request is refused, and so is a viewer, until one leaves."""

import grpc
import numpy as np
import pytest

from focus_server.api.bridge import Bridge
from focus_server.contract import Refusal

pytestmark = pytest.mark.anyio

FOREVER = {"nfftSelection": 256, "playrate": 0.01}
FULL = (
    "Of 2 streams of recordings that may be played at once 2 are, and this needs 1; try again when others have ended, "
    "or close some."
)


@pytest.fixture
def recordings(archive, source):
    return archive.write(source((np.random.default_rng(5).standard_normal((6, 3000)) * 500).astype(np.int16)))


async def refused(made, recordings, **fields):
    """What a request for a job meets; nothing may be left of it."""
    before = len(made.jobs)
    with pytest.raises(Refusal) as refusal:
        await made.play(recordings, 0, 3, **fields)
    assert len(made.jobs) == before
    return refusal.value.status, refusal.value.error, refusal.value.headers


async def test_beyond_the_places_jobs_and_viewers_are_refused_until_one_leaves(bench, watch, until, recordings):
    made = await bench(max_playbacks=2)
    idle = await made.play(recordings, 0, 3, nfftSelection=256)
    first, second = [await watch(await made.play(recordings, 0, 3, **FOREVER)) for _ in range(2)]
    assert await refused(made, recordings) == (503, FULL, {"Retry-After": "5"})
    third = await watch(idle, first=False)
    assert await third.end() == (grpc.StatusCode.RESOURCE_EXHAUSTED, FULL)
    assert made.jobs.state(idle["job_id"]).viewers == 0

    first._call.cancel()
    await until(lambda: sum(job.viewers for job in made.jobs.living()) == 1, "the viewer's place is free")
    again = await watch(idle, first=False)
    assert await again.end() == (grpc.StatusCode.OK, "")
    assert again.order == list(range(idle["metadata"]["lines"]))
    assert "at once 1 are, and this needs 3" in (await refused(made, recordings, view=0, channels=(1, 6)))[1]
    assert (await made.play(recordings, 0, 3))["stream_amount"] == 1
    assert second.order == [0]


async def test_a_job_of_more_streams_than_places_plays_them_one_after_the_other(bench, watch, recordings):
    made = await bench(max_playbacks=1)
    answer = await made.play(recordings, 0, 3, view=0, channels=(1, 6), nfftSelection=256)
    for stream in range(3):
        rows = await watch(answer, stream, first=False)
        assert await rows.end() == (grpc.StatusCode.OK, "")
        assert rows.order == list(range(answer["metadata"]["lines"]))


async def test_what_a_task_plays_does_not_stand_in_its_own_way(bench, watch, recordings):
    made = await bench(max_playbacks=1)
    replaced = await watch(await made.play(recordings, 0, 3, key="task:a", **FOREVER))
    answer = await made.play(recordings, 0, 2, key="task:a", nfftSelection=256)
    assert (await replaced.end())[0] is grpc.StatusCode.NOT_FOUND
    assert await (await watch(answer, first=False)).end() == (grpc.StatusCode.OK, "")


class OneJob:
    """An orchestrator that knows the jobs of a bench."""

    def __init__(self, made):
        self._made = made

    async def job(self, job_id):
        return self._made.jobs.get(job_id).record.answer

    async def displays(self, after):
        return await self._made.jobs.displays(after, 0.5)


async def test_a_viewer_by_websocket_is_told_so_and_may_try_again(bench, watch, recordings):
    made = await bench(max_playbacks=1)
    idle = await made.play(recordings, 0, 3, nfftSelection=256)
    playing = await watch(await made.play(recordings, 0, 3, **FOREVER))
    async with Bridge(OneJob(made)) as bridge, bridge.viewer(idle["job_id"], 0) as viewer:
        end = await viewer.next()
    assert (end.code, end.reason) == (1013, "too many playbacks")
    assert "Of 1 streams of recordings that may be played at once 1 are" in end.frame
    assert playing.order == [0]
