"""Pulled lines as the JSON that a client gets."""

from collections.abc import Iterable

import numpy as np
from pydantic_core import to_json

from focus_server.api.puller_rows import Line, Part
from focus_server.contract import Grid

Values = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def written(lines: list[Line], grid: Grid) -> bytes:
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
