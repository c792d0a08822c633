"""Jobs that are kept by a task's key, and the spacing of their lines, on a fibre and on recordings."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from focus_server.analyzer.cost import Load, cores
from focus_server.analyzer.grid import LineGrid
from focus_server.contract import TASK_KEY, Refusal

pytestmark = pytest.mark.anyio

KEY = TASK_KEY + "mine"
FS = Fraction(1999976, 1000)


async def made(bench, source, **settings):
    bench = await bench(**settings)
    fibre = source((np.random.default_rng(6).standard_normal((3, 12_000)) * 500).astype(np.int16), fs=FS)
    bench.announce(fibre)
    bench.give(*itertools.islice(fibre.blocks(), 30))
    return bench


def living(bench):
    return [job.id for job in bench.jobs.living()]


async def test_a_task_has_one_job_and_another_request_replaces_it(bench, source):
    bench = await made(bench, source)
    other = await bench.create(key="task")
    first = await bench.create(key=KEY)
    assert await bench.create(key=KEY) == first
    second = await bench.create(key=KEY, nfftSelection=256)
    assert second["job_id"] != first["job_id"]
    assert living(bench) == [other["job_id"], second["job_id"]]
    assert [job.job_id for job in bench.jobs.summaries(KEY)] == [second["job_id"]]
    assert bench.jobs.summaries("none") == []
    with pytest.raises(Refusal, match="another request"):
        await bench.create(key="task", nfftSelection=256)
    assert sorted(record.answer.job_id for record in bench.store.load(60)) == [other["job_id"], second["job_id"]]


async def test_a_task_keeps_its_job_when_the_new_request_is_refused(bench, source):
    bench = await made(bench, source)
    first = await bench.create(key=KEY)
    with pytest.raises(Refusal, match="fibre's channels"):
        await bench.create(key=KEY, channels=(1, 4))
    assert living(bench) == [first["job_id"]]
    assert await bench.create(key=KEY) == first


async def test_a_job_that_is_replaced_takes_no_place_and_costs_nothing(bench, source):
    cost = cores([Load(LineGrid(1024, 100), 1, 1)], float(FS))
    bench = await made(bench, source, max_jobs=1, compute_cores=0.6 * cost)
    first = await bench.create(key=KEY, lines_per_second=20)
    assert first["metadata"]["lowered"] is not None
    second = await bench.create(key=KEY, lines_per_second=21)
    assert second["lines_dt"] == first["lines_dt"]
    with pytest.raises(Refusal, match="jobs that may live"):
        await bench.create()


async def test_a_task_that_an_earlier_process_was_replacing_has_its_newest_job(bench, source):
    bench = await made(bench, source)
    first = await bench.create(key=KEY)
    [left_over] = bench.store.load(60)
    second = await bench.create(key=KEY, nfftSelection=256)
    bench.store.save(left_over)  # as if it had ended between the two
    server_of = {job.id: job for job in bench.jobs.living()}
    assert set(server_of) == {second["job_id"]}
    await bench.jobs.close()
    assert await bench.maker.reopen() == 2
    assert living(bench) == [first["job_id"], second["job_id"]]
    assert await bench.create(key=KEY, nfftSelection=256) == second
    third = await bench.create(key=KEY, nfftSelection=512)
    assert living(bench) == [third["job_id"]]


@pytest.mark.parametrize(
    ("fields", "hop"),
    [
        ({"displayTimeAxisDuration": 7, "displayInfo": {"height": 30}}, round(7 * FS / 30)),
        ({"displayInfo": {"height": 100}}, 200),
        ({"displayTimeAxisDuration": 0.001, "displayInfo": {"height": 3}}, 1),
        ({"displayTimeAxisDuration": 7, "lines_per_second": 20}, 100),
        ({"displayTimeAxisDuration": 7, "overlap": 0.5}, 512),
        ({"view": 2}, 100),
    ],
)
async def test_lines_are_spaced_by_the_display_when_the_setting_says_so(bench, source, fields, hop):
    bench = await made(bench, source, line_spacing="display", compute_cores=1000)
    answer = await bench.create(**fields)
    assert (answer["metadata"]["grid"]["hop"], answer["lines_dt"]) == (hop, float(hop / FS))


async def test_recorded_lines_are_spaced_so_too(bench, source, archive):
    bench = await bench(line_spacing="display")
    recordings = archive.write(source(np.ones((3, 10_000), np.int16)))
    few = {"displayTimeAxisDuration": 5, "displayInfo": {"height": 50}}
    answer = await bench.play(recordings, 0, 10, **few)
    assert answer["metadata"]["grid"]["hop"] == 100
    many = {"displayTimeAxisDuration": 2, "displayInfo": {"height": 200}}
    answer = await bench.play(recordings, 0, 10, **many)
    assert answer["metadata"]["grid"]["hop"] == 50  # 10 ms apart more than 4 * 200 would come
