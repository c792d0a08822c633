"""One viewer's pass through a stream of a historic job: message after message, each time the same bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from focus_server.analyzer.fibre import Fibre
from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.history.recorded import Missing, Recorded, Samples
from focus_server.analyzer.history.reel import Reel
from focus_server.analyzer.lines import LineMaker
from focus_server.analyzer.rows import Batch, Row, Shape
from focus_server.analyzer.spectrum import Float32, Unit
from focus_server.recordings import RecordingEntry

_MESSAGE_BYTES: Final = 2**20
_ROW_OVERHEAD_BYTES: Final = 32
"""Number and time of a row, and the lengths around its values, at most."""
_MESSAGE_LINES: Final = 1024
_MESSAGE_SAMPLES: Final = 2**24
"""Samples that one message may be made of, if it has more than one line: so that the first one comes soon."""
_STEP_VALUES: Final = 2**20
"""Samples, and values, that are in memory at once, unless a single line needs more."""
_BLOCK_SAMPLES: Final = 2**22
"""Samples of one line that are in memory at once; a line of more is made of some channels after others."""


@dataclass(frozen=True, slots=True)
class Score:
    """What is played: lines `first_line` up to `end_line` of a grid, some channels and values of them.

    `playrate` is how many seconds are played in one, None for as fast as possible.
    """

    fibre: Fibre
    grid: LineGrid
    first_line: int
    end_line: int
    shape: Shape
    first_value: int
    last_value: int
    playrate: float | None = None

    @property
    def channels(self) -> int:
        """How many channels are played."""
        return self.shape.last_channel - self.shape.first_channel + 1

    def lines_per_message(self, longest_s: float) -> int:
        """Count the lines of one message, which are played in `longest_s` or less."""
        row_bytes = 4 * self.channels * (self.last_value - self.first_value + 1) + _ROW_OVERHEAD_BYTES
        line_samples = self.channels * self.grid.hop
        most = min(_MESSAGE_BYTES // row_bytes, _MESSAGE_LINES, _MESSAGE_SAMPLES // line_samples)
        if self.playrate is not None:
            most = min(most, int(longest_s * self.playrate * self.fibre.fs / self.grid.hop))
        return max(1, most)


@dataclass(frozen=True, slots=True)
class Passage:
    """The lines up to `end_line`: the message that holds them, or none where no line is, and those that are missing."""

    end_line: int
    message: bytes | None
    missing: tuple[tuple[int, int], ...]


class Stopped(Exception):  # noqa: N818 - it is what was asked for
    """What is being made is not wanted any more."""


class Cursor:
    """A pass from the first line, or a later one, to the last. Its methods block; one thread at a time may use it.

    Messages end at every `lines_per_message` lines from the first one on, whether lines are missing or not. With a
    spectrum of its own, a pass depends on nothing but the files.
    """

    def __init__(
        self, score: Score, recordings: Sequence[RecordingEntry], longest_s: float, begin_line: int | None = None
    ) -> None:
        self._score = score
        self._recorded = Recorded(recordings)
        self._maker = LineMaker(Unit(score.fibre.fs, float(score.fibre.scale)))
        self._lines = score.lines_per_message(longest_s)
        self._steps = _Steps(score, self._recorded)
        self._line = score.first_line if begin_line is None else begin_line

    def next(self) -> Passage | None:
        """Give the next message, or the next stretch that has none; None at the end. Raises `Stopped` after `stop`."""
        first, end = self._line, min(self._line + self._lines, self._score.end_line)
        if first >= end:
            return None
        if not any(True for _ in self._parts(first, end)):
            self._line = end = self._next_message(end)
            return Passage(end, None, ((first, end),))
        self._line = end
        rows: list[Row] = []
        missing: list[tuple[int, int]] = []
        clock, grid = self._score.fibre.clock, self._score.grid
        for line, values in self._made(first, end):
            if values is None:
                missing.append((line, line + 1))
            else:
                stamp_ms = clock.time_ms(grid.centre(line))
                rows.append(Row.of(line - self._score.first_line, stamp_ms, values.copy()))
        message = Batch(self._score.shape, rows).message if rows else None
        return Passage(end, message, tuple(missing))

    def stop(self) -> None:
        """Let a `next` that is at work end soon; from any thread."""
        self._steps.stopped = True

    def close(self) -> None:
        """Close all files."""
        self._recorded.close()

    def _parts(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Give what the recordings hold of the lines from `first` up to `end`."""
        grid = self._score.grid
        return self._recorded.coverage.parts(grid.first_sample(first), grid.end_sample(end - 1))

    def _next_message(self, line: int) -> int:
        """Give the first line from `line` on with which a message begins that there are samples for, or the end."""
        score = self._score
        begin = self._recorded.coverage.next_begin(score.grid.first_sample(line))
        if begin is None:
            return score.end_line
        messages = (score.grid.newest_line(begin) + 1 - score.first_line) // self._lines
        return min(max(line, score.first_line + messages * self._lines), score.end_line)

    def _made(self, first: int, end: int) -> Iterator[tuple[int, Float32 | None]]:
        """Compute lines: each with its values [channel, value], valid until the next one; None for a missing line."""
        while first < end:
            until = min(end, first + self._steps.lines)
            values, there = self._steps.make(self._maker, first, until)
            for index, line in enumerate(range(first, until)):
                yield line, values[index] if there[index] else None
            first = until


