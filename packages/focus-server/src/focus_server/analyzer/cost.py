"""What a job costs the processor, estimated before it is made, so that one job cannot starve all others."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Final

from focus_server.analyzer.coverage import Coverage
from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.kernel import native_kernel

_PER_SAMPLE_S: Final = 4e-9 if native_kernel() else 10e-9
"""Seconds of one core for one sample of one window, all in; measured on one busy 2.5 GHz core."""
_PER_LINE_S: Final = 50e-6
"""Seconds of one core for one line, however few channels it has."""


@dataclass(frozen=True, slots=True)
class Load:
    """Lines of some channels (numbers, both ends included) that are computed all the time."""

    grid: LineGrid
    first_channel: int
    last_channel: int


def cores(loads: Iterable[Load], fs: float) -> float:
    """Estimate how many cores all these take together; lines that several want are computed once."""
    channels: dict[LineGrid, Coverage] = {}
    for load in loads:
        channels.setdefault(load.grid, Coverage()).add(load.first_channel, load.last_channel + 1)
    return sum(_line_s(grid, _count(wanted)) * fs / grid.hop for grid, wanted in channels.items())


def affordable_hop(load: Load, free_cores: float, fs: float) -> int | None:
    """Give the smallest hop at which a load, computed for itself, takes no more than `free_cores`; None for none.

    Only lines that overlap can be thinned out: without overlap every sample is looked at once, whatever the hop.
    """
    nfft = load.grid.nfft
    if nfft is None or free_cores <= 0:
        return None
    one_line_s = _line_s(LineGrid(nfft, nfft), load.last_channel - load.first_channel + 1)
    hop = max(load.grid.hop, ceil(one_line_s * fs / free_cores))
    return hop if hop <= nfft else None


def _line_s(grid: LineGrid, channels: int) -> float:
    samples = (grid.nfft or grid.hop) * len(grid.window_starts())
    return _PER_LINE_S + _PER_SAMPLE_S * channels * samples


def _count(channels: Coverage) -> int:
    return sum(end - begin for begin, end in channels.parts(channels.begin, channels.end))
