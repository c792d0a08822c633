"""Historic requests and the catalogue behind them: a real MongoDB, which is killed, hung and started again."""

import asyncio
import contextlib
import gc
import json
import time
import warnings

import pymongo
import pytest

from focus_server.api import create_app
from focus_server.recordings.address import MongoAddress
from focus_server.recordings.catalogue import Catalogue
from focus_server.recordings.entry import RecordingEntry, recording_uuid
from focus_server.settings import ServeSettings
from fullspan.testing import running_mongodb

from .conftest import client, serving

pytestmark = [pytest.mark.anyio, pytest.mark.timed]

S = 1_000_000_000
T0_S = 1_700_000_000
BODY = {"view_type": 1, "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 100}}
HISTORIC = {**BODY, "start_time": T0_S + 5, "end_time": T0_S + 15}
EVER = {"start_time": 0, "end_time": 2_000_000_000}
LONGEST_S = 2.0
AT_ONCE_S = 1.0  # what waited for MongoDB would come after 1.2 s
BACK_S = 60


def entry(slot, site="local", t0_ns=T0_S * S, **changes):
    fields = {
        "uuid": recording_uuid(site, (t0_ns, 1000, 1, 70, "int16", "1"), slot),
        "base_path": "/data/recordings",
        "path": f"{site}/x/{slot}.h5",
        "start_ns": t0_ns + slot * 10 * S,
        "end_ns": t0_ns + (slot + 1) * 10 * S,
        "site": site,
        "channels": 70,
        "dx": 2.0,
        "units": "1/s",
        "dtype": "int16",
        "scale": "1",
        "samples": 10_000,
        "t0_ns": t0_ns,
        "fs_num": 1000,
        "fs_den": 1,
        "first_sample": slot * 10_000,
    }
    return RecordingEntry.model_validate({**fields, **changes})


@pytest.fixture(scope="module")
def server(folder):
    with running_mongodb(folder / "mongodb") as running:
        yield running


@pytest.fixture
async def catalogue(server):
    """A catalogue with slots 0, 1 and 3 of a fibre."""
    with contextlib.closing(pymongo.MongoClient(server.url, timeoutMS=5000)) as made:
        for name in made.get_default_database().list_collection_names():
            made.get_default_database().drop_collection(name)
    async with Catalogue(MongoAddress(server.url), answer_s=10) as opened:
        for slot in (0, 1, 3):
            await opened.finished(entry(slot))
        yield opened


@pytest.fixture
def mongo(server):
    """The server for a test that kills or hangs it, and starts or resumes it again."""
    yield server
    with warnings.catch_warnings():  # the driver leaves a socket behind when it is closed while it connects
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
async def address(anyio_backend, folder, server):
    app = create_app(ServeSettings(analyzer_socket=folder / "analyzer.sock", mongo_url=server.url))
    async with serving(app, host="127.0.0.1", port=0, timeout_keep_alive=75) as served:
        yield "{}:{}".format(*served.servers[0].sockets[0].getsockname())


@pytest.fixture
async def http(address):
    async with client(address, timeout=60) as made:
        yield made


async def until(condition):
    async with asyncio.timeout(BACK_S):
        while not (found := await condition()):  # noqa: ASYNC110 - it happens in other processes
            await asyncio.sleep(0.05)
        return found


async def mongodb_is(http, state):
    async def look():
        health = await http.get("/health")
        return health if health.json()["dependencies"]["mongodb"]["state"] == state else None

    return await until(look)


def is_down(response):
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    document = response.json()
    assert (set(document), document["detail"]) == ({"error", "detail"}, "MongoDB")
    assert document["error"].startswith("No recordings can be looked up now, live views work: MongoDB ")
    assert response.elapsed.total_seconds() < LONGEST_S
    assert "mongodb://" not in response.text
    assert "127.0.0.1" not in response.text


@pytest.mark.parametrize("prefix", ["", "/focus-server"])
async def test_a_historic_job_is_made_of_the_recordings_that_overlap(catalogue, analyzer, http, prefix):
    made = await http.post(f"{prefix}/configure", json={**HISTORIC, "playrate": 2}, headers={"Idempotency-Key": "k"})
    assert (made.status_code, made.json()["job_id"]) == (200, "0-1")
    [(call, body)] = analyzer.calls
    assert call == "POST /history"
    sent = json.loads(body)
    assert sent["request"] == {**HISTORIC, "playrate": 2.0}
    assert [RecordingEntry.model_validate(it) for it in sent["recordings"]] == [entry(0), entry(1)]


async def test_the_older_form_plays_recordings_too(catalogue, analyzer, http):
    task = {"canvasInfo": {"height": 9}, "sensors": {"min": 6, "max": 7}}
    task |= {"start_time": "231114221325", "end_time": "231114221335"}
    made = await http.post("/config/played", json=task)
    assert (made.status_code, made.json()) == (200, {"status": "success", "task_id": "played"})
    [(call, body)] = analyzer.calls
    sent = json.loads(body)
    assert (call, [it["first_sample"] for it in sent["recordings"]]) == ("POST /history", [0, 10_000])
    times = {"start_time": T0_S + 5.0, "end_time": T0_S + 15.0}
    assert sent["request"] == {
        "view_type": 0,
        "channels": {"min": 7, "max": 8},
        "displayInfo": {"height": 9},
        **times,
    }
    none = await http.post("/config/played", json={**task, "start_time": "231114221400", "end_time": "231114221401"})
    assert (none.status_code, none.json()["error"]) == (404, "No recording found in given time range")


async def test_nothing_recorded_is_a_404_and_makes_nothing(catalogue, analyzer, http):
    for start, end in ((20, 30), (-10, 0), (40, 50)):
        body = {**BODY, "start_time": T0_S + start, "end_time": T0_S + end}
        response = await http.post("/configure", json=body)
        assert (response.status_code, response.json()["error"]) == (404, "No recording found in given time range")
    await catalogue.deleted(entry(3).file().parents[2], [entry(3).uuid])
    body = {**BODY, "start_time": T0_S + 30, "end_time": T0_S + 40}
    assert (await http.post("/configure", json=body)).status_code == 404
    assert analyzer.calls == []


async def test_a_wrong_request_is_refused_before_anybody_is_asked(catalogue, analyzer, http):
    for change, status in ({"nfftSelection": 1000}, 400), ({"start_time": {"$gt": ""}}, 422), ({"end_time": None}, 400):
        assert (await http.post("/configure", json={**HISTORIC, **change})).status_code == status
    assert analyzer.calls == []


@pytest.mark.parametrize("prefix", ["", "/focus-server"])
async def test_ranges_come_in_the_unit_of_the_request(catalogue, http, prefix):
    expected = [(T0_S, T0_S + 20), (T0_S + 30, T0_S + 40)]
    seconds = await http.post(f"{prefix}/recordings_in_time_range", json=EVER)
    assert (seconds.status_code, seconds.json()) == (200, [list(it) for it in expected])
    in_ms = {name: value * 1000 for name, value in EVER.items()}
    ms = await http.post(f"{prefix}/recordings_in_time_range", json={**in_ms, "more": 1})
    assert ms.json() == [[start * 1000, end * 1000] for start, end in expected]
    assert all(isinstance(at, int) for pair in ms.json() for at in pair)
    part = await http.post(
        f"{prefix}/recordings_in_time_range", json={"start_time": T0_S + 19.5, "end_time": T0_S + 30}
    )
    assert part.json() == [[T0_S + 10, T0_S + 20]]
    none = await http.post(f"{prefix}/recordings_in_time_range", json={"start_time": 1, "end_time": 2})
    assert none.json() == []


async def test_a_running_recording_ends_now(catalogue, http):
    begun_s = int(time.time()) - 7
    await catalogue.begun(entry(0, t0_ns=begun_s * S, end_ns=None, path=None))
    response = await http.post("/recordings_in_time_range", json={"start_time": begun_s - 1, "end_time": begun_s + 1})
    [[start, end]] = response.json()
    assert start == begun_s
    assert 7 <= end - start < 7 + BACK_S


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        ({}, 422, "start_time is missing"),
        ({"start_time": {"$gt": ""}, "end_time": 5}, 422, "start_time must be a finite number"),
        ({"start_time": 1, "end_time": {"$ne": None}}, 422, "end_time must be a finite number"),
        ({"start_time": [1], "end_time": 5}, 422, "start_time"),
        ({"start_time": "1", "end_time": 5}, 422, "start_time"),
        ({"start_time": True, "end_time": 5}, 422, "start_time"),
        ({"start_time": None, "end_time": 5}, 422, "start_time"),
        ({"start_time": 10**400, "end_time": 5}, 422, "start_time"),
        ({"start_time": 5, "end_time": 5}, 400, "after start_time"),
        ({"start_time": 6, "end_time": 5}, 400, "after start_time"),
        ({"start_time": -1, "end_time": 5}, 400, "not be negative"),
        ({"start_time": 1, "end_time": 1e300}, 400, "year 10000"),
    ],
)
async def test_a_range_that_is_none_is_refused(http, document, status, words):
    content = json.dumps(document).encode()
    response = await http.post(
        "/recordings_in_time_range", content=content, headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, set(response.json())) == (status, {"error", "detail"})
    assert words in response.json()["error"]


