"""A live job: its streams, and how far along the fibre's lines each of them is."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.job import Job, JobRecord, State
from focus_server.analyzer.rows import Batch, Shape
from focus_server.analyzer.tiles import Wanted
from focus_server.analyzer.viewer import End, Viewer, ViewerLimits
from focus_server.settings import AnalyzerSettings

_ROW_NUMBERS: Final = 2**31


@dataclass(eq=False, slots=True)
class Stream:
    """One stream of a job: a range of its channels."""

    index: int
    shape: Shape
    viewers: set[Viewer]
    next_line: int | None = None
    """The next line to be sent; None when somebody just began to watch, and the newest one comes first."""
    newest: Batch | None = None

    @property
    def channels(self) -> int:
        """How many channels the stream carries."""
        return self.shape.last_channel - self.shape.first_channel + 1

    def reshaped(self, shape: Shape) -> "Stream":
        """Give the stream that goes on with these viewers at the same line; lines in the making are lost to this one.

        It is another one, because the thread that makes lines may be reading this one.
        """
        viewers, self.viewers = self.viewers, set()
        return Stream(self.index, shape, viewers, self.next_line)

    def wanted(self, grid: LineGrid, line: int) -> Wanted:
        """Give the part of a line that the stream carries."""
        return Wanted(grid, line, self.shape.first_channel, self.shape.last_channel)

    def deliver(self, batch: Batch) -> None:
        """Hand rows to all viewers."""
        self.newest = batch
        for viewer in self.viewers:
            viewer.offer(batch)


class LiveJob(Job):
    """Shows the fibre as it comes. `wake` is called when somebody starts to watch."""

    mode = "live"

    def __init__(self, record: JobRecord, now_s: float, limits: ViewerLimits, wake: Callable[[], None]) -> None:
        super().__init__(record, now_s)
        self.streams = [Stream(index, shape, set()) for index, shape in enumerate(self.shapes)]
        self._limits = limits
        self._wake = wake
        self._missing_lines = 0
        self._missing_end = 0
        self._dropped_lines = 0

    @property
    def viewers(self) -> int:
        """How many streams are being watched, by all viewers together."""
        return sum(len(stream.viewers) for stream in self.streams)

    @property
    def end_line(self) -> int:
        """The line after the last one whose number fits into `row_index`."""
        return self.first_line + _ROW_NUMBERS

    @property
    def used_up(self) -> bool:
        """True when there is no number left for another row: after years at 20 lines per second."""
        return any(stream.next_line is not None and stream.next_line >= self.end_line for stream in self.streams)

    @property
    def missing_lines(self) -> int:
        """Lines that no channel had."""
        return self._missing_lines

    @property
    def dropped_lines(self) -> int:
        """Lines dropped for slow viewers."""
        return self._dropped_lines + sum(viewer.dropped_lines for stream in self.streams for viewer in stream.viewers)

    @property
    def waiting(self) -> tuple[int, int]:
        """How many messages wait for viewers, and how many bytes of rows those are."""
        waiting = [viewer.waiting for stream in self.streams for viewer in stream.viewers]
        return sum(messages for messages, _ in waiting), sum(size for _, size in waiting)

    def state(self, ready_in_s: float) -> State:
        """Tell what the job is doing when its first line can be made in so many seconds."""
        if ready_in_s > 0:
            return State.FILLING
        return State.LIVE if self.viewers else State.READY

    @contextmanager
    def watched(self, stream: int) -> Iterator[Viewer]:
        """Let somebody watch a stream for as long as the context is open; the newest line comes at once."""
        viewer = Viewer(self._limits)
        self._join(self.streams[stream], viewer)
        try:
            yield viewer
        finally:
            self._leave(self.streams[stream], viewer, time.monotonic())

    def end_streams(self, end: End) -> None:
        """Tell all viewers why there is no more."""
        for stream in self.streams:
            for viewer in stream.viewers:
                viewer.end(end)

    def expired(self, settings: AnalyzerSettings, now_s: float) -> str | None:
        """Say why the job should end now; None when it should not."""
        used_up = f"Job {self.id} has no row numbers left; make a new one." if self.used_up else None
        return used_up or self._unwatched(settings, now_s)

    def missing(self, first: int, end: int) -> None:
        """Count the lines from `first` up to `end` as lines that no channel had, each once for all streams."""
        first = max(first, self._missing_end)
        self._missing_lines += max(0, end - first)
        self._missing_end = max(self._missing_end, end)

    def _reshape(self) -> None:
        self.streams = [stream.reshaped(shape) for stream, shape in zip(self.streams, self.shapes, strict=True)]
        self._wake()

    def _join(self, stream: Stream, viewer: Viewer) -> None:
        if not stream.viewers:
            stream.next_line = None
        elif stream.newest is not None:
            viewer.offer(stream.newest.newest())
        stream.viewers.add(viewer)
        self._joined()
        self._wake()

    def _leave(self, stream: Stream, viewer: Viewer, now_s: float) -> None:
        stream.viewers.discard(viewer)
        self._dropped_lines += viewer.dropped_lines
        if not stream.viewers:
            stream.newest = None
        self._left(now_s)
