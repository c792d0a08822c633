"""REST, route by route, with a played analyzer behind it."""

import json

import pytest
from starlette.responses import JSONResponse
from structlog.testing import capture_logs

from focus_server import __version__

pytestmark = pytest.mark.anyio

BODY = {"view_type": "1", "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 100}}
PREFIXES = pytest.mark.parametrize("prefix", ["", "/focus-server"])


def is_an_error(response, status):
    assert response.status_code == status
    document = response.json()
    assert set(document) == {"error", "detail"}
    assert document["error"]
    return document["error"]


@PREFIXES
async def test_ack_needs_nothing_and_takes_only_get(http, prefix):
    response = await http.get(f"{prefix}/ack")
    assert (response.status_code, response.json()) == (200, {})
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        response = await http.request(method, f"{prefix}/ack")
        is_an_error(response, 405)
        assert response.headers["Allow"] == "GET"
    assert (await http.head(f"{prefix}/ack")).status_code == 405


async def test_info_gives_the_version(http):
    assert (await http.get("/info")).json() == {"version": __version__}


@PREFIXES
async def test_the_fibre_is_described(analyzer, http, prefix):
    assert (await http.get(f"{prefix}/channels")).json() == {"lowest_channel": 1, "highest_channel": 500}
    assert (await http.get(f"{prefix}/sensors")).json() == {"sensors": list(range(500))}
    live = (await http.get(f"{prefix}/live_metadata")).json()
    assert (await http.get(f"{prefix}/metadata")).json() == live
    assert set(live) >= {"prr", "num_samples_per_trace", "dtype", "dx", "fiber_start_meters", "fiber_length_meters"}
    assert (live["prr"], live["number_of_channels"], live["fiber_source"]) == (1000.0, 500, {"seed": 1})


@PREFIXES
async def test_the_life_of_a_job(analyzer, http, prefix):
    made = await http.post(f"{prefix}/configure", json=BODY)
    assert made.status_code == 200
    assert made.json() == analyzer.jobs["0-1"]
    assert json.loads(dict(analyzer.calls)["POST /jobs"]) == {**BODY, "view_type": 1}
    for path in ("/metadata/0-1", "/task/0-1/metadata"):
        assert (await http.get(f"{prefix}{path}")).content == made.content
    ended = await http.delete(f"{prefix}/job/0-1")
    assert (ended.status_code, ended.json()) == (200, {"status": "success", "job_id": "0-1"})
    assert is_an_error(await http.delete(f"{prefix}/job/0-1"), 404) == "Invalid job_id"
    assert is_an_error(await http.get(f"{prefix}/metadata/0-1"), 404) == "Invalid job_id"


@pytest.mark.parametrize("job_id", ["..%2Fstatus", "0-1%2Fstate", "٠-١", "0-1 ", "task:a", "a.b", "%00", "x" * 257])
async def test_what_cannot_be_a_job_or_a_task_never_reaches_the_analyzer(analyzer, http, job_id):
    paths = (("GET", f"/metadata/{job_id}"), ("DELETE", f"/job/{job_id}"), ("GET", f"/waterfall/{job_id}/1"))
    for method, path in paths:
        is_an_error(await http.request(method, path), 404)
    assert analyzer.calls == []


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        ({}, 422, "view_type is missing"),
        ({**BODY, "view_type": 5}, 422, "view_type"),
        ({**BODY, "nfftSelection": 1000}, 400, "power of 2"),
        ({**BODY, "displayInfo": {"height": 0}}, 400, "height must be positive"),
        ({**BODY, "channels": {"min": 1, "max": 9999}}, 400, "at most 2222"),
        ({**BODY, "frequencyRange": {"min": 0, "max": 1001}}, 400, "1000 Hz"),
        ({**BODY, "start_time": 5}, 400, "both"),
        ({**BODY, "start_time": 5, "end_time": 6}, 503, "MongoDB"),
        ({**BODY, "start_time": 6, "end_time": 5}, 400, "after start_time"),
        ({**BODY, "view_type": 2, "nfftSelection": 512}, 422, "waterfall"),
    ],
)
async def test_a_refused_request_makes_nothing(analyzer, http, document, status, words):
    assert words in is_an_error(await http.post("/configure", json=document), status)
    assert analyzer.calls == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 60_000, b'{"view_type": NaN}'])
async def test_a_body_that_is_no_request_is_422(analyzer, http, content):
    response = await http.post("/configure", content=content, headers={"Content-Type": "application/json"})
    is_an_error(response, 422)
    assert response.json()["detail"][0].keys() == {"loc", "msg", "type"}
    assert analyzer.calls == []


async def test_a_key_reaches_the_analyzer(analyzer, http):
    keys = []
    analyzer.answers["POST /jobs"] = lambda request: keys.append(request.headers.get("Idempotency-Key"))
    for headers in ({"Idempotency-Key": "a-7"}, {}):
        assert (await http.post("/configure", json=BODY, headers=headers)).status_code == 200
    assert keys == ["a-7", None]


