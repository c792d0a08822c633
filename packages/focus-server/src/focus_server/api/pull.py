"""The pull interface: a job's rows by plain GET, each of them once."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import anyio.to_thread
import numpy as np
from fastapi import APIRouter
from pydantic_core import to_json
from starlette.responses import Response

from focus_server.api.puller_rows import Line, Part
from focus_server.api.pullers import Pullers
from focus_server.api.responses import ERRORS
from focus_server.contract import Grid, Refusal, WaterfallBlock

Values = np.ndarray[tuple[int, int], np.dtype[np.float32]]

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
    """Write lines as a list of one `WaterfallBlock`; a NaN becomes null.

    Plain dicts, because making and writing a model for each sensor takes many times as long.
    """
    rows, arrays = [], []
    for line in lines:
        parts = [(part.first_channel - 1, _values(part)) for _, part in sorted(line.parts.items())]
        rows.append(_row(line.index, parts, grid))
        arrays += [values for _, values in parts]
    smallest, largest = _extremes(arrays)
    return b'[{"rows":[%b],"current_max_amp":%b,"current_min_amp":%b}]' % (
        b",".join(rows),
        to_json(largest),
        to_json(smallest),
    )


def _row(index: int, parts: list[tuple[int, Values]], grid: Grid) -> bytes:
    """Write a `WaterfallRow`; parts are the number of the first sensor and the values [sensor, value]."""
    begin_ms, end_ms = grid.row_ms(index)
    sensors = [
        {"id": sensor, "intensity": values}
        for first, found in parts
        for sensor, values in enumerate(found.tolist(), first)
    ]
    row = {"canvasId": index, "startTimestamp": begin_ms, "endTimestamp": end_ms, "sensors": sensors}
    return to_json(row, inf_nan_mode="null")


def _values(part: Part) -> Values:
    """Give the values [channel, value] of what a stream has of a line."""
    shape = (part.last_channel - part.first_channel + 1, part.values)
    return np.frombuffer(part.data, "<f4").reshape(shape) if part.data else np.full(shape, np.nan, np.float32)


def _extremes(arrays: Iterable[Values]) -> tuple[float, float]:
    """Give the smallest and the largest finite value, 0 and 0 when there is none."""
    finite = [values[np.isfinite(values)] for values in arrays]
    some = [values for values in finite if values.size]
    if not some:
        return 0.0, 0.0
    return float(min(values.min() for values in some)), float(max(values.max() for values in some))
