"""A replayed fibre, a broker that hangs and dies, and the analyzer between them, each its own process."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from focus_server.fiber.formula import ReplayFormula, ReplayOptions
from focus_server.fiber.recording import Recording

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CHANNELS, HANG_S = 130, 3.0
CAUGHT_UP_S = 1.5
"""A line as young as this did not wait for a broker that was away."""


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "noise.npy"
    np.save(path, np.random.default_rng(8).normal(0, 3e-5, (50, 777)))
    info = {"schema": 1, "dims": ["channel", "time"], "fs": "100", "dx": 1.5, "fiber_start_meters": 20, "units": "1/s"}
    path.with_suffix(".json").write_text(json.dumps(info))
    return path


@pytest.fixture
def replay(recording, rabbitmq, tmp_path):
    """Play the recording as a fibre until the block ends: `with replay(site) as said`; said() are its events."""

    @contextlib.contextmanager
    def play(site):
        command = [sys.executable, "-m", "focus_server", "replay", "--recording", str(recording), "--site", site]
        command += ["--channels", str(CHANNELS), "--state-dir", str(tmp_path / "replay")]
        environment = os.environ | {"FOCUS_AMQP_URL": rabbitmq.amqp_url}
        with (
            (tmp_path / "replay.log").open("wb") as log,
            subprocess.Popen(command, env=environment, stderr=log, cwd=tmp_path) as process,
        ):
            try:
                yield lambda: [json.loads(line)["event"] for line in Path(log.name).read_text().splitlines()]
            finally:
                process.terminate()

    return play


class Latency:
    """When each row came, against when the last sample of its window was due, in seconds."""

    def __init__(self, answer, rows):
        self._grid, self._rows = answer["metadata"]["grid"], rows
        self.newest_s = float("inf")
        self.worst_s = 0.0

    def __call__(self, condition):
        grid = self._grid
        end = (grid["first_line"] + self._rows.order[-1]) * grid["hop"] + grid["nfft"]
        self.newest_s = time.time() - grid["t0_ns"] / 1e9 - end * grid["fs_den"] / grid["fs_num"]
        self.worst_s = max(self.worst_s, self.newest_s)
        return condition(self)


async def test_a_broker_that_hangs_and_is_killed_costs_no_line(
    analyzer, replay, rabbitmq, recording, watch, oracle, until, body, unused_site
):
    with replay(unused_site) as said:
        async with analyzer(site=unused_site).client() as client:

            async def live():
                return (await client.get("/status")).json()["feed"]["state"] == "live"

            await until(live, "the feed is live")
            wanted = body(channels=(1, CHANNELS), nfftSelection=256, lines_per_second=10)
            response = await client.post("/jobs", json=wanted)
            assert response.status_code == 200, response.text
            answer = response.json()
            rows = await watch(answer)
            await rows.read_to(10)
            hung = Latency(answer, rows)
            rabbitmq.hang()
            try:
                await asyncio.sleep(HANG_S)  # audit: sleep because the hang lasts that long
            finally:
                rabbitmq.resume()
            await rows.read(lambda _: hung(lambda it: it.worst_s > HANG_S - 1 and it.newest_s < CAUGHT_UP_S))
            assert "interrogator.disconnected" not in said()  # a short hang is waited for

            rabbitmq.kill()
            try:
                await is_named(rabbitmq, client, wanted, until)
                await until(lambda: "interrogator.disconnected" in said(), "the interrogator notices")
            finally:
                await asyncio.to_thread(rabbitmq.start)
            killed = Latency(answer, rows)
            await rows.read(lambda _: killed(lambda it: it.worst_s > 2.0 and it.newest_s < CAUGHT_UP_S))
            await until(live, "the feed is live again")
            assert (await client.get("/status")).json()["rabbitmq"]["state"] == "up"
            state = (await client.get(f"/jobs/{answer['job_id']}/state")).json()
    assert said().count("interrogator.connected") == 2
    assert rows.order == list(range(rows.order[0], rows.order[-1] + 1))
    assert (state["viewers"], state["missing_lines"], state["dropped_lines"]) == (1, 0, 0)
    grid = answer["metadata"]["grid"]
    first = (grid["first_line"] + rows.order[0]) * grid["hop"]
    end = (grid["first_line"] + rows.order[-1]) * grid["hop"] + grid["nfft"]
    formula = ReplayFormula(Recording.load(recording), ReplayOptions(channels=CHANNELS))
    counts = formula.samples(first, end - first).T
    expected = oracle.amplitude(counts, 1000, 256, 100, scale=float(formula.scale)).swapaxes(0, 1)
    assert oracle.deviation_db(rows.stack(), expected) < 0.01


async def is_named(rabbitmq, client, wanted, until):
    """While RabbitMQ is away, who wants a job is told so, and the state says so without its password."""

    async def refused():
        response = await client.post("/jobs", json=wanted)
        return response if response.status_code == 503 else None

    response = await until(refused, "a job is refused")
    assert "RabbitMQ" in response.json()["error"]
    assert int(response.headers["Retry-After"]) > 0
    state = (await client.get("/status")).json()["rabbitmq"]
    assert state["state"] == "down"
    assert rabbitmq.amqp_url.split(":")[2].split("@")[0] not in state["detail"]
