"""The analyzer as its own process behind a real broker: every NFFT against SciPy, damage, kill -9 and restart."""

import asyncio
import itertools
import json
import secrets
import signal
import time
from fractions import Fraction

import grpc
import numpy as np
import pytest

from focus_server.analyzer.analyzer import Analyzer
from focus_server.analyzer.store import JobStore
from focus_server.contract import NFFT_VALUES
from focus_server.errors import FocusError
from focus_server.fiber import encode, group_count
from focus_server.settings import AnalyzerSettings

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LONG = 140_000


def noise(channels, samples, seed=4):
    return np.random.default_rng(seed).standard_normal((channels, samples))


EXACT, FAR_FROM_ZERO = "int16 at 1999.976 samples/s", "float32 with an offset of a million sigma"
FIBRES = {
    EXACT: (
        lambda: (noise(3, LONG) * 3000).astype(np.int16),
        {"fs": Fraction(1999976, 1000), "scale": "0.000000125"},
    ),
    FAR_FROM_ZERO: (lambda: (noise(3, LONG) + 1e6).astype(np.float32), {}),
}
TIMES_NS = itertools.count(1_700_000_000_000_000_000, 1_000_000_000_000)


@pytest.fixture(scope="module")
def whole(shared_analyzer_process, rabbitmq):
    """An analyzer for all tests of this file, each of which plays it a fibre of its own."""
    # The fibres are played many times as fast as live ones, so a viewer may be further behind than a live one.
    process = shared_analyzer_process(
        rabbitmq.amqp_url,
        site=f"whole-{secrets.token_hex(4)}",
        ring_samples=LONG,
        viewer_wait_s=120,
        viewer_wait_bytes=2**30,
    )
    process.start(ready=("analyzer.ready", "rabbitmq.up", "commands.up"))
    return process


@pytest.fixture
def fibre_of(source, whole):
    """Make a fibre that is later than all before: fibre_of(data, **fields)."""
    return lambda data, **fields: source(data, t0_ns=next(TIMES_NS), site=whole.environment["FOCUS_SITE"], **fields)


async def play(publisher, fibre, first, end):
    for number in range(first, end):
        for group in range(group_count(fibre.channels)):
            await publisher.send(fibre.block(number, group))


async def begin(client, publisher, until, fibre, blocks):
    """Announce a fibre and play its first blocks, until they are the analyzer's newest."""
    await publisher.announce(fibre)
    await play(publisher, fibre, 0, blocks)
    await until(lambda: newest_sample(client, fibre, fibre.grid.first_sample(blocks)), "the feed is live")


async def newest_sample(client, fibre, sample):
    state = (await client.get("/status")).json()["feed"]
    age_s = state["newest_sample_age_s"]
    return age_s is not None and time.time() - age_s >= fibre.grid.time_ns(sample) / 1e9 - 1e-3


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


@pytest.mark.parametrize("name", [EXACT, pytest.param(FAR_FROM_ZERO, marks=pytest.mark.soak)])
async def test_every_row_of_every_nfft_agrees_with_scipy(whole, publisher, watch, oracle, until, fibre_of, body, name):
    data, fields = FIBRES[name]
    fibre = fibre_of(data(), **fields)
    async with whole.client() as client:
        await begin(client, publisher, until, fibre, 5)
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


