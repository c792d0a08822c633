"""The server with the real analyzer, the real broker and a replayed fibre behind it, each its own process."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import anyio
import grpc
import grpc.aio
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from fullspan.clients import AsyncFocusClient, DataStream, Refused, open_stream
from fullspan.testing import running_rabbitmq

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CHANNELS = 70
WAIT_S = 20


class Component:
    """One program of the server, with its log; `start` returns when it has said that it is ready."""

    def __init__(self, folder, environment, ready, *arguments):
        self.log = folder / f"{arguments[0]}.log"
        self.command = [sys.executable, "-m", "focus_server", *arguments]
        self.environment = environment
        self.ready = ready
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(self.command, env=self.environment, stderr=log)
        deadline = time.monotonic() + 2 * WAIT_S
        while True:
            assert time.monotonic() < deadline, f"no {self.ready} in {self.log.read_text()}"
            assert self.process.poll() is None, self.log.read_text()
            for line in self.log.read_bytes()[begin:].splitlines():
                event = json.loads(line)
                if event["event"] == self.ready:
                    return event
            time.sleep(0.02)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(WAIT_S)


@pytest.fixture(scope="module")
def recording(folder):
    path = folder / "noise.npy"
    np.save(path, np.random.default_rng(3).normal(0, 1e-4, (CHANNELS, 999)))
    path.with_suffix(".json").write_text(
        json.dumps({"schema": 1, "dims": ["channel", "time"], "fs": "100", "dx": 2.0, "units": "1/s"})
    )
    return path


@pytest.fixture(scope="module")
def components(folder, recording):
    with running_rabbitmq(folder / "rabbitmq") as broker, contextlib.ExitStack() as stack:
        environment = {
            **os.environ,
            "HOME": str(folder),
            "FOCUS_AMQP_URL": broker.amqp_url,
            "FOCUS_ANALYZER_SOCKET": str(folder / "real.sock"),
            "FOCUS_RING_SAMPLES": "16384",
        }

        def component(ready, name, *options):
            own = {**environment, "FOCUS_STATE_DIR": str(folder / f"state-{name}")}
            made = Component(folder, own, ready, name, *options)
            stack.callback(lambda: made.process and made.process.poll() is None and made.end())
            return made

        made = {
            "analyze": component("analyzer.ready", "analyze"),
            "replay": component("interrogator.connected", "replay", "--recording", str(recording)),
            "serve": component("server.ready", "serve", "--port", "0"),
        }
        made["analyze"].start()
        made["replay"].start()
        port = str(made["serve"].start()["port"])
        made["serve"].command[-1] = port  # started again it is where it was
        made["address"] = f"127.0.0.1:{port}"
        made["broker"] = broker
        yield made


@pytest.fixture
async def focus(components):
    async with AsyncFocusClient(f"http://{components['address']}") as client:
        with anyio.fail_after(WAIT_S):
            while not (await client.health()).healthy:  # noqa: ASYNC110 - it happens in other processes
                await anyio.sleep(0.05)
        yield client


@pytest.fixture
async def job(focus):
    made = await focus.configure(7, nfft=256, lines_per_second=20)
    yield made
    with contextlib.suppress(Refused):
        await focus.cancel(made.job_id)


async def rows_of(call, n):
    """The first n rows of a stream: row_index to bytes."""
    rows = {}
    with anyio.fail_after(WAIT_S):
        async for message in call:
            assert not rows.keys() & set(message.row_index)
            rows.update(zip(message.row_index, message.main_data, strict=True))
            if len(rows) >= n:
                return rows
    raise AssertionError(f"the stream ended after {len(rows)} rows")


def watch(components, job):
    return connect(f"ws://{components['address']}/ws/jobs/{job.job_id}/streams/0", compression=None, proxy=None)


async def frames_of(viewer, n):
    """The first n rows that a viewer sees."""
    rows = {}
    with anyio.fail_after(WAIT_S):
        while len(rows) < n:
            frame = await viewer.recv()
            if isinstance(frame, bytes):
                message = DataStream.FromString(frame)
                assert not rows.keys() & set(message.row_index)
                rows.update(zip(message.row_index, message.main_data, strict=True))
    return rows


async def end_of(viewer):
    """The last text frame of a viewer and the close code that follows it."""
    told = None
    with anyio.fail_after(WAIT_S):
        try:
            while True:
                frame = await viewer.recv()
                told = json.loads(frame) if isinstance(frame, str) else told
        except ConnectionClosed as closed:
            return told, closed.rcvd.code


async def test_the_fibre_is_the_one_that_is_replayed(focus):
    channels, live = await focus.channels(), await focus.live_metadata()
    assert (channels.lowest, channels.highest) == (1, CHANNELS)
    assert (live.prr, live.dx, live.number_of_channels, live.waiting) == (1000.0, 2.0, CHANNELS, False)
    assert live.fiber_length_meters > live.fiber_start_meters
    assert live.fiber_source["seed"] == 1
    assert set(live.document) >= {"num_samples_per_trace", "dtype", "sw_version", "fiber_description"}
    sensors = (await focus.raw("GET", "/focus-server/sensors")).json()
    assert sensors == {"sensors": list(range(CHANNELS))}


@pytest.mark.timed
async def test_the_life_of_a_job(focus):
    before = await focus.jobs()
    job = await focus.configure(7, nfft=256, lines_per_second=20, band=(10, 400))
    assert (job.lines_dt, job.grid.hop, job.grid.nfft, job.stream_amount, job.view_type) == (0.05, 50, 256, 1, 1)
    assert job.frequencies == tuple(k * 1000 / 256 for k in range(3, 103))
    assert (await focus.metadata(job.job_id)).document == job.document
    assert [j.job_id for j in await focus.jobs()] == [*(j.job_id for j in before), job.job_id]
    async with open_stream(job.host, job.stream_port) as call:
        rows = await rows_of(call, 10)
        assert sorted(rows) == list(range(min(rows), min(rows) + len(rows)))
        assert {len(row) for row in rows.values()} == {4 * len(job.frequencies)}
        begin = time.monotonic()
        await focus.cancel(job.job_id)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await rows_of(call, 10_000)
    assert ended.value.code() is grpc.StatusCode.NOT_FOUND
    for again in (focus.cancel, focus.metadata):
        with pytest.raises(Refused, match="Invalid job_id") as refused:
            await again(job.job_id)
        assert refused.value.status == 404
    assert await focus.jobs() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((job.host, job.stream_port), timeout=1)
    assert time.monotonic() - begin < 2


async def test_a_multichannel_job_has_three_streams_that_agree(components, focus):
    job = await focus.configure((11, 60), view=0, nfft=128, lines_per_second=10, band=(0, 100))
    groups = {(11, 27): 0, (28, 44): 1, (45, 60): 2}
    assert job.channel_to_stream == {c: n for (low, high), n in groups.items() for c in range(low, high + 1)}
    assert (job.stream_amount, job.channel_amount, job.view_type) == (3, 50, 0)
    for (low, high), stream in groups.items():
        async with open_stream(job.host, job.stream_port, stream) as call:
            with anyio.fail_after(WAIT_S):
                message = await anext(aiter(call))
        shape = (message.data_shape_x, message.data_shape_y, message.data_shape_z)
        assert (message.start_channel, message.end_channel) == (low, high)
        assert shape == (len(job.frequencies), len(message.row_index), high - low + 1)
        assert {len(row) for row in message.main_data} == {4 * len(job.frequencies) * (high - low + 1)}
    async with connect(
        f"ws://{components['address']}/ws/jobs/{job.job_id}/streams/3", compression=None, proxy=None
    ) as viewer:
        told, code = await end_of(viewer)
    assert (told["type"], code) == ("error", 4400)
    await focus.cancel(job.job_id)


async def test_a_waterfall_has_a_value_per_channel(focus):
    job = await focus.configure((1, CHANNELS), view=2)
    assert (job.stream_amount, job.frequencies, job.lines_dt, job.grid.nfft) == (1, (), 0.05, 1)
    async with open_stream(job.host, job.stream_port) as call:
        rows = await rows_of(call, 5)
    assert {len(row) for row in rows.values()} == {4 * CHANNELS}
    await focus.cancel(job.job_id)


async def test_what_is_refused_makes_nothing(focus):
    before = await focus.jobs()
    wrong = [
        ({"nfftSelection": 1000}, 400),
        ({"channels": {"min": 1, "max": CHANNELS + 1}}, 400),
        ({"frequencyRange": {"min": 600, "max": 700}}, 400),
        ({"frequencyRange": {"min": 1, "max": 2}, "nfftSelection": 128}, 400),
        ({"displayInfo": {"height": 0}}, 400),
        ({"view_type": 7}, 422),
        ({"channels": None}, 422),
        ({"start_time": 1, "end_time": 2}, 503),
    ]
    for change, status in wrong:
        document = {"view_type": 1, "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 9}, **change}
        response = await focus.raw("POST", "/configure", json=document)
        assert (response.status_code, set(response.json())) == (status, {"error", "detail"})
    assert await focus.jobs() == before


async def test_a_viewer_of_the_websocket_sees_the_bytes_of_the_grpc_stream(components, focus, job):
    async with open_stream(job.host, job.stream_port) as call, watch(components, job) as viewer:
        direct, bridged = await asyncio.gather(rows_of(call, 40), frames_of(viewer, 40))
    common = direct.keys() & bridged.keys()
    assert len(common) >= 30
    assert all(direct[row] == bridged[row] for row in common)


async def test_a_cancelled_job_is_complete_for_its_viewers(components, focus, job):
    async with watch(components, job) as viewer:
        await frames_of(viewer, 3)
        await focus.cancel(job.job_id)
        assert await end_of(viewer) == ({"type": "complete"}, 1000)


async def test_a_restart_of_the_server_touches_no_stream(components, job):
    async with open_stream(job.host, job.stream_port) as call:
        before = await rows_of(call, 5)
        components["serve"].end()
        after = await rows_of(call, 20)
        assert sorted(before | after) == list(range(min(before), max(after) + 1))
        components["serve"].start()
    async with watch(components, job) as viewer:
        assert min(await frames_of(viewer, 3)) >= max(after)


async def test_viewers_live_through_a_kill_of_the_analyzer(components, focus, job):
    async with watch(components, job) as viewer:
        before = await frames_of(viewer, 5)
        components["analyze"].end(signal.SIGKILL)
        response = await focus.raw("GET", "/live_metadata")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert (await focus.raw("GET", "/ack")).status_code == 200
        components["analyze"].start()
        after = await frames_of(viewer, 5)
    assert min(after) > max(before)
    assert (await focus.metadata(job.job_id)).stream_port == job.stream_port


async def test_a_broker_that_is_down_is_named_and_found_again(components, focus):
    components["broker"].kill()
    with anyio.fail_after(WAIT_S):
        while (health := await focus.health()).healthy:  # noqa: ASYNC110 - it happens in other processes
            await anyio.sleep(0.05)
    assert health.dependencies["rabbitmq"] == "down"
    assert "RabbitMQ" in health.document["detail"]
    with pytest.raises(Refused, match="RabbitMQ") as refused:
        await focus.configure(7)
    assert (refused.value.status, refused.value.retry_after_s) == (503, 2)
    components["broker"].start()
    with anyio.fail_after(WAIT_S):
        while not (await focus.health()).healthy:  # noqa: ASYNC110 - it happens in other processes
            await anyio.sleep(0.05)
    await focus.cancel((await focus.configure(7)).job_id)


async def test_a_repeated_request_with_a_key_makes_one_job(focus):
    document = {"view_type": 1, "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 9}}
    answers = [
        await focus.raw("POST", "/configure", json=document, headers={"Idempotency-Key": "the-same"}) for _ in range(3)
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    await focus.cancel(answers[0].json()["job_id"])
