"""What a historic request becomes on the recordings that were found: which lines of which of them; or a refusal."""

from collections.abc import Sequence
from math import ceil, floor
from typing import Final

from focus_server.analyzer.configure import Plan, check_row
from focus_server.analyzer.coverage import Coverage
from focus_server.analyzer.fibre import Fibre
from focus_server.analyzer.grid import NS_PER_S, LineGrid
from focus_server.contract import (
    Channels,
    ConfigureRequest,
    Refusal,
    check_request,
    exact,
    request_bins,
    request_hop,
)
from focus_server.contract.derive import LineSpacing
from focus_server.recordings import RecordingEntry

NO_RECORDING: Final = "No recording found in given time range"
_MOST_LINES: Final = 2**31
"""As many as there are row numbers."""
_LONGEST_LINE: Final = 2**24
"""Samples; a line of more would take all memory: more than two hours at 2000 samples/s."""


def plan_history(
    request: ConfigureRequest, recordings: Sequence[RecordingEntry], line_spacing: LineSpacing = "fs"
) -> Plan:
    """Derive a job that plays recordings, those that share the first one's grid. Raises `Refusal`."""
    if not recordings:
        raise Refusal(404, NO_RECORDING, "The catalogue has none there.")
    chosen = tuple(entry for entry in recordings if entry.fibre_key == recordings[0].fibre_key)
    left_out = tuple(entry.uuid for entry in recordings if entry.fibre_key != recordings[0].fibre_key)
    fibre = _fibre(recordings[0])
    check_request(request, Channels(min=1, max=fibre.channels))
    bins = request_bins(request, fibre.fs)
    check_row(request, bins)
    grid = LineGrid(request.effective_nfft, request_hop(request, fibre.fs, line_spacing))
    first_line, end_line = _lines(request, fibre, grid)
    _check_lines(grid, end_line - first_line)
    if not _any_line(grid, first_line, end_line, chosen):
        raise Refusal(404, NO_RECORDING, f"No line of {grid.span} samples is recorded as a whole there.")
    return Plan(
        request=request,
        fibre=fibre,
        grid=grid,
        bins=bins,
        first_line=first_line,
        ready_in_s=0.0,
        lowered=None,
        lines=end_line - first_line,
        recordings=chosen,
        left_out=left_out,
    )


def _fibre(entry: RecordingEntry) -> Fibre:
    return Fibre(*entry.grid_key)


def _lines(request: ConfigureRequest, fibre: Fibre, grid: LineGrid) -> tuple[int, int]:
    """Give the first line that lies as a whole within the time range, and the one after the last."""
    assert request.start_time is not None  # noqa: S101 - a request without times is not historic
    assert request.end_time is not None  # noqa: S101
    begin = ceil((exact(request.start_time) * NS_PER_S - fibre.t0_ns) * fibre.fs / NS_PER_S)
    end = floor((exact(request.end_time) * NS_PER_S - fibre.t0_ns) * fibre.fs / NS_PER_S)
    first_line = grid.oldest_line(max(0, begin))
    return first_line, max(first_line, grid.newest_line(end) + 1)


def _any_line(grid: LineGrid, first_line: int, end_line: int, recordings: Sequence[RecordingEntry]) -> bool:
    """Tell whether the recordings hold at least one line as a whole."""
    there = Coverage()
    for entry in recordings:
        there.add(entry.first_sample, entry.end_sample)
    return any(
        max(first_line, grid.oldest_line(begin)) < min(end_line, grid.newest_line(end) + 1)
        for begin, end in there.all()
    )


def _check_lines(grid: LineGrid, lines: int) -> None:
    if lines > _MOST_LINES:
        raise Refusal(
            400,
            f"These times hold {lines} lines and rows have numbers below {_MOST_LINES}; ask for fewer lines per second "
            "or a shorter time.",
            "end_time",
        )
    if grid.span > _LONGEST_LINE:
        raise Refusal(
            400,
            f"One line would be made of {grid.span} samples and may be of {_LONGEST_LINE}; ask for more lines "
            "(displayInfo.height) or a shorter time.",
            "displayInfo.height",
        )
