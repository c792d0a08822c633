"""What the analyzer counts: jobs made and ended, lines of live and recorded streams, blocks, ages, processor time."""

import asyncio
import dataclasses
import threading
import time

import numpy as np
import pytest
import structlog
from structlog.contextvars import bound_contextvars

from focus_server.analyzer.threads import TimedThreads

pytestmark = pytest.mark.anyio

FS, BLOCK = 1000, 100


@pytest.fixture(scope="module")
def fibre(source):
    return source(np.random.default_rng(5).normal(0, 2000, (4, 8000)).astype(np.int16))


def figures(bench, wall_ns=0):
    """All figures, those of modes by mode and the jobs by mode and state."""
    found = bench.jobs.tally.figures(bench.jobs.states(), bench.feed, wall_ns)
    return found, {it.mode: it for it in found.modes}, {(it.mode, it.state): it.jobs for it in found.jobs}


async def test_before_anything_came_there_is_nothing(bench):
    found, modes, jobs = figures(await bench())
    assert (jobs, set(found.jobs_ended.values()), set(found.blocks.values())) == ({}, {0}, {0})
    assert (found.feed_age_s, found.ring_age_s, found.given_up_samples) == (None, None, 0)
    for it in modes.values():
        assert it.model_dump(exclude={"mode"}) == dict.fromkeys(it.model_dump(exclude={"mode"}), 0)


async def test_live_lines_jobs_blocks_and_ages_are_counted(bench, fibre, watch, until):
    made = await bench(ring_samples=4096)
    made.announce(fibre)
    made.give(*(fibre.block(number, 0) for number in range(20)))
    first = await made.create(channels=(1, 4), view=0, nfftSelection=128, lines_per_second=20)
    second = await made.create(nfftSelection=128, lines_per_second=20)
    rows = [await watch(first, stream) for stream in range(3)]
    made.give(*(fibre.block(number, 0) for number in (*range(20, 60), 59, 0)))
    end = (60 * BLOCK - 128) // 50 - first["metadata"]["grid"]["first_line"]
    for stream in rows:
        await stream.read_to(end)
    stranger = dataclasses.replace(fibre.block(60, 0), t0_ns=1)
    made.give(stranger)
    found, modes, jobs = figures(made, fibre.t0_ns + 61 * BLOCK * 10**9 // FS)
    assert jobs == {("live", "live"): 1, ("live", "ready"): 1}
    live = modes["live"]
    assert (live.jobs_made, live.streams, live.viewers) == (2, 4, 3)
    assert live.lines_made == sum(len(stream.order) for stream in rows)
    assert found.blocks == {"taken": 60, "duplicate": 2, "too late": 0, "foreign": 1}
    assert found.feed_age_s == pytest.approx(0.1)
    assert found.ring_age_s == pytest.approx(0.1 + 4.096)
    made.jobs.tally.threads("live", made.engine.worker)
    assert 0 < figures(made)[1]["live"].compute_s < 60
    made.jobs.cancel(first["job_id"])
    found, modes, jobs = figures(made)
    assert (found.jobs_ended["cancelled"], jobs) == (1, {("live", "ready"): 1})
    assert (modes["live"].lines_made, modes["live"].jobs_made, modes["live"].streams) == (live.lines_made, 2, 1)
    assert second["job_id"] in [job.id for job in made.jobs.living()]


async def test_missing_and_given_up_samples_are_counted(bench, fibre, watch):
    made = await bench(give_up_s=0.05)
    made.announce(fibre)
    made.give(*(fibre.block(number, 0) for number in range(10)))
    answer = await made.create(nfftSelection=128, lines_per_second=10)
    rows = await watch(answer)
    made.give(*(fibre.block(number, 0) for number in range(15, 30)))
    await rows.read_to((30 * BLOCK - 128) // 100 - answer["metadata"]["grid"]["first_line"])
    missing = rows.order[-1] + 1 - len(rows.order)
    found, modes, _ = figures(made)
    assert missing > 0
    assert (modes["live"].missing_lines, modes["live"].lines_made) == (missing, len(rows.order))
    assert found.given_up_samples == 5 * BLOCK


async def test_why_jobs_ended_is_counted(bench, fibre, source, until):
    made = await bench(job_unconnected_s=0.05)
    made.announce(fibre)
    made.give(*(fibre.block(number, 0) for number in range(20)))
    await made.create(nfftSelection=128)
    await until(lambda: len(made.jobs) == 0, "the job expired")
    assert figures(made)[0].jobs_ended["expired"] == 1
    await made.create(nfftSelection=128)
    made.announce(source(fibre.data, t0_ns=fibre.t0_ns + 10**9))
    found, modes, _ = figures(made)
    assert found.jobs_ended["expired"] + found.jobs_ended["other fibre"] == 2
    assert modes["live"].jobs_made == 2


async def test_recorded_lines_are_counted_apart(bench, archive, source, watch):
    recordings = archive.write(
        source(np.random.default_rng(6).normal(0, 9, (3, 4000)).astype(np.float32)), recording_s=2
    )
    made = await bench()
    made.jobs.tally.threads("historic", made.maker.history)
    answer = await made.play(recordings, 0, 4, nfftSelection=256)
    rows = await watch(answer, first=False)
    await rows.end()
    _, modes, jobs = figures(made)
    assert (jobs, modes["historic"].lines_made) == ({("historic", "finished"): 1}, answer["metadata"]["lines"])
    assert len(rows.order) == answer["metadata"]["lines"]
    assert (modes["historic"].missing_lines, modes["historic"].dropped_lines, modes["live"].lines_made) == (0, 0, 0)
    assert 0 < modes["historic"].compute_s < 60
    await (await watch(answer, first=False)).end()
    assert figures(made)[1]["historic"].lines_made == 2 * len(rows.order)


def test_threads_count_their_work_and_carry_the_job_of_who_asks():
    def work():
        until_s = time.thread_time() + 0.02
        while time.thread_time() < until_s:
            pass
        return threading.current_thread().name, structlog.contextvars.get_contextvars()

    with TimedThreads(2, "busy") as threads:
        with bound_contextvars(job="0-1"):
            asked = [threads.submit(work) for _ in range(4)]
        names, contexts = zip(*(future.result(20) for future in asked), strict=True)
        plain = threads.submit(work).result(20)[1]
        with pytest.raises(ZeroDivisionError):
            threads.submit(lambda: 1 / 0).result(20)
    assert all(name.startswith("busy") for name in names)
    assert contexts == ({"job": "0-1"},) * 4
    assert plain == {}
    assert 0.1 <= threads.busy_s < 1


async def test_an_asynchronous_caller_is_named_in_the_thread_too():
    with TimedThreads(1, "named") as threads, bound_contextvars(job="7-7"):
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(threads, structlog.contextvars.get_contextvars) == {"job": "7-7"}
