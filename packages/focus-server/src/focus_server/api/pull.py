"""The pull interface: a job's rows by plain GET, each of them once."""

from functools import partial
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import Response

from focus_server.api.puller_rows import Line
from focus_server.api.pullers import Pullers
from focus_server.api.responses import ERRORS
from focus_server.contract import Grid, Refusal, WaterfallBlock

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Nothing yet: an empty list.", "model": list[WaterfallBlock]},
    201: {"description": "Rows.", "model": list[WaterfallBlock]},
    208: {"description": "A recording was played and given to its end: an empty list.", "model": list[WaterfallBlock]},
}


def pull_routes(pullers: Pullers) -> APIRouter:
    """Make the route `/waterfall/{job_id}/{row_count}`."""
    router = APIRouter(tags=["jobs"], responses=ERRORS)

    @router.get("/waterfall/{job_id}/{row_count}", responses=_ANSWERS)
    async def waterfall(job_id: str, row_count: int) -> Response:
        """Give the oldest rows that no call has given yet, at most `row_count`; the first call begins to keep them."""
        if row_count <= 0:
            raise Refusal(400, "row_count must be above 0: how many rows to give at most.", "row_count")
        pulled = await pullers.pull(job_id, row_count)
        if pulled.lines:
            # beside the loop, so that live viewers do not wait for the writing
            content = await anyio.to_thread.run_sync(partial(_written, pulled.lines, pulled.grid))
            return Response(content, 201, media_type="application/json")
        return Response(b"[]", 208 if pulled.complete else 200, media_type="application/json")

    return router


def _written(lines: list[Line], grid: Grid) -> bytes:
    from focus_server.api.pulled_json import written  # and with it NumPy, which a server needs for nothing else

    return written(lines, grid)
