"""Who asks for a job: passed on to the analyzer, which counts the jobs of each viewer."""

import pytest
from starlette.responses import JSONResponse

pytestmark = pytest.mark.anyio

BODY = {"view_type": "1", "channels": {"min": 7, "max": 7}, "displayInfo": {"height": 100}}
OLDER = {"canvasInfo": {"height": 100}, "sensors": {"min": 6, "max": 6}, "nfftSelection": 256}


async def test_who_asks_reaches_the_analyzer(analyzer, http):
    viewers = []
    analyzer.answers["POST /jobs"] = lambda request: viewers.append(request.headers.get("X-Viewer"))
    for path, body in (("/configure", BODY), ("/config/a", OLDER)):
        for headers in ({"X-Viewer": "desk-4"}, {}):
            response = await http.post(path, json=body, headers=headers)
            assert response.status_code == 200, response.text
    assert viewers == ["desk-4", None] * 2


@pytest.mark.parametrize("viewer", ["", "a b", "a" * 129, "\u00e9"])
async def test_a_viewer_without_a_name_makes_nothing(analyzer, http, viewer):
    response = await http.post("/configure", json=BODY, headers={"X-Viewer": viewer.encode("latin-1")})
    assert response.status_code == 400
    assert "X-Viewer" in response.json()["error"]
    assert analyzer.calls == []


async def test_one_window_too_many_is_said_with_its_sentence(analyzer, http):
    body = {"error": "This viewer has 30 jobs.", "detail": "X-Viewer"}
    analyzer.answers["POST /jobs"] = JSONResponse(body, 429, {"Retry-After": "5"})
    response = await http.post("/configure", json=BODY, headers={"X-Viewer": "desk-4"})
    assert (response.status_code, response.json(), response.headers["Retry-After"]) == (429, body, "5")