class _Steps:
    """Memory for `lines` lines at a time, and how they are made in it."""

    def __init__(self, score: Score, recorded: Recorded) -> None:
        self._score = score
        self._recorded = recorded
        grid, channels = score.grid, score.channels
        self.lines = max(
            1, min(_STEP_VALUES // (channels * grid.hop), _STEP_VALUES // (channels * grid.values), _MESSAGE_LINES)
        )
        width = min(channels, max(1, _BLOCK_SAMPLES // grid.span))
        if width < channels:
            self.lines = 1
        self._blocks = [(low, min(low + width, channels)) for low in range(0, channels, width)]
        samples = np.empty((width, (self.lines - 1) * grid.hop + grid.span), score.fibre.sample_type)
        self._samples = samples
        self._reel = Reel(recorded, score.shape.first_channel, samples)
        self._values = np.empty((self.lines, channels, score.last_value - score.first_value + 1), np.float32)
        whole = self._values.shape[2] == grid.values
        self._all_values = None if whole else np.empty((self.lines, width, grid.values), np.float32)
        self.stopped = False

    def make(self, maker: LineMaker, first: int, end: int) -> tuple[Float32, list[bool]]:
        """Make lines: values [line, channel, value], missing channels as NaN, and which lines have any channel."""
        score, count = self._score, end - first
        there = [False] * count
        for low, high in self._blocks:
            if self.stopped:
                raise Stopped
            samples, missing = self._take(low, high, first, end)
            target = self._values[:count, low:high]
            if missing is not None and missing.all():
                target[:] = np.nan
                continue
            if self._all_values is None:
                maker.make(samples, score.grid, target)
            else:
                values = self._all_values[:count, : high - low]
                maker.make(samples, score.grid, values)
                target[:] = values[:, :, score.first_value : score.last_value + 1]
            for index in range(count):
                there[index] |= missing is None or self._mark(target[index], missing, index)
        return self._values[:count], there

    def _take(self, low: int, high: int, first: int, end: int) -> tuple[Samples, Missing | None]:
        grid = self._score.grid
        begin, until = grid.first_sample(first), grid.end_sample(end - 1)
        if len(self._blocks) == 1:
            return self._reel.take(begin, until)
        samples = self._samples[: high - low, : until - begin]
        return samples, self._recorded.read(begin, self._score.shape.first_channel + low, samples)

    def _mark(self, values: Float32, missing: Missing, index: int) -> bool:
        """Make the channels NaN that lack a sample of line `index`; False when all do."""
        grid = self._score.grid
        gone = missing[:, index * grid.hop : index * grid.hop + grid.span].any(axis=1)
        values[gone] = np.nan
        return not gone.all()
