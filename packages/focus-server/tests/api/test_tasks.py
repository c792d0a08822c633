"""The older form, with a played analyzer behind it: what is asked of it, and which names a job goes by."""

import json

import anyio
import pytest
from starlette.responses import JSONResponse

from focus_server.proto import DataStream

pytestmark = pytest.mark.anyio

WAIT_S = 60

BODY = {
    "canvasInfo": {"height": 200},
    "sensors": {"min": 6, "max": 6},
    "nfftSelection": 256,
    "displayTimeAxisDuration": 5,
}


@pytest.fixture
def tasks(analyzer):
    """The keys of the analyzer's jobs, as its list of jobs knows them: key to job_ids."""
    known = {}

    def listed(request):
        job = {"view_type": 0, "mode": "live", "state": "ready", "channels": {"min": 7, "max": 7}, "nfft": 256}
        job |= {"viewers": 0, "created": "2026-01-01T00:00:00Z", "last_activity": "2026-01-01T00:00:00Z"}
        found = known.get(request.query_params["key"], [])
        return JSONResponse({"jobs": [job | {"job_id": job_id} for job_id in found if job_id in analyzer.jobs]})

    analyzer.answers["GET /jobs"] = listed
    return known


@pytest.mark.parametrize("prefix", ["", "/focus-server"])
async def test_a_task_becomes_a_job_with_its_key(analyzer, http, prefix):
    keys = []
    analyzer.answers["POST /jobs"] = lambda request: keys.append(request.headers.get("Idempotency-Key"))
    task_id = "a_B-9" + "x" * 251
    response = await http.post(f"{prefix}/config/{task_id}", json=BODY)
    assert (response.status_code, response.json()) == (200, {"status": "success", "task_id": task_id})
    assert keys == [f"task:{task_id}"]
    assert json.loads(dict(analyzer.calls)["POST /jobs"]) == {
        "view_type": 0,
        "channels": {"min": 7, "max": 7},
        "displayInfo": {"height": 200},
        "displayTimeAxisDuration": 5.0,
        "nfftSelection": 256,
    }


@pytest.mark.parametrize(
    ("task_id", "change", "status", "words"),
    [
        ("x" * 257, {}, 400, "task_id"),
        ("a.b", {}, 400, "task_id"),
        ("a%20b", {}, 400, "task_id"),
        ("t", {"canvasInfo": {}}, 422, "canvasInfo.height is missing"),
        ("t", {"canvasInfo": {"height": 0}}, 400, "canvasInfo.height must be positive"),
        ("t", {"nfftSelection": 1000}, 400, "power of 2"),
        ("t", {"displayTimeAxisDuration": 0}, 400, "displayTimeAxisDuration"),
        ("t", {"frequencyRange": {"min": 5, "max": 5.5}}, 400, "frequencyRange"),
        ("t", {"start_time": "250101000000"}, 400, "end_time is missing"),
        ("t", {"start_time": "250101000000", "end_time": "250101000000"}, 400, "after start_time"),
        ("t", {"start_time": "250101000000", "end_time": "990101000000"}, 400, "future"),
        ("t", {"start_time": "250101000000", "end_time": "250101000010"}, 503, "MongoDB"),
    ],
)
async def test_a_refused_task_makes_nothing(analyzer, http, task_id, change, status, words):
    response = await http.post(f"/config/{task_id}", json={**BODY, **change})
    assert (response.status_code, set(response.json())) == (status, {"error", "detail"})
    assert words in response.json()["error"]
    assert [call for call, _ in analyzer.calls if call != "GET /jobs"] == []


async def test_a_task_id_names_its_newest_job_wherever_a_job_is_named(analyzer, tasks, http):
    analyzer.add_job("0-1")
    made = analyzer.add_job("1-2")
    tasks["task:mine"] = ["0-1", "1-2"]
    for path in ("/task/mine/metadata", "/metadata/mine", "/focus-server/metadata/mine"):
        response = await http.get(path)
        assert (response.status_code, response.json()["job_id"]) == (200, made["job_id"])
    assert (await http.get("/waterfall/mine/5")).status_code == 200
    await analyzer.wait_for_streams(1)
    ended = await http.delete("/job/mine")
    assert (ended.status_code, ended.json()) == (200, {"status": "success", "job_id": "1-2"})
    assert set(analyzer.jobs) == {"0-1"}
    del analyzer.jobs["0-1"]
    for method, path in (("GET", "/metadata/mine"), ("DELETE", "/job/mine"), ("GET", "/waterfall/mine/5")):
        response = await http.request(method, path)
        assert (response.status_code, response.json()["error"]) == (404, "Invalid job_id")
    assert (await http.get("/waterfall/1-2/5")).status_code == 404
    await analyzer.wait_for_streams(0)


async def test_nothing_more_is_given_of_a_job_that_another_request_has_replaced(analyzer, tasks, http):
    analyzer.add_job("0-1")["metadata"] |= {"recording_ids": ["a"], "lines": 2}
    tasks["task:mine"] = ["0-1"]
    assert (await http.get("/waterfall/mine/1")).status_code == 200
    await analyzer.wait_for_streams(1)
    row = DataStream(start_channel=7, end_channel=7, row_index=[0, 1], main_data=[bytes(4)] * 2)
    analyzer.send(row.SerializeToString())
    analyzer.send(None)
    with anyio.fail_after(WAIT_S):
        while (given := await http.get("/waterfall/mine/1")).status_code == 200:  # noqa: ASYNC110 - by other tasks
            await anyio.sleep(0.01)
    assert given.status_code == 201
    del analyzer.jobs["0-1"]
    analyzer.answers["POST /jobs"] = lambda _: JSONResponse(analyzer.add_job("1-2"))
    tasks["task:mine"] = ["1-2"]
    assert (await http.post("/config/mine", json=BODY)).status_code == 200
    assert (await http.get("/waterfall/mine/1")).status_code == 200
    await analyzer.wait_for_streams(1)
    assert (await http.delete("/job/mine")).status_code == 200
    await analyzer.wait_for_streams(0)


async def test_a_name_that_could_be_both_is_a_job_first(analyzer, tasks, http):
    analyzer.add_job("0-1")
    analyzer.add_job("1-2")
    tasks["task:0-1"] = ["1-2"]
    assert (await http.get("/metadata/0-1")).json()["job_id"] == "0-1"
    assert [call for call, _ in analyzer.calls] == ["GET /jobs/0-1"]
    assert (await http.post("/config/0-1", json=BODY)).status_code == 200
    del analyzer.jobs["0-1"]
    assert (await http.get("/metadata/0-1")).json()["job_id"] == "1-2"


async def test_a_new_task_may_not_have_the_name_of_another_job(analyzer, tasks, http):
    analyzer.add_job("0-1")
    response = await http.post("/config/0-1", json=BODY)
    assert (response.status_code, response.json()["detail"]) == (409, "task_id")
    assert (await http.post("/config/7-7", json=BODY)).status_code == 200


async def test_without_an_analyzer_a_task_is_not_unknown(no_analyzer, http):
    for method, path in (("GET", "/metadata/mine"), ("DELETE", "/job/mine"), ("GET", "/waterfall/mine/5")):
        assert (await http.request(method, path)).status_code == 503
    assert (await http.post("/config/mine", json=BODY)).status_code == 503
