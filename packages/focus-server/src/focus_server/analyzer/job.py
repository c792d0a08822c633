"""A job: what was asked for, what was answered, its streams, and how far along the fibre's lines it is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from focus_server.analyzer.fibre import Fibre
from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.rows import Batch, Shape
from focus_server.analyzer.tiles import Wanted
from focus_server.analyzer.viewer import End, Viewer
from focus_server.contract import (
    ConfigureAnswer,
    ConfigureRequest,
    JobSummary,
    View,
    request_bins,
    stream_amount,
    stream_groups,
)

_ROW_NUMBERS: Final = 2**31


class JobRecord(BaseModel):
    """A job as it lies on disk, so that a new process can go on with it."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    serial: int
    key: str | None = None
    created: datetime
    fibre: Fibre
    request: ConfigureRequest
    answer: ConfigureAnswer


class State(StrEnum):
    """What a job is doing."""

    FILLING = "filling"
    """Its first line still needs samples that have not come."""
    READY = "ready"
    """Lines can be made, but nobody watches."""
    LIVE = "live"
    ENDED = "ended"
    LOST = "lost"


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

    def wanted(self, grid: LineGrid, line: int) -> Wanted:
        """Give the part of a line that the stream carries."""
        return Wanted(grid, line, self.shape.first_channel, self.shape.last_channel)

    def deliver(self, batch: Batch) -> None:
        """Hand rows to all viewers."""
        self.newest = batch if len(batch.rows) == 1 else Batch(batch.shape, batch.rows[-1:])
        for viewer in self.viewers:
            viewer.offer(batch)


class Job:
    """A live job. `wake` is called when somebody starts to watch."""

    def __init__(self, record: JobRecord, now_s: float, wake: Callable[[], None]) -> None:
        self.record = record
        self.id = record.answer.job_id
        self.fibre = record.fibre
        grid = record.answer.metadata.grid
        self.grid = LineGrid(None if record.request.is_waterfall else grid.nfft, grid.hop)
        self.first_line = grid.first_line
        self.first_value, self.last_value = _values(record)
        self.streams = _streams(record)
        self.missing_lines = 0
        self._missing_end = 0
        self.ever_watched = False
        self.last_activity = datetime.now(UTC)
        self._idle_since_s = now_s
        self._dropped_lines = 0
        self._wake = wake

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
    def dropped_lines(self) -> int:
        """Lines dropped for slow viewers."""
        return self._dropped_lines + sum(viewer.dropped_lines for stream in self.streams for viewer in stream.viewers)

    def idle_s(self, now_s: float) -> float:
        """How long nobody has watched, in seconds."""
        return 0.0 if self.viewers else now_s - self._idle_since_s

    def join(self, stream: Stream, viewer: Viewer) -> None:
        """Let a viewer watch a stream; it gets the newest line at once."""
        if not stream.viewers:
            stream.next_line = None
        elif stream.newest is not None:
            viewer.offer(stream.newest)
        stream.viewers.add(viewer)
        self.ever_watched = True
        self.last_activity = datetime.now(UTC)
        self._wake()

    def leave(self, stream: Stream, viewer: Viewer, now_s: float) -> None:
        """Let a viewer go."""
        stream.viewers.discard(viewer)
        self._dropped_lines += viewer.dropped_lines
        self.last_activity = datetime.now(UTC)
        if not stream.viewers:
            stream.newest = None
        if not self.viewers:
            self._idle_since_s = now_s

    def end_streams(self, end: End) -> None:
        """Tell all viewers why there is no more."""
        for stream in self.streams:
            for viewer in stream.viewers:
                viewer.end(end)

    def missing(self, first: int, end: int) -> None:
        """Count the lines from `first` up to `end` as lines that no channel had, each once for all streams."""
        first = max(first, self._missing_end)
        self.missing_lines += max(0, end - first)
        self._missing_end = max(self._missing_end, end)

    def summary(self, state: State) -> JobSummary:
        """Describe the job in the list of all jobs."""
        request = self.record.request
        return JobSummary(
            job_id=self.id,
            view_type=int(request.view_type),
            mode="live",
            state=state,
            channels=request.channels,
            nfft=request.effective_nfft,
            viewers=self.viewers,
            created=self.record.created.isoformat(),
            last_activity=self.last_activity.isoformat(),
        )


def _values(record: JobRecord) -> tuple[int, int]:
    """Give the first and last value of each channel in a row: bins, or the single one of a waterfall."""
    return request_bins(record.request, record.fibre.fs) or (0, 0)


def _streams(record: JobRecord) -> list[Stream]:
    first, last = _values(record)
    channels, view = record.request.channels, record.request.view_type
    groups = stream_groups(channels.min, channels.max, stream_amount(view, channels.amount))
    return [
        Stream(
            index=index,
            shape=Shape(
                first_channel=low,
                last_channel=high,
                x=high - low + 1 if view is View.WATERFALL else last - first + 1,
                z=None if view is View.WATERFALL else high - low + 1,
                job_serial=record.serial,
            ),
            viewers=set(),
        )
        for index, (low, high) in enumerate(groups)
    ]
