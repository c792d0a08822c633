"""The analyzer as its own process, without a broker or a fibre: it plays recordings, and again after kill -9."""

import asyncio
import signal
import socket

import grpc
import numpy as np
import pytest

from focus_server.api.bridge import Bridge, End
from focus_server.contract import ConfigureRequest, Refusal
from focus_server.jobs import LocalAnalyzer
from focus_server.proto import DataStream

pytestmark = pytest.mark.anyio

T0_S = 1_700_000_000


@pytest.fixture(scope="module")
def nowhere():
    """The URL of a broker that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"amqp://guest:guest@127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def shared(shared_analyzer_process, nowhere):
    return shared_analyzer_process(nowhere)


@pytest.fixture
def lonely(shared):
    """One analyzer for all tests of this file; one that ends it leaves it to the next one to start it again."""
    if shared.process is None or shared.process.poll() is not None:
        shared.start(ready={"analyzer.ready"})
    return shared


@pytest.fixture(scope="module")
def recordings(shared_archive, source):
    return shared_archive.write(source((np.random.default_rng(2).standard_normal((3, 6000)) * 500).astype(np.int16)))


def request(body, **fields):
    fields = {"nfftSelection": 256, "overlap": 0.5, "start_time": T0_S, "end_time": T0_S + 6} | fields
    return ConfigureRequest.read(body(channels=(1, 3)) | fields)


async def configure(process, *arguments):
    async with LocalAnalyzer(process.socket) as client:
        return (await client.configure(*arguments)).model_dump(mode="json", by_alias=True)


async def states(client, *answers):
    """The states of these jobs, all of which are historic."""
    found = {job.job_id: (job.mode, job.state) for job in (await client.jobs()).jobs}
    modes, states = zip(*(found[answer["job_id"]] for answer in answers), strict=True)
    assert set(modes) == {"historic"}
    return list(states)


async def test_without_broker_and_fibre_recordings_are_played_and_live_is_refused(lonely, recordings, watch, body):
    answer = await configure(lonely, request(body), None, recordings)
    rows = await watch(answer, first=False)
    assert await rows.end() == (grpc.StatusCode.OK, "")
    assert rows.order == list(range(45))
    async with LocalAnalyzer(lonely.socket) as client:
        assert (await client.state(answer["job_id"])).state == "finished"
        assert await states(client, answer) == ["finished"]
        with pytest.raises(Refusal, match="No live view now"):
            await client.configure(request(body, start_time=None, end_time=None))
        with pytest.raises(Refusal, match="No recording found") as refused:
            await client.configure(request(body, start_time=T0_S + 60, end_time=T0_S + 70), None, recordings)
        assert refused.value.status == 404
        with pytest.raises(Refusal, match="No recording found"):
            await client.configure(request(body), None, [])


async def test_the_bridge_gives_every_viewer_the_bytes_of_the_stream_and_says_complete(lonely, recordings, watch, body):
    answer = await configure(lonely, request(body, nfftSelection=1024, overlap=0.98), None, recordings)
    rows = await watch(answer, first=False)
    await rows.end()
    async with LocalAnalyzer(lonely.socket) as client, Bridge(client) as bridge:
        passes = await asyncio.gather(*(frames(bridge, answer["job_id"]) for _ in range(3)))
    for seen, end in passes:
        assert [DataStream.FromString(frame) for frame in seen] == rows.messages
        assert (end.code, end.frame) == (1000, '{"type": "complete"}')
    assert len(rows.messages) == 2


async def frames(bridge, job_id):
    seen = []
    async with asyncio.timeout(60), bridge.viewer(job_id, 0) as viewer:
        while not isinstance(item := await viewer.next(), End):
            seen.append(item)
        return seen, item


async def test_after_kill_9_a_historic_job_plays_the_same_bytes_on_the_same_port(lonely, recordings, watch, body):
    answer = await configure(lonely, request(body), "k", recordings)
    rows = await watch(answer, first=False)
    assert await rows.end() == (grpc.StatusCode.OK, "")
    playing = await configure(lonely, request(body, playrate=0.01), None, recordings)
    broken_off = await watch(playing)
    assert lonely.end(signal.SIGKILL) == -signal.SIGKILL
    assert (await broken_off.end())[0] is grpc.StatusCode.UNAVAILABLE

    lonely.start(ready={"analyzer.ready"})
    again = await watch(answer, first=False)
    assert await again.end() == (grpc.StatusCode.OK, "")
    assert again.messages == rows.messages
    assert await configure(lonely, request(body), "k", recordings) == answer
    told = await watch(playing)
    async with LocalAnalyzer(lonely.socket) as client:
        assert await states(client, answer, playing) == ["finished", "playing"]
    assert lonely.end() == 0
    assert (await told.end())[0] is grpc.StatusCode.UNAVAILABLE
