"""What MongoDB is told about jobs, by a real server that is killed and hung meanwhile."""

import asyncio
import contextlib
import gc
import itertools
import time
import warnings
from datetime import UTC, datetime

import numpy as np
import pymongo
import pytest

from focus_server.analyzer.journal import Journal
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue
from fullspan.testing import running_mongodb

pytestmark = pytest.mark.anyio

AT_ONCE_S = 1.0  # an answer that waited for MongoDB would come after 1.2 s


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_mongodb(tmp_path_factory.mktemp("mongodb")) as running:
        yield running


@pytest.fixture
def written(server, until):
    """Wait until MongoDB has this of a job: await written(job_id, state="ready"); gives the document."""
    with contextlib.closing(pymongo.MongoClient(server.url, timeoutMS=5000, tz_aware=True)) as client:
        jobs = client.get_default_database().jobs
        jobs.delete_many({})

        async def wait(job_id, **fields):
            return await until(lambda: jobs.find_one({"job_id": job_id, **fields}, {"_id": 0}), f"{job_id}: {fields}")

        yield wait


@pytest.fixture
def outage(server, written):
    """The server, which the test makes go away and come back."""
    yield server
    with warnings.catch_warnings():  # the driver leaves a socket behind when it is closed while it connects
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
async def journal(server, written):
    return Journal(Catalogue(MongoAddress(server.url)))


async def started(bench, source, journal):
    """A bench with a fibre of 3 channels."""
    made = await bench(journal=journal)
    fibre = source(np.zeros((3, 20_000), np.int16))
    made.announce(fibre)
    made.give(*itertools.islice(fibre.blocks(), 30))
    return made


@contextlib.asynccontextmanager
async def noting(journal, made):
    running = asyncio.create_task(journal.run(made.jobs.states))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait({running})


@pytest.fixture
async def live(bench, journal, source):
    """A started bench whose journal runs."""
    made = await started(bench, source, journal)
    async with noting(journal, made):
        yield made


async def timed(call):
    begin = time.monotonic()
    result = await call
    return time.monotonic() - begin, result


async def test_the_life_of_a_job(live, written, watch):
    answer = await live.create(channels=(1, 2), nfftSelection=256, displayInfo={"height": 2**31 - 1})
    job_id = answer["job_id"]
    ready = await written(job_id, state="ready")
    now = datetime.now(UTC)
    assert ready["request"] == {
        "view_type": 1,
        "channels": {"min": 1, "max": 2},
        "displayInfo": {"height": 2**31 - 1},
        "nfftSelection": 256,
    }
    assert (ready["mode"], ready["view_type"], ready["nfft"], ready["serial"]) == ("live", 1, 256, 1)
    assert (ready["stream_port"], ready["lines_dt"]) == (answer["stream_port"], answer["lines_dt"])
    assert (ready["channels"], ready["recording_ids"]) == ({"min": 1, "max": 2}, [])
    assert (ready["ended"], ready["reason"], ready["viewers"]) == (None, None, 0)
    assert all(abs((ready[name] - now).total_seconds()) < 20 for name in ("created", "updated", "last_activity"))

    await watch(answer)
    assert (await written(job_id, state="live"))["viewers"] == 1
    live.jobs.cancel(job_id)
    ended = await written(job_id, state="ended")
    assert (ended["reason"], ended["created"]) == (f"Job {job_id} was removed.", ready["created"])
    assert ended["ended"] >= ended["created"]


async def test_a_job_shorter_than_a_look_is_written(live, written):
    answer = await live.create()
    live.jobs.cancel(answer["job_id"])
    await written(answer["job_id"], state="ended")


@pytest.mark.parametrize(("away", "again"), [pytest.param("kill", "start", marks=pytest.mark.soak), ("hang", "resume")])
async def test_an_outage_delays_the_document_and_nothing_else(
    outage, live, journal, written, watch, until, away, again
):
    before = await live.create()
    await written(before["job_id"], state="ready")
    getattr(outage, away)()
    try:
        await watch(before)
        live.jobs.cancel(before["job_id"])
        made = [await timed(live.create(channels=(2, 2))) for _ in range(3)]
        assert min(took_s for took_s, _ in made) < AT_ONCE_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.5):  # longer than one attempt
                while len(journal) == 4:  # noqa: ASYNC110 - what must not happen has no event
                    await asyncio.sleep(0.01)
        assert len(journal) == 4
        during = made[0][1]
        await watch(during)
    finally:
        getattr(outage, again)()
    assert (await written(before["job_id"], state="ended"))["ended"] is not None
    assert (await written(during["job_id"], state="live"))["channels"] == {"min": 2, "max": 2}
    for _, other in made[1:]:
        await written(other["job_id"], state="ready")
    await until(lambda: len(journal) == 0, "nothing waits any more")


async def test_only_so_many_jobs_wait(bench, source, server, written):
    journal = Journal(Catalogue(MongoAddress(server.url)), longest=3)
    made = await started(bench, source, journal)
    answers = [await made.create() for _ in range(5)]
    assert (len(journal), journal.given_up) == (3, 2)
    for _ in range(10):
        made.jobs.cancel((await made.create())["job_id"])
    assert (len(journal), journal.given_up) == (3, 12)
    async with noting(journal, made):
        for answer in answers:  # those that live are written in the end
            await written(answer["job_id"], state="ready")


async def test_what_waits_is_written_at_the_end(bench, source, journal, written):
    made = await started(bench, source, journal)
    answer = await made.create()
    async with noting(journal, made):
        await written(answer["job_id"], state="ready")
        made.jobs.cancel(answer["job_id"])
        assert len(journal) == 1
    await written(answer["job_id"], state="ended")


async def test_without_a_catalogue_nothing_is_kept(bench, source):
    journal = Journal(None)
    made = await started(bench, source, journal)
    await made.create()
    assert len(journal) == 0
    await journal.run(made.jobs.states)


@pytest.mark.timed
async def test_an_analyzer_whose_mongodb_is_away_plays_all_the_same(
    analyzer_process, archive, source, outage, written, body, until
):
    fibre = source(np.ones((3, 5000), np.int16))
    recordings = archive.write(fibre)
    outage.hang()
    try:
        running = analyzer_process("amqp://guest:guest@127.0.0.1:1/", mongo_url=outage.url)
        running.start(ready=("analyzer.ready",))
        start_s = recordings[0].start_ns / 1e9
        order = {
            "request": body(start_time=start_s, end_time=start_s + 4, nfftSelection=256),
            "recordings": [entry.model_dump(mode="json") for entry in recordings],
        }
        async with running.client() as client:
            response = await client.post("/history", json=order)
            assert (response.status_code, response.elapsed.total_seconds() < 2) == (200, True)
            job_id = response.json()["job_id"]
    finally:
        outage.resume()
    document = await written(job_id, mode="historic")
    assert document["recording_ids"] == response.json()["metadata"]["recording_ids"] != []
    outage.hang()
    try:
        begin = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - begin < 3
    finally:
        outage.resume()
    log = running.log.read_text()
    assert "journal.failed" not in log
    assert outage.url.partition("@")[0].rpartition(":")[2] not in log
