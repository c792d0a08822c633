"""The analyzer as its own process behind a real broker: every value against SciPy, outages, restarts."""

import asyncio
import signal
import subprocess
import sys
import time
from fractions import Fraction

import grpc
import httpx
import numpy as np
import pytest

from focus_server.contract import NFFT_VALUES
from focus_server.fiber import encode, group_count

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LONG = 140_000


def noise(channels, samples, seed=4):
    return np.random.default_rng(seed).standard_normal((channels, samples))


FIBRES = {
    "int16 at 1999.976 samples/s": (
        lambda: (noise(3, LONG) * 3000).astype(np.int16),
        {"fs": Fraction(1999976, 1000), "scale": "0.000000125"},
    ),
    "float32 with an offset of a million sigma": (lambda: (noise(3, LONG) + 1e6).astype(np.float32), {}),
}


async def play(publisher, source, first, end):
    for number in range(first, end):
        for group in range(group_count(source.channels)):
            await publisher.send(source.block(number, group))


async def ready(client, until):
    async def live():
        return (await client.get("/status")).json()["feed"]["state"] == "live"

    await until(live, "the feed is live")


async def create(client, wanted):
    response = await client.post("/jobs", json=wanted)
    assert response.status_code == 200, response.text
    return response.json()


def wanted_rows(oracle, fibre, answer, rows, channels):
    grid = answer["metadata"]["grid"]
    first = (grid["first_line"] + rows.order[0]) * grid["hop"]
    end = (grid["first_line"] + rows.order[-1]) * grid["hop"] + grid["nfft"]
    low, high = channels
    part = fibre.data[low - 1 : high, first:end]
    made = oracle.amplitude(part, fibre.fs, grid["nfft"], grid["hop"], scale=float(fibre.scale))
    return made.swapaxes(0, 1)


@pytest.mark.parametrize("name", FIBRES)
async def test_every_row_of_every_nfft_agrees_with_scipy(
    analyzer, publisher, watch, oracle, until, source, body, name, unused_site
):
    data, fields = FIBRES[name]
    fibre = source(data(), site=unused_site, **fields)
    # The fibre is played many times as fast as a live one, so that a viewer may be further behind than a live one.
    running = analyzer(ring_samples=140_000, site=unused_site, viewer_wait_s=120, viewer_wait_bytes=2**30)
    async with running.client() as client:
        await publisher.announce(fibre)
        await play(publisher, fibre, 0, 5)
        await ready(client, until)
        answers = [await create(client, body(channels=(1, 3), nfftSelection=nfft)) for nfft in NFFT_VALUES]
        watched = [await watch(answer, first=False) for answer in answers]
        total = LONG * 10 // round(fibre.fs)
        last = [last_row(answer, fibre.grid.first_sample(total)) for answer in answers]
        reading = [asyncio.create_task(rows.read_to(end, 60)) for rows, end in zip(watched, last, strict=True)]
        await until(lambda: viewers(client, len(NFFT_VALUES)), "all streams are open")
        await play(publisher, fibre, 5, total)
        await asyncio.gather(*reading)
        for answer, rows, end in zip(answers, watched, last, strict=True):
            assert rows.order == list(range(rows.order[0], end + 1))
            assert len(rows.order) >= 2
            assert oracle.deviation_db(rows.stack(), wanted_rows(oracle, fibre, answer, rows, (1, 3))) < 0.01
            state = (await client.get(f"/jobs/{answer['job_id']}/state")).json()
            assert (state["missing_lines"], state["dropped_lines"]) == (0, 0)


def last_row(answer, samples):
    """The last row that can be made of so many samples."""
    grid = answer["metadata"]["grid"]
    return (samples - grid["nfft"]) // grid["hop"] - grid["first_line"]


async def viewers(client, count):
    jobs = (await client.get("/jobs")).json()["jobs"]
    return sum(job["viewers"] for job in jobs) == count


