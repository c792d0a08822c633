"""GET /metrics: each figure is really set, and what clients make up adds none."""

from pathlib import Path

import anyio
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from focus_server.api.figures import Figures
from focus_server.api.measuring import Measure
from focus_server.proto import DataStream
from fullspan.clients import Metrics

from .conftest import serving

pytestmark = pytest.mark.anyio

WAIT_S = 60
BODY = {"view_type": 1, "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 100}}
LIVE = {
    "mode": "live",
    "streams": 4,
    "viewers": 3,
    "jobs_made": 9,
    "lines_made": 1000,
    "missing_lines": 20,
    "dropped_lines": 30,
    "compute_s": 1.5,
}
FIGURES = {
    "jobs": [{"mode": "live", "state": "ready", "jobs": 2}, {"mode": "historic", "state": "playing", "jobs": 1}],
    "modes": [LIVE, {**LIVE, "mode": "historic", "lines_made": 7}],
    "jobs_ended": {"cancelled": 5, "expired": 6, "replaced": 1, "lost": 0, "other fibre": 0},
    "blocks": {"taken": 100, "duplicate": 2, "too late": 3, "foreign": 4},
    "given_up_samples": 800,
    "feed_age_s": 0.25,
    "ring_age_s": 131.5,
}
FIGURES_OF_THE_ANALYZER = {
    ("focus_jobs", "mode=live,state=ready"): 2,
    ("focus_jobs", "mode=historic"): 1,
    ("focus_streams", "mode=live"): 4,
    ("focus_stream_viewers", "mode=live"): 3,
    ("focus_jobs_made_total", "mode=live"): 9,
    ("focus_jobs_ended_total", "cause=expired"): 6,
    ("focus_jobs_ended_total", "cause=cancelled"): 5,
    ("focus_lines_made_total", "mode=live"): 1000,
    ("focus_lines_made_total", "mode=historic"): 7,
    ("focus_lines_missing_total", "mode=live"): 20,
    ("focus_lines_dropped_total", "mode=live"): 30,
    ("focus_compute_seconds_total", "mode=live"): 1.5,
    ("focus_blocks_total", "fate=taken"): 100,
    ("focus_blocks_total", "fate=too late"): 3,
    ("focus_samples_given_up_total", ""): 800,
    ("focus_feed_age_seconds", ""): 0.25,
    ("focus_ring_age_seconds", ""): 131.5,
}


async def scrape(http):
    response = await http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics.read(response.text)


async def until(http, condition):
    """Scrape until what happens in another task is counted."""
    with anyio.fail_after(WAIT_S):
        while not condition(metrics := await scrape(http)):
            pass
    return metrics


async def test_requests_are_counted_by_route_method_and_status(analyzer, http):
    analyzer.add_job()
    before = await scrape(http)
    for method, path in (
        ("GET", "/ack"),
        ("GET", "/focus-server/ack"),
        ("POST", "/ack"),
        ("BREW", "/ack"),
        ("GET", "/metadata/0-1"),
        ("GET", "/metadata/0-2"),
        ("GET", "/made/up"),
        ("GET", "/liveView/"),
        ("GET", "/liveView/made-up.js"),
    ):
        await http.request(method, path)
    after = await scrape(http)

    def counted(**labels):
        return after.value("focus_requests_total", **labels) - before.value("focus_requests_total", **labels)

    assert counted(route="/ack", method="GET", status="200") == 2
    assert counted(route="/ack", method="POST", status="405") == 1
    assert counted(route="/ack", method="other", status="405") == 1
    assert counted(route="/metadata/{job_id}", status="200") == counted(route="/metadata/{job_id}", status="404") == 1
    assert counted(route="other", status="404") == 1
    assert counted(route="/liveView") == 2
    assert counted(route="/metrics", status="200") == 1
    took = "focus_request_seconds"
    assert after.value(f"{took}_count", route="/ack") - before.value(f"{took}_count", route="/ack") == 4
    assert 0 < after.value(f"{took}_sum", route="/ack") < 4 * WAIT_S
    assert after.value(f"{took}_bucket", route="/ack", le="+Inf") == after.value(f"{took}_count", route="/ack")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"json": {**BODY, "nfftSelection": 1000}}, "nfftSelection"),
        ({"json": {**BODY, "channels": {"min": 1, "max": 9999}}}, "channels"),
        ({"json": {**BODY, "displayInfo": {"height": 0}}}, "displayInfo"),
        ({"json": {**BODY, "start_time": 5, "end_time": 6}}, "MongoDB"),
        ({"json": {**BODY, "view_type": 7}}, "shape"),
        ({"json": BODY, "headers": {"Idempotency-Key": "a b"}}, "Idempotency-Key"),
        ({"json": BODY, "headers": {"Host": "elsewhere.example"}}, "Host"),
        ({"json": BODY, "headers": {"Origin": "http://elsewhere.example"}}, "Origin"),
        ({"content": b"x" * 70_000}, "Content-Length"),
        ({"content": b"x"}, "Content-Type"),
    ],
)
async def test_refusals_are_counted_by_what_they_are_for(analyzer, http, change, reason):
    before = await scrape(http)
    assert (await http.post("/configure", **change)).is_error
    after = await scrape(http)
    assert after.value("focus_refusals_total", reason=reason) - before.value("focus_refusals_total", reason=reason) == 1
    assert after.value("focus_refusals_total") - before.value("focus_refusals_total") == 1


async def test_what_the_analyzer_refuses_is_counted_in_words_of_the_server(analyzer, http):
    before = await scrape(http)
    for detail in ("capacity", "live feed", "analyzer: time-out", "Job 0-99 ended by /some/path"):
        analyzer.answers["POST /jobs"] = JSONResponse({"error": "No.", "detail": detail}, 503)
        assert (await http.post("/configure", json=BODY)).status_code == 503
    after = await scrape(http)
    for reason in ("capacity", "live feed", "analyzer", "other"):
        assert after.value("focus_refusals_total", reason=reason) > before.value("focus_refusals_total", reason=reason)