@pytest.mark.parametrize("key", ["", "a b", "a" * 129, "\u00e9", "task:a"])
async def test_a_key_that_is_none_makes_nothing(analyzer, http, key):
    response = await http.post("/configure", json=BODY, headers={"Idempotency-Key": key.encode("latin-1")})
    assert "Idempotency-Key" in is_an_error(response, 400)
    assert analyzer.calls == []


async def test_a_refusal_of_the_analyzer_reaches_the_client(analyzer, http):
    body = {"error": "waiting for fiber: no live block has arrived yet.", "detail": "feed"}
    analyzer.answers["POST /jobs"] = JSONResponse(body, 503, {"Retry-After": "2"})
    response = await http.post("/configure", json=BODY)
    assert is_an_error(response, 503) == body["error"]
    assert response.headers["Retry-After"] == "2"


async def test_all_jobs_are_listed(analyzer, http):
    job = {
        "job_id": "0-1",
        "view_type": 1,
        "mode": "live",
        "state": "live",
        "channels": {"min": 7, "max": 7},
        "nfft": 256,
        "viewers": 2,
        "created": "2026-01-01T00:00:00Z",
        "last_activity": "2026-01-01T00:00:01Z",
    }
    analyzer.answers["GET /jobs"] = JSONResponse({"jobs": [job]})
    assert (await http.get("/jobs")).json() == {"jobs": [job]}


async def test_health_with_everything_up(analyzer, http):
    response = await http.get("/health")
    assert response.status_code == 200
    states = {name: it["state"] for name, it in response.json()["dependencies"].items()}
    assert response.json()["status"] == "healthy"
    assert states == {"mongodb": "not configured", "rabbitmq": "up", "analyzer": "up", "live_feed": "live"}


async def test_health_names_what_is_broken(analyzer, http):
    feed = {"state": "stale", "detail": "The newest sample is 9 s old.", "newest_sample_age_s": 9.0}
    rabbitmq = {"state": "down", "detail": "RabbitMQ refuses connections."}
    analyzer.answers["GET /status"] = JSONResponse({"rabbitmq": rabbitmq, "feed": feed, "jobs": 1})
    response = await http.get("/health")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    assert response.json()["error"] == "Live views do not work now: rabbitmq is down, live_feed is stale."
    assert response.json()["detail"] == "RabbitMQ refuses connections. The newest sample is 9 s old."


async def test_without_an_analyzer_the_server_says_so(no_analyzer, http):
    for path in ("/channels", "/sensors", "/live_metadata", "/metadata", "/metadata/0-1", "/jobs"):
        response = await http.get(path)
        assert "analyzer is not running" in is_an_error(response, 503)
        assert response.headers["Retry-After"] == "1"
    assert "analyzer" in is_an_error(await http.post("/configure", json=BODY), 503)
    assert "analyzer" in is_an_error(await http.delete("/job/0-1"), 503)
    health = await http.get("/health")
    assert health.status_code == 503
    assert health.json()["dependencies"]["analyzer"]["state"] == "down"
    assert (await http.get("/ack")).status_code == 200


async def test_a_restarted_analyzer_is_found_again(analyzer, http):
    assert (await http.get("/channels")).status_code == 200
    await analyzer.stop()
    assert (await http.get("/channels")).status_code == 503
    await analyzer.start()
    assert (await http.get("/channels")).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/focus-server/focus-server/ack", "/ack/", "/job/0-1/x", "/%00"])
async def test_an_unknown_path_is_a_404_with_the_one_body(http, path):
    is_an_error(await http.get(path), 404)


async def test_a_defect_shows_nothing_of_the_inside(analyzer, http, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret /etc/path amqp://user:pass@host")

    monkeypatch.setattr("focus_server.api.jobs.check_request", broken)
    with capture_logs() as log:
        response = await http.post("/configure", json=BODY)
    assert is_an_error(response, 500) == "The server failed at this request; its log says why."
    assert [(line["event"], line["path"]) for line in log] == [("request.failed", "/configure")]
    assert "secret" not in response.text


@PREFIXES
async def test_the_description_allows_both_kinds_of_view_type(http, prefix):
    description = (await http.get(f"{prefix}/openapi.json")).json()
    body = description["paths"]["/configure"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    request = description["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert {kind["type"] for kind in request["properties"]["view_type"]["anyOf"]} == {"string", "integer"}
    assert set(request["required"]) == {"view_type", "channels", "displayInfo"}
    assert set(description["paths"]) == {
        "/ack",
        "/info",
        "/health",
        "/metrics",
        "/channels",
        "/sensors",
        "/live_metadata",
        "/metadata",
        "/recordings_in_time_range",
        "/get_recordings_timeline",
        "/configure",
        "/config/{task_id}",
        "/waterfall/{job_id}/{row_count}",
        "/metadata/{job_id}",
        "/task/{job_id}/metadata",
        "/job/{job_id}",
        "/jobs",
    }


@PREFIXES
async def test_the_address_of_the_page_leads_to_its_folder(http, prefix):
    response = await http.get(f"{prefix}/liveView?nfft=256&proof=1")
    assert response.status_code == 307
    assert str(response.url.join(response.headers["Location"])).endswith(f"{prefix}/liveView/?nfft=256&proof=1")
