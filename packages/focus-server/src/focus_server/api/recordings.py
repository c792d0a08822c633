"""Where there are recordings: as numbers, and drawn."""

import time
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from focus_server.api.archive import Archive
from focus_server.api.openapi import body_schema
from focus_server.api.responses import ERRORS
from focus_server.api.timeline import HEADERS, timeline_page
from focus_server.contract import TimeRange

_DAY_NS: Final = 86_400 * 1_000_000_000
_SHORTEST_NS: Final = 600 * 1_000_000_000


def recording_routes(archive: Archive) -> APIRouter:
    """Make the routes `/recordings_in_time_range` and `/get_recordings_timeline`."""
    router = APIRouter(tags=["recordings"], responses=ERRORS)

    @router.post(
        "/recordings_in_time_range",
        response_model=list[tuple[float, float]],
        openapi_extra=body_schema(TimeRange),
    )
    async def recordings_in_time_range(request: Request) -> Response:
        """List the times `[start, end]` of all recordings that overlap a range, in the unit of the request."""
        asked = TimeRange.read(await request.body())
        return JSONResponse(asked.answer(await archive.ranges(asked.start_ns, asked.end_ns)))

    @router.get("/get_recordings_timeline", response_class=HTMLResponse)
    async def get_recordings_timeline(start_time: float | None = None, end_time: float | None = None) -> Response:
        """Draw the times of all recordings: of a range, or of the last 24 hours as far as there are any."""
        now_ns = time.time_ns()
        if start_time is None and end_time is None:
            ranges = await archive.ranges(now_ns - _DAY_NS, now_ns)
            first_ns = max(ranges[0][0], now_ns - _DAY_NS) if ranges else now_ns
            begin_ns, end_ns = min(first_ns, now_ns - _SHORTEST_NS), now_ns
        else:
            both = {"start_time": start_time, "end_time": end_time}
            asked = TimeRange.read({name: value for name, value in both.items() if value is not None})
            begin_ns, end_ns = asked.start_ns, asked.end_ns
            ranges = await archive.ranges(begin_ns, end_ns)
        return HTMLResponse(timeline_page(ranges, begin_ns, end_ns, now_ns), headers=HEADERS)

    return router
