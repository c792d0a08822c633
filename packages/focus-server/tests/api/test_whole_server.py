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
from urllib.parse import urlsplit

import anyio
import grpc
import grpc.aio
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from fullspan.clients import AsyncFocusClient, AsyncFocusCommands, DataStream, Refused, open_stream
from fullspan.stack.proxy import CLEAR, LinkProxy, Toxics

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timed]  # some are, and starting all this takes longer

CHANNELS = 70
WAIT_S = 60
OLDER = {"canvasInfo": {"height": 500}, "sensors": {"min": 10, "max": 14}, "nfftSelection": 256}
OLDER |= {"displayTimeAxisDuration": 10, "frequencyRange": {"min": 10, "max": 100}}


class Component:
    """One program of the server, with its log; `start` returns when it has said that it is ready."""

    def __init__(self, folder, environment, ready, *arguments):
        self.log = folder / f"{arguments[0]}.log"
        self.command = [sys.executable, "-m", "focus_server", *arguments]
        self.environment = environment
        self.ready = ready
        self.said = None
        self.process = None

    async def start(self):
        with self.log.open("ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(self.command, env=self.environment, stderr=log)  # noqa: ASYNC220
        with anyio.fail_after(2 * WAIT_S):
            while not self._is_ready(self.log.read_bytes()[begin:]):
                assert self.process.poll() is None, self.log.read_text()
                await anyio.sleep(0.02)

    def _is_ready(self, logged):
        events = [json.loads(line) for line in logged.splitlines(keepends=True) if line.endswith(b"\n")]
        self.said = next((event for event in events if event["event"] == self.ready), None)
        return self.said is not None

    async def end(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            await anyio.to_thread.run_sync(self.process.wait, WAIT_S)


@pytest.fixture(scope="module")
def recording(folder):
    path = folder / "noise.npy"
    np.save(path, np.random.default_rng(3).normal(0, 1e-4, (CHANNELS, 999)))
    path.with_suffix(".json").write_text(
        json.dumps({"schema": 1, "dims": ["channel", "time"], "fs": "100", "dx": 2.0, "units": "1/s"})
    )
    return path


@pytest.fixture(scope="module")
async def components(anyio_backend, folder, recording, one_rabbitmq):
    broker = one_rabbitmq.virtual_host("whole-server")
    async with contextlib.AsyncExitStack() as stack:
        url = urlsplit(broker.amqp_url)
        link = LinkProxy("analyzer-broker", url.hostname, url.port)
        await link.start()
        stack.push_async_callback(link.aclose)
        user, _, _ = url.netloc.rpartition("@")
        through = url._replace(netloc=f"{user}@127.0.0.1:{link.address[1]}").geturl()

        def component(ready, name, *options, amqp_url=broker.amqp_url):
            environment = {
                **os.environ,
                "HOME": str(folder),
                "FOCUS_AMQP_URL": amqp_url,
                "FOCUS_ANALYZER_SOCKET": str(folder / "real.sock"),
                "FOCUS_RING_SAMPLES": "16384",
                "FOCUS_STATE_DIR": str(folder / f"state-{name}"),
            }
            return Component(folder, environment, ready, name, *options)

        made = {
            "analyze": component("analyzer.ready", "analyze", amqp_url=through),
            "replay": component("interrogator.connected", "replay", "--recording", str(recording)),
            "serve": component("server.ready", "serve", "--port", "0"),
        }
        async with anyio.create_task_group() as tasks:
            for program in made.values():
                tasks.start_soon(program.start)
                stack.push_async_callback(program.end)
        port = str(made["serve"].said["port"])
        made["serve"].command[-1] = port  # started again it is where it was
        yield made | {"address": f"127.0.0.1:{port}", "broker": broker, "link": link}


@pytest.fixture
async def focus(components):
    async with AsyncFocusClient(f"http://{components['address']}") as client:
        await healthy(client)
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


async def healthy(focus):
    with anyio.fail_after(WAIT_S):
        while not (await focus.health()).healthy:  # noqa: ASYNC110 - it happens in other processes
            await anyio.sleep(0.05)


@pytest.fixture
async def task(focus):
    """The name of a task, of which rows have been pulled, and the newest of these rows."""
    made = await focus.raw("POST", "/config/my-task_1", json=OLDER)
    assert (made.status_code, made.json()) == (200, {"status": "success", "task_id": "my-task_1"})
    yield "my-task_1", max(await pulled(focus, "my-task_1", lambda rows: len(rows) >= 3))
    assert (await focus.raw("DELETE", "/job/my-task_1")).status_code == 200
    for method, path in (("GET", "/metadata/my-task_1"), ("DELETE", "/job/my-task_1")):
        assert (await focus.raw(method, path)).status_code == 404


async def is_kept(focus, task, job_id):
    """The task has its job still, also when it is asked for again, and its rows go on."""
    name, newest = task
    assert (await focus.raw("POST", f"/config/{name}", json=OLDER)).status_code == 200
    assert (await focus.raw("GET", f"/task/{name}/metadata")).json()["job_id"] == job_id
    assert min(await pulled(focus, name, lambda rows: len(rows) >= 3, gaps=True)) > newest


async def test_a_restart_of_the_server_touches_no_stream_and_no_task(components, focus, job, task):
    kept = await focus.metadata(task[0])
    async with open_stream(job.host, job.stream_port) as call:
        before = await rows_of(call, 5)
        await components["serve"].end()
        after = await rows_of(call, 20)
        assert sorted(before | after) == list(range(min(before), max(after) + 1))
        await components["serve"].start()
    async with watch(components, job) as viewer:
        assert min(await frames_of(viewer, 3)) >= max(after)
    await healthy(focus)
    await is_kept(focus, task, kept.job_id)


async def test_viewers_and_tasks_live_through_a_kill_of_the_analyzer(components, focus, job, task):
    kept = await focus.metadata(task[0])
    async with watch(components, job) as viewer:
        before = await frames_of(viewer, 5)
        await components["analyze"].end(signal.SIGKILL)
        response = await focus.raw("GET", "/live_metadata")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert (await focus.raw("GET", "/ack")).status_code == 200
        await components["analyze"].start()
        after = await frames_of(viewer, 5)
    assert min(after) > max(before)
    assert (await focus.metadata(job.job_id)).stream_port == job.stream_port
    await healthy(focus)
    await is_kept(focus, task, kept.job_id)


async def test_a_broker_that_is_down_is_named_and_found_again(components, focus):
    components["link"].set_toxics(Toxics(reset=True))
    with anyio.fail_after(WAIT_S):
        while (health := await focus.health()).healthy:  # noqa: ASYNC110 - it happens in other processes
            await anyio.sleep(0.05)
    assert health.dependencies["rabbitmq"] == "down"
    assert "RabbitMQ" in health.document["detail"]
    with pytest.raises(Refused, match="RabbitMQ") as refused:
        await focus.configure(7)
    assert (refused.value.status, refused.value.retry_after_s) == (503, 2)
    components["link"].set_toxics(CLEAR)
    await healthy(focus)
    await focus.cancel((await focus.configure(7)).job_id)


async def test_a_repeated_request_with_a_key_makes_one_job(focus):
    document = {"view_type": 1, "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 9}}
    answers = [
        await focus.raw("POST", "/configure", json=document, headers={"Idempotency-Key": "the-same"}) for _ in range(3)
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    await focus.cancel(answers[0].json()["job_id"])


async def pulled(focus, name, enough, *, gaps=False):
    """Pull rows of a live job until there are enough: canvasId to row, in the order in which they came.

    `gaps`: values may be missing, because the analyzer was away.
    """
    rows = {}
    with anyio.fail_after(WAIT_S):
        while not enough(rows):
            response = await focus.raw("GET", f"/waterfall/{name}/7")
            if response.status_code == 200:
                assert response.json() == []
                await asyncio.sleep(0.02)
                continue
            assert response.status_code == 201, response.text
            [block] = response.json()
            assert 1 <= len(block["rows"]) <= 7
            values = [value for row in block["rows"] for sensor in row["sensors"] for value in sensor["intensity"]]
            known = [value for value in values if value is not None]
            assert gaps or len(known) == len(values)
            extremes = (min(known, default=0), max(known, default=0))
            assert (block["current_min_amp"], block["current_max_amp"]) == extremes
            for row in block["rows"]:
                assert not rows or row["canvasId"] > max(rows)
                rows[row["canvasId"]] = row
    return rows


async def test_pulled_rows_are_those_of_the_streams(focus):
    job = await focus.configure((11, 15), view=0, nfft=256, lines_per_second=20, band=(10, 100))
    assert (await focus.raw("GET", f"/waterfall/{job.job_id}/1")).status_code == 200
    async with contextlib.AsyncExitStack() as stack:
        calls = [
            await stack.enter_async_context(open_stream(job.host, job.stream_port, stream))
            for stream in range(job.stream_amount)
        ]
        direct, rows = await asyncio.gather(
            asyncio.gather(*(stamped_rows_of(call, 30) for call in calls)),
            pulled(focus, job.job_id, lambda rows: len(rows) >= 30),
        )
    common = set(rows).intersection(*direct)
    assert len(common) >= 15
    for index in common:
        row, parts = rows[index], [part[index] for part in direct]
        assert [sensor["id"] for sensor in row["sensors"]] == [10, 11, 12, 13, 14]
        values = np.concatenate([np.frombuffer(data, "<f4") for _, data in parts]).astype(float)
        assert [value for sensor in row["sensors"] for value in sensor["intensity"]] == values.tolist()
        assert row["endTimestamp"] - row["startTimestamp"] == 256
        assert parts[0][0] == (row["startTimestamp"] + row["endTimestamp"]) / 2
    await focus.cancel(job.job_id)
    assert (await focus.raw("GET", f"/waterfall/{job.job_id}/7")).status_code == 404


async def stamped_rows_of(call, n):
    """The first n rows of a stream: row_index to time and bytes."""
    rows = {}
    with anyio.fail_after(WAIT_S):
        async for message in call:
            stamped = zip(message.timestamp_in_milis, message.main_data, strict=True)
            rows.update(zip(message.row_index, stamped, strict=True))
            if len(rows) >= n:
                return rows
    raise AssertionError(f"the stream ended after {len(rows)} rows")


async def test_a_pulled_waterfall_has_a_value_per_sensor(focus):
    job = await focus.configure((1, CHANNELS), view=2)
    rows = await pulled(focus, job.job_id, lambda rows: len(rows) >= 3)
    for row in rows.values():
        assert [sensor["id"] for sensor in row["sensors"]] == list(range(CHANNELS))
        assert all(len(sensor["intensity"]) == 1 and sensor["intensity"][0] > 0 for sensor in row["sensors"])
        assert row["endTimestamp"] - row["startTimestamp"] == 50
    await focus.cancel(job.job_id)


async def test_a_task_is_replaced_by_another_request(focus, task):
    name, _ = task
    job = await focus.metadata(name)
    assert (job.view_type, job.channel_amount, job.stream_amount, job.grid.nfft) == (0, 5, 3, 256)
    assert sorted(job.channel_to_stream) == [11, 12, 13, 14, 15]
    assert job.frequencies == tuple(k * 1000 / 256 for k in range(3, 26))
    assert (await focus.raw("POST", f"/config/{name}", json={**OLDER, "nfftSelection": 512})).status_code == 200
    other = await focus.metadata(name)
    assert (other.job_id != job.job_id, other.grid.nfft) == (True, 512)
    for path in (f"/metadata/{job.job_id}", f"/waterfall/{job.job_id}/1"):
        assert (await focus.raw("GET", path)).status_code == 404
    wrong = await focus.raw("POST", f"/config/{name}", json={**OLDER, "sensors": {"min": 0, "max": CHANNELS}})
    assert (wrong.status_code, (await focus.metadata(name)).job_id) == (400, other.job_id)


async def test_a_command_gives_a_job_other_channels_within_a_second_and_no_row_is_lost(components, focus, job):
    async with AsyncFocusCommands(components["broker"].amqp_url) as commands, watch(components, job) as viewer:
        numbers = list(await frames_of(viewer, 3))
        sent_s = time.monotonic()
        await commands.roi(20, 25, job.job_id)
        channels = None
        while channels != (20, 25):
            async with asyncio.timeout(WAIT_S):
                frame = await viewer.recv()
            if isinstance(frame, bytes):
                message = DataStream.FromString(frame)
                numbers += message.row_index
                channels = message.start_channel, message.end_channel
        assert time.monotonic() - sent_s < 1
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert (message.data_shape_z, len(message.main_data[0])) == (6, 6 * 4 * len(job.frequencies))
    now = (await focus.metadata(job.job_id)).document
    assert now["channel_to_stream_index"] == {str(channel): 0 for channel in range(20, 26)}
    assert (now["channel_amount"], now["stream_amount"]) == (6, 1)


async def test_a_display_that_was_commanded_is_told_to_those_who_watch_and_those_who_come(components, focus, job):
    async def display(viewer):
        async with asyncio.timeout(WAIT_S):
            while isinstance(frame := await viewer.recv(), bytes) or json.loads(frame)["type"] != "display":
                pass
        return json.loads(frame)

    async with AsyncFocusCommands(components["broker"].amqp_url) as commands, watch(components, job) as viewer:
        await frames_of(viewer, 1)
        await commands.caxis(-60, -20, job.job_id)
        axis = {"caxis": {"min": -60.0, "max": -20.0}, "colormap": None}
        assert await display(viewer) == {"type": "display", **axis}
        await commands.colormap("viridis", job.job_id)
        assert await display(viewer) == {"type": "display", **axis, "colormap": "viridis"}
        async with watch(components, job) as later:
            assert await display(later) == {"type": "display", **axis, "colormap": "viridis"}
    assert (await focus.metadata(job.job_id)).document["metadata"]["display"] == axis | {"colormap": "viridis"}