async def test_nan_channels_are_nan_and_the_others_agree(
    analyzer, publisher, watch, oracle, until, source, body, unused_site
):
    data = noise(70, 6000).astype(np.float32)
    data[[6, 65]] = np.nan
    fibre = source(data, site=unused_site)
    async with analyzer(site=unused_site).client() as client:
        await publisher.announce(fibre)
        await play(publisher, fibre, 0, 20)
        await ready(client, until)
        answer = await create(client, body(view=0, channels=(1, 70), nfftSelection=512))
        watched = [await watch(answer, stream) for stream in range(3)]
        await play(publisher, fibre, 20, 60)
        for (low, high), rows in zip([(1, 24), (25, 47), (48, 70)], watched, strict=True):
            await rows.read_to((6000 - 512) // 256 - answer["metadata"]["grid"]["first_line"])
            found = rows.stack()
            broken = [channel - low for channel in (7, 66) if low <= channel <= high]
            assert np.isnan(found[:, broken]).all()
            wanted = wanted_rows(oracle, fibre, answer, rows, (low, high))
            good = [index for index in range(high - low + 1) if index not in broken]
            assert oracle.deviation_db(found[:, good], wanted[:, good]) < 0.01


async def test_with_a_hop_beyond_the_window_rows_are_mean_powers(
    analyzer, publisher, watch, oracle, until, source, body, unused_site
):
    fibre = source((noise(2, 8000) * 3000).astype(np.int16), site=unused_site)
    async with analyzer(site=unused_site).client() as client:
        await publisher.announce(fibre)
        await play(publisher, fibre, 0, 12)
        await ready(client, until)
        answer = await create(client, body(channels=(1, 2), nfftSelection=256, lines_per_second=1))
        rows = await watch(answer)
        await play(publisher, fibre, 12, 80)
        await rows.read_to(6)
        first = answer["metadata"]["grid"]["first_line"]
        for index in rows.order:
            begin = (first + index) * 1000
            starts = [begin + start for start in (0, 248, 496, 744)]
            windows = np.stack([fibre.data[:, start : start + 256] for start in starts], axis=1)
            power = oracle.amplitude(windows, 1000, 256, 256)[..., 0, :] ** 2
            assert oracle.deviation_db(rows.values[index], np.sqrt(power.mean(axis=1))) < 0.01


async def test_after_kill_9_jobs_go_on_on_the_same_ports_and_the_same_grid(
    analyzer, publisher, watch, oracle, until, source, body, unused_site
):
    fibre = source((noise(70, 12_000) * 3000).astype(np.int16), site=unused_site)
    running = analyzer(site=unused_site)
    wanted = body(channels=(70, 70), nfftSelection=256, lines_per_second=20)
    async with running.client() as client:
        await publisher.announce(fibre)
        await play(publisher, fibre, 0, 20)
        await ready(client, until)
        answer = await create(client, wanted)
        before = await watch(answer)
        await play(publisher, fibre, 20, 40)
        await before.read_to((4000 - 256) // 50 - answer["metadata"]["grid"]["first_line"])
    running.end(signal.SIGKILL)
    assert (await before.end())[0] is grpc.StatusCode.UNAVAILABLE
    await play(publisher, fibre, 40, 80)
    running.start()
    async with running.client() as client:
        assert (await client.get(f"/jobs/{answer['job_id']}")).json() == answer
        after = await watch(answer, first=False)
        await publisher.announce(fibre)
        await until(lambda: newest_sample(client, fibre, 8000), "what waited in the queue is read")
        reading = asyncio.create_task(after.read_to(0))
        await until(lambda: viewers(client, 1), "the stream is open")
        await play(publisher, fibre, 80, 120)
        await reading
        last = (12_000 - 256) // 50 - answer["metadata"]["grid"]["first_line"]
        await after.read_to(last)
        assert after.order[0] > before.order[-1]
        assert after.order == list(range(after.order[0], last + 1))
        assert oracle.deviation_db(after.stack(), wanted_rows(oracle, fibre, answer, after, (70, 70))) < 0.01
        second = await create(client, wanted)
        assert second["job_id"] == "1-2"


async def newest_sample(client, fibre, sample):
    state = (await client.get("/status")).json()["feed"]
    age_s = state["newest_sample_age_s"]
    return age_s is not None and time.time() - age_s >= fibre.grid.time_ns(sample) / 1e9 - 1e-3


@pytest.mark.timed
async def test_sigterm_tells_viewers_and_keeps_the_jobs(analyzer, publisher, watch, until, source, body, unused_site):
    fibre = source(np.zeros((4, 4000), np.int16), site=unused_site)
    running = analyzer(site=unused_site)
    async with running.client() as client:
        await publisher.play(fibre)
        await ready(client, until)
        answer = await create(client, body())
        rows = await watch(answer)
    began = time.monotonic()
    assert running.end() == 0
    assert time.monotonic() - began < 3
    code, reason = await rows.end()
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "analyzer stops" in reason
    assert not running.socket.exists()
    running.start()
    async with running.client() as client:
        jobs = (await client.get("/jobs")).json()["jobs"]
        assert [(job["job_id"], job["state"]) for job in jobs] == [(answer["job_id"], "filling")]


async def test_without_a_fibre_live_is_refused_naming_it(analyzer, until, body, unused_site):
    async with analyzer(site=unused_site).client() as client:

        async def connected():
            return (await client.get("/status")).json()["rabbitmq"]["state"] == "up"

        await until(connected, "RabbitMQ is up")
        for response in (await client.post("/jobs", json=body()), await client.get("/channels")):
            assert response.status_code == 503
            assert "waiting for fiber" in response.json()["error"]
            assert int(response.headers["Retry-After"]) > 0
        live = (await client.get("/live_metadata")).json()
        assert (live["prr"], live["sw_version"], live["fiber_description"]) == (
            0.0,
            "waiting for fiber",
            "waiting for fiber",
        )
        assert live["fiber_length_meters"] > live["fiber_start_meters"]


async def test_requests_that_mean_nothing_are_refused(analyzer, publisher, until, source, body, unused_site):
    fibre = source(np.zeros((4, 4000), np.int16), site=unused_site)
    async with analyzer(site=unused_site).client() as client:
        await publisher.play(fibre)
        await ready(client, until)
        assert (await client.get("/channels")).json() == {"lowest_channel": 1, "highest_channel": 4}
        assert (await client.get("/live_metadata")).json()["prr"] == 1000.0
        too_wide = await client.post("/jobs", json=body(channels=(1, 5)))
        assert (too_wide.status_code, "1 to 4" in too_wide.json()["error"]) == (400, True)
        misshapen = await client.post("/jobs", json={"view_type": 1})
        assert misshapen.status_code == 422
        for path in ("/jobs/0-1", "/jobs/0-1/state"):
            assert (await client.get(path)).json()["error"] == "Invalid job_id"
        assert (await client.delete("/jobs/0-1")).status_code == 404
        assert (await client.get("/jobs")).json() == {"jobs": []}


async def test_damaged_messages_are_left_and_the_rest_goes_on(
    analyzer, publisher, watch, oracle, until, source, body, unused_site
):
    fibre = source((noise(4, 6000) * 3000).astype(np.int16), site=unused_site)
    running = analyzer(site=unused_site)
    async with running.client() as client:
        await publisher.announce(fibre)
        await play(publisher, fibre, 0, 20)
        await ready(client, until)
        answer = await create(client, body(channels=(2, 2), nfftSelection=256))
        rows = await watch(answer)
        key, headers, content = encode(fibre.block(20, 0))
        await publisher.send_raw(key, headers, b"\1" + content[1:])
        await publisher.send_raw(key, {**headers, "schema": 99}, content)
        await publisher.send_raw(f"metadata.{unused_site}", {}, b"{}")
        await play(publisher, fibre, 20, 60)
        await rows.read_to((6000 - 256) // 128 - answer["metadata"]["grid"]["first_line"])
        assert oracle.deviation_db(rows.stack(), wanted_rows(oracle, fibre, answer, rows, (2, 2))) < 0.01
    causes = [event["cause"] for event in running.events() if event["event"] == "message.refused"]
    assert len(causes) == 3
    assert "crc32" in causes[0]


async def test_when_rabbitmq_is_away_it_is_named_and_comes_back_by_itself(
    analyzer, publisher, rabbitmq, watch, until, source, body, unused_site
):
    fibre = source((noise(4, 8000) * 3000).astype(np.int16), site=unused_site)
    async with analyzer(site=unused_site).client() as client:
        await publisher.announce(fibre)
        await play(publisher, fibre, 0, 20)
        await ready(client, until)
        answer = await create(client, body(channels=(2, 2), nfftSelection=256))
        rows = await watch(answer)
        rabbitmq.kill()
        try:

            async def refused():
                response = await client.post("/jobs", json=body())
                return response if response.status_code == 503 else None

            response = await until(refused, "a job is refused")
            assert "RabbitMQ" in response.json()["error"]
            assert int(response.headers["Retry-After"]) > 0
            state = (await client.get("/status")).json()["rabbitmq"]
            assert state["state"] == "down"
            assert rabbitmq.amqp_url.split(":")[2].split("@")[0] not in state["detail"]
        finally:
            rabbitmq.start()

        async def connected():
            return (await client.get("/status")).json()["rabbitmq"]["state"] == "up"

        await until(connected, "RabbitMQ is up again")
        assert (await client.get(f"/jobs/{answer['job_id']}/state")).json()["viewers"] == 1
        del rows


def test_a_second_analyzer_of_the_same_folder_is_refused(analyzer, tmp_path, unused_site):
    running = analyzer(site=unused_site)
    command = [sys.executable, "-m", "focus_server", "analyze", "--analyzer-socket", str(tmp_path / "other.sock")]
    second = subprocess.run(command, env=running.environment, capture_output=True, text=True, check=False)
    assert second.returncode == 3
    assert "Another analyzer uses the folder" in second.stderr
    assert running.process.poll() is None


async def test_the_socket_of_a_killed_analyzer_is_replaced(analyzer, unused_site):
    running = analyzer(site=unused_site)
    running.end(signal.SIGKILL)
    assert running.socket.exists()
    running.start()
    async with running.client() as client:
        assert isinstance(await client.get("/status"), httpx.Response)
