"""What commands do to jobs, without a broker: on disk, in /metadata, and told to those who ask for changed displays."""

import asyncio

import numpy as np
import pytest
from structlog.testing import capture_logs

from focus_server.analyzer.commands.command import read_command
from focus_server.analyzer.commands.orders import Orders
from focus_server.analyzer.store import JobStore
from focus_server.contract import ConfigureRequest, Refusal
from focus_server.errors import CommandError

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def fibre(source):
    return source(np.random.default_rng(8).normal(0, 2000, (5, 4000)).astype(np.int16))


@pytest.fixture
async def made(bench, fibre):
    return filled(await bench(windows=2), fibre)


def filled(bench_of_test, fibre):
    bench_of_test.announce(fibre)
    bench_of_test.give(*fibre.blocks())
    return bench_of_test


@pytest.fixture
def command(made):
    return commands_to(made)


def commands_to(made):
    orders = Orders(made.jobs, made.feed, 1.0)

    async def send(key, body=b"{}"):
        await orders.obey(read_command(key, body))

    return send


def display(made, answer):
    return made.jobs.get(answer["job_id"]).record.answer.metadata.display.model_dump()


async def test_caxis_and_colormap_are_in_metadata_each_keeping_the_other(made, command):
    answer = await made.create()
    assert answer["metadata"]["display"] == {"caxis": None, "colormap": None}
    await command("caxis", b'{"min": -60.5, "max": -20}')
    assert display(made, answer) == {"caxis": {"min": -60.5, "max": -20.0}, "colormap": None}
    await command("colormap", b'"viridis"')
    assert display(made, answer) == {"caxis": {"min": -60.5, "max": -20.0}, "colormap": "viridis"}
    with pytest.raises(CommandError, match="min must be below max"):
        await command("caxis", b'{"min": -20, "max": -20}')
    assert display(made, answer) == {"caxis": {"min": -60.5, "max": -20.0}, "colormap": "viridis"}


async def test_what_is_changed_is_on_disk(made, command, tmp_path):
    answer = await made.create(channels=(1, 2))
    await command("roi", b'{"start": 3, "end": 5}')
    await command("colormap", b'{"colormap": "jet"}')
    (record,) = JobStore(tmp_path / "jobs").load(60)
    assert record == made.jobs.get(answer["job_id"]).record
    assert (record.channels.min, record.channels.max, record.request.channels.max) == (3, 5, 2)
    assert record.answer.metadata.display.colormap == "jet"


async def test_a_job_that_ends_while_it_is_written_is_not_on_disk(made, command, tmp_path):
    answer = await made.create()
    changing = asyncio.create_task(command("colormap", b'"jet"'))
    await asyncio.sleep(0)
    made.jobs.cancel(answer["job_id"])
    await changing
    assert JobStore(tmp_path / "jobs").load(60) == []


async def test_who_asks_after_a_revision_gets_what_changed_since(made, command):
    first, second = await made.create(), await made.create(channels=(2, 2))
    begin = await made.jobs.displays(0, 5)
    assert begin.jobs == {}
    asking = asyncio.create_task(made.jobs.displays(begin.revision, 20))
    await asyncio.sleep(0)
    await command(f"{second['job_id']}.colormap", b'"jet"')
    news = await asking
    assert {job_id: shown.colormap for job_id, shown in news.jobs.items()} == {second["job_id"]: "jet"}
    await command(f"{first['job_id']}.colormap", b'"parula"')
    later = await made.jobs.displays(news.revision, 5)
    assert {job_id: shown.colormap for job_id, shown in later.jobs.items()} == {first["job_id"]: "parula"}
    assert set((await made.jobs.displays(0, 5)).jobs) == {first["job_id"], second["job_id"]}
    assert (await made.jobs.displays(later.revision, 0.01)).jobs == {}
    await command(f"{first['job_id']}.colormap", b'"parula"')  # no change, so no news
    await command(f"{first['job_id']}.roi", b'{"start": 2, "end": 2}')
    assert (await made.jobs.displays(0, 5)).revision == later.revision
    made.jobs.cancel(first["job_id"])
    assert set((await made.jobs.displays(0, 5)).jobs) == {second["job_id"]}


@pytest.mark.timed
async def test_keepalive_keeps_a_job_that_nobody_watches(bench, fibre, until):
    made = filled(await bench(job_unconnected_s=1), fibre)
    command = commands_to(made)
    kept, left = await made.create(), await made.create()
    before = made.jobs.get(kept["job_id"]).last_activity

    async def only_one_lives():
        await command(f"{kept['job_id']}.keepalive", b'{"source": "a test"}')
        return len(made.jobs) == 1

    await until(only_one_lives, "the other job expires")
    assert made.jobs.get(kept["job_id"]).last_activity > before
    with pytest.raises(Refusal):
        made.jobs.get(left["job_id"])
    await until(lambda: len(made.jobs) == 0, "the one that is not kept any more expires, too")


async def test_input_changed_forgets_the_description_until_the_next_announcement(made, command, fibre):
    answer = await made.create()
    with capture_logs() as logs:
        await command("input_changed", b'{"metadata": {"prr": 1000, "owner": "a secret"}}')
    assert logs == [
        {
            "event": "command.input_changed",
            "log_level": "info",
            "job": answer["job_id"],
            "metadata": ["prr", "owner"],
        }
    ]
    assert made.feed.announcement is None
    with pytest.raises(Refusal, match="waiting for fiber") as refused:
        await made.create()
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    assert len(made.jobs) == 1
    made.announce(fibre)
    await made.create()
    assert len(made.jobs) == 2


async def test_monitor_queues_logs_what_waits_for_viewers(made, command, until):
    answer = await made.create(nfftSelection=256, lines_per_second=20)
    job = made.jobs.get(answer["job_id"])
    with job.watched(0) as viewer:
        await until(lambda: viewer.waiting[0], "a row waits")
        with capture_logs() as logs:
            await command("monitor_queues", b"")
    (event,) = logs
    assert (event["event"], event["job"]) == ("command.monitor_queues", answer["job_id"])
    assert (event["viewers"], event["waiting_messages"], event["waiting_bytes"]) == (1, 1, 4 * 129)
    assert event["dropped_lines"] == 0


async def test_a_key_without_job_is_obeyed_only_while_one_job_lives(made, command):
    async def reason(key):
        with pytest.raises(CommandError) as refused:
            await command(key, b'"jet"')
        return refused.value.reason

    assert await reason("colormap") == "ambiguous"
    first = await made.create()
    await command("colormap", b'"jet"')
    second = await made.create()
    assert await reason("colormap") == "ambiguous"
    assert await reason("9-99.colormap") == "unknown-job"
    made.jobs.cancel(first["job_id"])
    assert await reason(f"{first['job_id']}.colormap") == "unknown-job"
    await command("colormap", b'"parula"')
    assert display(made, second)["colormap"] == "parula"


async def test_a_viewer_has_as_many_jobs_as_there_are_windows(made):
    async def create(viewer, key=None):
        return await made.maker.create(made_request(), key, None, viewer)

    mine = [await create("me", "one"), await create("me")]
    with pytest.raises(Refusal, match="This viewer has 2 jobs") as refused:
        await create("me")
    assert refused.value.status == 429
    assert await create("me", "one") == mine[0]
    await create("you")
    await create(None)
    assert len(made.jobs) == 4
    made.jobs.cancel(mine[1].job_id)
    await create("me")
    assert len(made.jobs) == 4


def made_request():
    return ConfigureRequest.read({"view_type": 1, "channels": {"min": 1, "max": 1}, "displayInfo": {"height": 100}})