async def test_damaged_messages_are_left_and_the_rest_goes_on(whole, publisher, watch, oracle, until, fibre_of, body):
    fibre = fibre_of((noise(4, 6000) * 3000).astype(np.int16))
    logged = len(whole.events())
    async with whole.client() as client:
        await begin(client, publisher, until, fibre, 20)
        answer = await create(client, body(channels=(2, 2), nfftSelection=256))
        rows = await watch(answer)
        key, headers, content = encode(fibre.block(20, 0))
        await publisher.send_raw(key, headers, b"\1" + content[1:])
        await publisher.send_raw(key, {**headers, "schema": 99}, content)
        await publisher.send_raw(f"metadata.{fibre.site}", {}, b"{}")
        await play(publisher, fibre, 20, 60)
        await rows.read_to((6000 - 256) // 128 - answer["metadata"]["grid"]["first_line"])
        assert oracle.deviation_db(rows.stack(), wanted_rows(oracle, fibre, answer, rows, (2, 2))) < 0.01
    causes = [event["cause"] for event in whole.events()[logged:] if event["event"] == "message.refused"]
    assert len(causes) == 3
    assert "crc32" in causes[0]


async def test_after_kill_9_jobs_go_on_as_commanded_on_the_same_ports_and_the_same_grid(
    whole, publisher, watch, oracle, until, fibre_of, body
):
    fibre = fibre_of((noise(70, 12_000) * 3000).astype(np.int16))
    wanted = body(channels=(70, 70), nfftSelection=256, lines_per_second=20)

    async def command(job, name, order):
        await publisher.send_raw(f"{job['job_id']}.{name}", {}, json.dumps(order).encode())

    async with whole.client() as client:
        await begin(client, publisher, until, fibre, 20)
        answer, commanded = await create(client, wanted), await create(client, body(channels=(1, 2)))
        before = await watch(answer)
        await command(commanded, "roi", {"start": 4, "end": 5})
        await command(commanded, "caxis", {"min": -60, "max": -20})
        await until(lambda: shown(client, commanded, {"caxis": CAXIS, "colormap": None}), "roi and caxis")
        await play(publisher, fibre, 20, 40)
        await before.read_to((4000 - 256) // 50 - answer["metadata"]["grid"]["first_line"])
    await check_alone(whole)
    whole.end(signal.SIGKILL)
    assert (await before.end())[0] is grpc.StatusCode.UNAVAILABLE
    assert whole.socket.exists()
    await play(publisher, fibre, 40, 80)
    await command(commanded, "colormap", {"colormap": "viridis"})
    whole.start()
    async with whole.client() as client:
        assert (await client.get(f"/jobs/{answer['job_id']}")).json() == answer
        after = await watch(answer, first=False)
        await publisher.announce(fibre)
        await until(lambda: newest_sample(client, fibre, 8000), "what waited in the queue is read")
        now = await until(lambda: shown(client, commanded, {"caxis": CAXIS, "colormap": "viridis"}), "all commands")
        other = await watch(now, first=False)
        reading = [asyncio.create_task(rows.read_to(0)) for rows in (after, other)]
        await until(lambda: viewers(client, 2), "both streams are open")
        await play(publisher, fibre, 80, 120)
        await asyncio.gather(*reading)
        last = (12_000 - 256) // 50 - answer["metadata"]["grid"]["first_line"]
        await after.read_to(last)
        assert after.order[0] > before.order[-1]
        assert after.order == list(range(after.order[0], last + 1))
        assert oracle.deviation_db(after.stack(), wanted_rows(oracle, fibre, answer, after, (70, 70))) < 0.01
        assert (other.messages[0].start_channel, other.messages[0].end_channel) == (4, 5)
        assert (await create(client, wanted))["job_id"] not in {answer["job_id"], commanded["job_id"]}


CAXIS = {"min": -60.0, "max": -20.0}


async def shown(client, job, display):
    """The answer of a job once it is of channels 4 and 5 and shown like this."""
    now = (await client.get(f"/jobs/{job['job_id']}")).json()
    return (now["channel_to_stream_index"], now["metadata"]["display"]) == ({"4": 0, "5": 0}, display) and now


async def check_alone(whole):
    """No second analyzer may use the folder."""
    state = whole.environment["FOCUS_STATE_DIR"]
    second = Analyzer(AnalyzerSettings.load(state_dir=state, analyzer_socket=whole.folder / "other.sock"))
    with pytest.raises(FocusError, match="Another analyzer uses the folder"):
        await second.run()
    assert whole.process.poll() is None


@pytest.mark.timed
async def test_sigterm_tells_viewers_and_keeps_the_jobs(analyzer, publisher, watch, until, source, body, unused_site):
    fibre = source(np.zeros((4, 4000), np.int16), site=unused_site)
    running = analyzer(site=unused_site)
    async with running.client() as client:
        await begin(client, publisher, until, fibre, 40)
        answer = await create(client, body())
        rows = await watch(answer)
    began = time.monotonic()
    assert running.end() == 0
    assert time.monotonic() - began < 3
    code, reason = await rows.end()
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "analyzer stops" in reason
    assert not running.socket.exists()
    (kept,) = JobStore(running.folder / "state" / "jobs").load(60)
    assert kept.answer.job_id == answer["job_id"]
