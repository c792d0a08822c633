"""A recording that is pulled: every row of the analyzer's streams, once, then 208, then 404."""

import asyncio
import contextlib

import anyio
import httpx
import numpy as np
import pytest
import uvicorn

from focus_server.analyzer.control import Control
from focus_server.analyzer.intake import Intake
from focus_server.api import create_app
from focus_server.contract import ConfigureRequest, task_key
from focus_server.fiber.broker import BrokerAddress
from focus_server.jobs import LocalAnalyzer
from focus_server.settings import ServeSettings

pytestmark = pytest.mark.anyio

T0_S = 1_700_000_000
WAIT_S = 60


@pytest.fixture
async def serve():
    """Serve an application in this process: await serve(app, **where) gives the server."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(app, **where):
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, **where))
            server.capture_signals = contextlib.nullcontext
            task = asyncio.create_task(server.serve())
            stack.push_async_callback(ended, server, task)
            with anyio.fail_after(WAIT_S):
                while not server.started:  # noqa: ASYNC110 - it has no event for it
                    await anyio.sleep(0.01)
            return server

        yield start


async def ended(server, task):
    server.should_exit = True
    await task


@pytest.fixture
async def lonely(bench, serve, tmp_path):
    """The socket of an analyzer without a broker, which forgets what was played half a second ago."""
    made = await bench(job_finished_s=0.5)
    intake = Intake(BrokerAddress("amqp://127.0.0.1:1/"), "local", made.feed, made.engine.wake)
    socket = tmp_path / "analyzer.sock"
    await serve(Control(made.feed, intake, made.jobs, made.maker).app, uds=str(socket))
    return socket


@pytest.fixture
async def http(lonely, serve):
    """A client of a server of this process."""
    server = await serve(create_app(ServeSettings(analyzer_socket=lonely)), host="127.0.0.1", port=0)
    host, port = server.servers[0].sockets[0].getsockname()
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as client:
        yield client


@pytest.fixture
def recordings(archive, source):
    """Six seconds of five channels; between 2 and 3 s the recorder got nothing, of channel 5 nothing after 4 s."""
    data = (np.random.default_rng(2).standard_normal((5, 6000)) * 500).astype(np.int16)
    return archive.write(source(data), lost=[(2000, 3000, 1, 5), (4000, 6000, 5, 5)])


async def test_all_rows_come_once_then_the_playback_is_complete(lonely, http, recordings, watch, body):
    times = {"start_time": T0_S, "end_time": T0_S + 6}
    wanted = body(view=0, channels=(1, 5), nfftSelection=256, overlap=0.5, **times) | {"displayInfo": {"height": 3}}
    async with LocalAnalyzer(lonely) as local:
        answer = await local.configure(ConfigureRequest.read(wanted), task_key("played"), recordings)
    assert (await http.get("/waterfall/played/2")).status_code == 200  # from here on the job does not end by itself
    streams = [await watch(answer.model_dump(mode="json"), stream, first=False) for stream in range(3)]
    for stream in streams:
        await stream.end()
    rows = []
    with anyio.fail_after(WAIT_S):
        while (response := await http.get("/waterfall/played/2")).status_code != 208:
            found = [row for block in response.json() for row in block["rows"]]
            assert (len(found) in (1, 2)) == (response.status_code == 201)
            rows += found
    assert response.json() == []
    # Line 14 ends at sample 2048, and line 24 is the first one that begins after sample 3000.
    assert [row["canvasId"] for row in rows] == streams[0].order == [*range(14), *range(24, 45)]
    assert streams[2].order == [*range(14), *range(24, 30)]
    for row in rows:
        index = row["canvasId"]
        parts = [it.values.get(index, np.full((1, 129), np.nan)) for it in streams]
        found = np.array([sensor["intensity"] for sensor in row["sensors"]], float)
        np.testing.assert_array_equal(found, np.concatenate(parts).astype(float))
        begin_ms = T0_S * 1000 + index * 128
        assert (row["startTimestamp"], row["endTimestamp"]) == (begin_ms, begin_ms + 256)
    assert rows[-1]["sensors"][4] == {"id": 4, "intensity": [None] * 129}
    with anyio.fail_after(WAIT_S):
        while (response := await http.get("/waterfall/played/1")).status_code == 208:  # noqa: ASYNC110 - it has no event
            await anyio.sleep(0.05)
    assert (response.status_code, response.json()["error"]) == (404, "Invalid job_id")