async def test_health_knows_the_catalogue(catalogue, analyzer, http):
    health = await mongodb_is(http, "up")
    assert (health.status_code, health.json()["status"]) == (200, "healthy")


async def test_many_at_once(catalogue, analyzer, http):
    asked = {"start_time": T0_S, "end_time": T0_S + 100}
    calls = [http.post("/recordings_in_time_range", json=asked) for _ in range(20)]
    calls += [http.post("/configure", json=HISTORIC) for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers[:20]}) == 1


async def outage(http, analyzer):
    """What holds while MongoDB is away, however it is."""
    calls = [http.post("/configure", json=HISTORIC) for _ in range(8)]
    calls += [http.post("/recordings_in_time_range", json=EVER) for _ in range(8)]
    calls.append(http.get("/get_recordings_timeline"))
    for response in await asyncio.gather(*calls):
        is_down(response)
    assert analyzer.calls == []

    health = await mongodb_is(http, "down")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["error"] == "Historic views do not work now: mongodb is down."
    assert health.json()["detail"].startswith("MongoDB ")
    assert health.elapsed.total_seconds() < AT_ONCE_S

    waiting = [asyncio.create_task(http.post("/configure", json=HISTORIC)) for _ in range(8)]
    live = await http.post("/configure", json=BODY)
    assert (live.status_code, live.elapsed.total_seconds() < AT_ONCE_S) == (200, True)
    assert not any(task.done() for task in waiting), "live did not wait for historic requests"
    for response in await asyncio.gather(*waiting):
        is_down(response)


