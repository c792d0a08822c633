"""Lines of the fibre, each channel of each line computed once, however many jobs and viewers want it."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from focus_server.analyzer.arena import Arena, Loan
from focus_server.analyzer.coverage import Coverage
from focus_server.analyzer.feed import FibreSamples
from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.lines import LineMaker
from focus_server.analyzer.ring import Rows
from focus_server.analyzer.spectrum import Float32, Unit
from focus_server.fiber.blocks import GROUP_CHANNELS

_KEPT_BYTES: Final = 64 * 2**20
"""So much of the newest lines is kept, for jobs that want them a moment later than others."""
_KEPT_LINES: Final = 4096


@dataclass(frozen=True, slots=True)
class Wanted:
    """Some channels of one line; numbers from 1, both ends included."""

    grid: LineGrid
    line: int
    first_channel: int
    last_channel: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What is computed at once: the same channels, given as intervals, of `count` consecutive lines."""

    grid: LineGrid
    line: int
    count: int
    channels: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """Values of the channels from `first` up to `end` of one line; they lie in a loan [line, channel, value]."""

    first: int
    end: int
    loan: Loan
    line: int
    row: int

    def values(self, first: int, end: int, columns: slice) -> Float32:
        """Give the values of some of the channels."""
        begin = self.row + first - self.first
        return self.loan.values[self.line, begin : begin + end - first, columns]


class _Line:
    """What is done of one line, in parts that do not overlap."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []

    def done(self) -> Coverage:
        """Tell which channels are done and still there."""
        self.parts = [part for part in self.parts if part.loan.valid]
        done = Coverage()
        for part in self.parts:
            done.add(part.first, part.end)
        return done

    def take(self, first: int, end: int, columns: slice) -> Float32 | None:
        """Give the values of the channels from `first` up to `end`, those that are not done as NaN; None if none is."""
        parts = [part for part in self.parts if part.loan.valid and part.first < end and first < part.end]
        if not parts:
            return None
        if parts[0].first <= first and end <= parts[0].end:
            return parts[0].values(first, end, columns)
        joined = np.full((end - first, columns.stop - columns.start), np.nan, np.float32)
        for part in parts:
            low, high = max(part.first, first), min(part.end, end)
            joined[low - first : high - first] = part.values(low, high, columns)
        return joined


class Tiles:
    """The lines of one fibre: `plan` on the thread that writes samples, then `compute` and `row` on any one thread."""

    def __init__(self, samples: FibreSamples, kept_bytes: int = _KEPT_BYTES) -> None:
        self._samples = samples
        self._arena = Arena(kept_bytes)
        self._maker = LineMaker(Unit(samples.fibre.fs, float(samples.fibre.scale)))
        self._lines: OrderedDict[tuple[LineGrid, int], _Line] = OrderedDict()

    def plan(self, wanted: Iterable[Wanted]) -> list[Piece]:
        """Find what must be computed: what is wanted, whose samples are there, and what is not done yet."""
        self._forget_old()
        channels: dict[tuple[LineGrid, int], Coverage] = {}
        for want in wanted:
            channels.setdefault((want.grid, want.line), Coverage()).add(want.first_channel, want.last_channel + 1)
        pieces: list[Piece] = []
        for (grid, line), coverage in sorted(channels.items(), key=_by_kind_and_number):
            missing = tuple(self._computable(grid, line, coverage))
            if not missing:
                continue
            last = pieces[-1] if pieces else None
            if last and last.grid == grid and last.line + last.count == line and last.channels == missing:
                pieces[-1] = Piece(grid, last.line, last.count + 1, missing)
            else:
                pieces.append(Piece(grid, line, 1, missing))
        return pieces

    def compute(self, pieces: Iterable[Piece]) -> None:
        """Compute what was planned."""
        for piece in pieces:
            self._compute(piece)

    def row(self, want: Wanted, first_value: int, last_value: int) -> Float32 | None:
        """Give values [channel, value] of a line, missing channels as NaN; None when no channel is there."""
        line = self._lines.get((want.grid, want.line))
        if line is None:
            return None
        return line.take(want.first_channel, want.last_channel + 1, slice(first_value, last_value + 1))

    def _computable(self, grid: LineGrid, line: int, wanted: Coverage) -> Iterator[tuple[int, int]]:
        ring = self._samples.ring
        begin, end = grid.first_sample(line), grid.end_sample(line)
        done = self._lines[grid, line].done() if (grid, line) in self._lines else Coverage()
        found = Coverage()
        for low, high in wanted.parts(1, ring.channels + 1):
            for first, last in _by_group(low, high):
                if ring.holds(_group(first), begin, end):
                    for part in done.holes(first, last):
                        found.add(*part)
        return found.parts(1, ring.channels + 1)

    def _compute(self, piece: Piece) -> None:
        grid = piece.grid
        end = grid.end_sample(piece.line + piece.count - 1)
        segment = self._samples.ring.read(_rows(piece.channels), grid.first_sample(piece.line), end)
        loan = self._arena.lend((piece.count, len(segment), grid.values))
        self._maker.make(segment, grid, loan.values)
        for index in range(piece.count):
            self._store(piece, index, loan)

    def _store(self, piece: Piece, index: int, loan: Loan) -> None:
        line = self._lines.setdefault((piece.grid, piece.line + index), _Line())
        begin = piece.grid.first_sample(piece.line + index)
        row = 0
        for first, end in piece.channels:
            if not any(self._samples.ring.overwritten(_group(low), begin) for low, _ in _by_group(first, end)):
                line.parts.append(_Part(first, end, loan, index, row))
            row += end - first

    def _forget_old(self) -> None:
        while self._lines and (len(self._lines) > _KEPT_LINES or not next(iter(self._lines.values())).done()):
            self._lines.popitem(last=False)


def _group(channel: int) -> int:
    return (channel - 1) // GROUP_CHANNELS


def _by_group(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Split the channels from `low` up to `high` where a group of channels ends."""
    while low < high:
        end = min(high, (_group(low) + 1) * GROUP_CHANNELS + 1)
        yield low, end
        low = end


def _rows(channels: tuple[tuple[int, int], ...]) -> Rows:
    """Give the rows of the ring that hold these channels: a slice if they can be one."""
    if len(channels) == 1:
        return slice(channels[0][0] - 1, channels[0][1] - 1)
    return np.concatenate([np.arange(low - 1, high - 1) for low, high in channels])


def _by_kind_and_number(item: tuple[tuple[LineGrid, int], Coverage]) -> tuple[int, int, int]:
    (grid, line), _ = item
    return grid.nfft or 0, grid.hop, line