async def test_a_defect_is_counted(analyzer, http, monkeypatch):
    monkeypatch.setattr("focus_server.api.jobs.check_request", lambda *_: 1 / 0)
    with capture_logs():  # writing the trace takes seconds
        assert (await http.post("/configure", json=BODY)).status_code == 500
    metrics = await scrape(http)
    assert metrics.value("focus_refusals_total", reason="defect") == 1
    assert metrics.value("focus_requests_total", route="/configure", status="500") == 1


async def test_viewers_are_counted_with_the_frames_and_bytes_they_get(analyzer, http, address):
    analyzer.add_job()
    before = await scrape(http)
    rows = [DataStream(row_index=[n], main_data=[bytes(1000)]).SerializeToString() for n in range(3)]

    def counted(metrics, name, **labels):
        return metrics.value(name, **labels) - before.value(name, **labels)

    async with connect(f"ws://{address}/focus-server/ws/jobs/0-1/streams/0", proxy=None) as viewer:
        await analyzer.wait_for_streams()
        for row in rows:
            analyzer.send(row)
        with anyio.fail_after(WAIT_S):
            for _ in rows:
                while not isinstance(await viewer.recv(), bytes):
                    pass
        metrics = await until(http, lambda now: counted(now, "focus_sent_frames_total", kind="rows") == 3)
        assert counted(metrics, "focus_sent_bytes_total", kind="rows") == sum(map(len, rows))
        assert metrics.value("focus_viewers") == 1
    metrics = await until(http, lambda now: now.value("focus_viewers") == 0)
    assert counted(metrics, "focus_viewers_left_total", code="1000") == 1
    async with connect(f"ws://{address}/ws/jobs/0-2/streams/0", proxy=None) as viewer:
        with anyio.fail_after(WAIT_S):
            assert '"error"' in await viewer.recv()
            await viewer.wait_closed()
    metrics = await until(http, lambda now: counted(now, "focus_viewers_left_total", code="4404") == 1)
    assert counted(metrics, "focus_sent_frames_total", kind="error") == 1
    with pytest.raises(InvalidStatus):
        await connect(f"ws://{address}/ws/jobs/0-1/streams/0", origin="http://elsewhere.example", proxy=None)
    await until(http, lambda now: counted(now, "focus_refusals_total", reason="Origin") == 1)


async def test_lines_dropped_and_frames_of_no_known_kind_are_counted():
    frames = ['{"type": "dropped", "lines": 5}', '{"type": "dropped", "lines": 2}', '{"type": "made up"}']

    async def sending(websocket):
        await websocket.accept()
        for frame in frames:
            await websocket.send_text(frame)
        await websocket.close(4999)

    figures = Figures()
    app = Measure(Starlette(routes=[WebSocketRoute("/", sending)]), figures)
    async with serving(app, host="127.0.0.1", port=0) as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/", proxy=None) as viewer:
            with anyio.fail_after(WAIT_S):
                assert [await viewer.recv() for _ in frames] == frames
                await viewer.wait_closed()
    samples = {(s.name, *s.labels.values()): s.value for family in figures.collected() for s in family.samples}
    assert samples["focus_viewer_dropped_lines_total",] == 7
    assert samples["focus_sent_frames_total", "dropped"] == 2
    assert samples["focus_sent_frames_total", "other"] == 1
    assert samples["focus_sent_bytes_total", "dropped"] == len(frames[0]) + len(frames[1])
    assert samples["focus_viewers_left_total", "other"] == 1


async def test_the_analyzer_and_all_dependencies_are_among_the_figures(analyzer, http):
    analyzer.answers["GET /figures"] = JSONResponse(FIGURES)
    metrics = await scrape(http)
    for (name, labels), value in FIGURES_OF_THE_ANALYZER.items():
        assert metrics.value(name, **dict(pair.split("=") for pair in labels.split(",") if pair)) == value, name
    up = {dict(labels)["dependency"]: value for labels, value in metrics.each("focus_dependency_up").items()}
    assert up == {"analyzer": 1, "rabbitmq": 1, "live_feed": 1}
    assert 0 < metrics.value("process_resident_memory_bytes") < 2**40
    analyzer.answers["GET /figures"] = JSONResponse({**FIGURES, "feed_age_s": None, "ring_age_s": None})
    assert not {"focus_feed_age_seconds", "focus_ring_age_seconds"} & (await scrape(http)).names


async def test_without_an_analyzer_there_are_the_figures_of_the_server(no_analyzer, http):
    metrics = await scrape(http)
    assert metrics.each("focus_dependency_up") == {frozenset({("dependency", "analyzer")}): 0}
    assert metrics.value("focus_requests_total", route="/metrics") > 0
    assert "focus_jobs" not in metrics.names


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=x", "text/plain; version=9; escaping=;", "*"]
)
async def test_what_a_scraper_would_rather_have_changes_nothing(analyzer, http, accept):
    response = await http.get("/metrics", headers={"Accept": accept})
    assert (response.status_code, response.headers["Content-Type"].partition(";")[0]) == (200, "text/plain")


async def test_every_figure_is_explained(analyzer, http):
    analyzer.answers["GET /figures"] = JSONResponse(FIGURES)
    guide = (Path(__file__).parents[4] / "docs" / "focus-server.md").read_text(encoding="utf-8")
    names = {name for name in (await scrape(http)).names if name.startswith("focus_")}
    plain = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in names}
    assert {name for name in plain if f"`{name}`" not in guide} == set()