async def back(http, analyzer):
    async def works():
        response = await http.post("/configure", json=HISTORIC)
        return response if response.status_code == 200 else None

    assert (await until(works)).json()["job_id"] == "0-1"
    assert (await mongodb_is(http, "up")).json()["status"] == "healthy"
    assert len((await http.post("/recordings_in_time_range", json=EVER)).json()) == 2


async def test_a_killed_mongodb_stops_nothing_but_history(mongo, catalogue, analyzer, http):
    mongo.kill()
    try:
        await outage(http, analyzer)
    finally:
        mongo.start()
    await back(http, analyzer)


async def test_a_hung_mongodb_stops_nothing_but_history(mongo, catalogue, analyzer, http):
    mongo.hang()
    try:
        await outage(http, analyzer)
    finally:
        mongo.resume()
    await back(http, analyzer)


async def test_a_server_begins_and_ends_while_mongodb_hangs(mongo, folder, analyzer):
    app = create_app(ServeSettings(analyzer_socket=folder / "analyzer.sock", mongo_url=mongo.url))
    mongo.hang()
    try:
        async with contextlib.AsyncExitStack() as stack:
            begin = time.monotonic()
            served = await stack.enter_async_context(serving(app, host="127.0.0.1", port=0))
            async with client("{}:{}".format(*served.servers[0].sockets[0].getsockname())) as http:
                assert (await http.get("/ack")).status_code == 200
                assert (await http.post("/configure", json=BODY)).status_code == 200
            assert time.monotonic() - begin < LONGEST_S
            begin = time.monotonic()
        assert time.monotonic() - begin < LONGEST_S
    finally:
        mongo.resume()


@pytest.mark.parametrize("prefix", ["", "/focus-server"])
async def test_the_timeline_is_drawn(catalogue, http, prefix):
    begun_s = int(time.time()) - 100
    for slot in (0, 1):
        await catalogue.finished(entry(slot, site='<script>"&', t0_ns=begun_s * S))
    recent = await http.get(f"{prefix}/get_recordings_timeline")
    assert (recent.status_code, recent.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert recent.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert recent.text.count('class="bar"') == 1
    assert "1 range, 20.0 s in all" in recent.text
    assert "<script" not in recent.text

    asked = {"start_time": T0_S * 1000, "end_time": (T0_S + 40) * 1000}
    page = await http.get(f"{prefix}/get_recordings_timeline", params=asked)
    assert page.text.count('class="bar"') == 2
    assert "2 ranges, 30.0 s in all" in page.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("start_time=5", 422),
        ("start_time=5&end_time=4", 400),
        ("start_time=nan&end_time=inf", 422),
        ("start_time[$gt]=&end_time=5", 422),
        ("start_time=<script>&end_time=5", 422),
    ],
)
async def test_a_range_that_is_none_is_not_drawn(http, query, status):
    response = await http.get(f"/get_recordings_timeline?{query}")
    assert (response.status_code, set(response.json())) == (status, {"error", "detail"})
    assert "script" not in response.text
