"""A job: what was asked for, what was answered, who watches, how it is doing. Its two kinds are live and historic."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from focus_server.analyzer.cost import Load
from focus_server.analyzer.fibre import Fibre
from focus_server.analyzer.grid import LineGrid
from focus_server.analyzer.rows import Shape
from focus_server.analyzer.viewer import End
from focus_server.contract import (
    Channels,
    ConfigureAnswer,
    ConfigureRequest,
    JobSummary,
    View,
    request_bins,
    stream_groups,
)
from focus_server.recordings import RecordingEntry
from focus_server.settings import AnalyzerSettings


class JobRecord(BaseModel):
    """A job as it lies on disk, so that a new process can go on with it. Without recordings it is a live one."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1, 2, 3] = 3
    serial: int
    key: str | None = None
    viewer: str | None = None
    created: datetime
    fibre: Fibre
    request: ConfigureRequest
    """As the client asked for it, whatever commands have changed since."""
    answer: ConfigureAnswer
    recordings: tuple[RecordingEntry, ...] = ()
    roi: Channels | None = None
    """The channels that a command has put in place of those that were asked for."""

    @property
    def channels(self) -> Channels:
        """The channels that the job has now."""
        return self.roi or self.request.channels


class State(StrEnum):
    """What a job is doing."""

    FILLING = "filling"
    """Its first line still needs samples that have not come."""
    READY = "ready"
    """Lines can be made, but nobody watches."""
    LIVE = "live"
    PLAYING = "playing"
    FINISHED = "finished"
    """All streams of a historic job were played to their end, and nobody watches any more."""
    ENDED = "ended"
    LOST = "lost"


class Share(Protocol):
    """What one viewer gets of a stream."""

    async def next(self) -> bytes | End:
        """Wait for the next message; or for the end."""


class Job(ABC):
    """What both kinds have in common. Times are seconds of a monotonic clock, given by the caller."""

    mode: ClassVar[Literal["live", "historic"]]

    def __init__(self, record: JobRecord, now_s: float) -> None:
        self.record = record
        self.id = record.answer.job_id
        self.fibre = record.fibre
        grid = record.answer.metadata.grid
        self.grid = LineGrid(None if record.request.is_waterfall else grid.nfft, grid.hop)
        self.first_line = grid.first_line
        self.first_value, self.last_value = _values(record)
        self.shapes = self._shapes()
        self.ever_watched = False
        self.lines_made = 0
        """Lines that were made, once for each stream."""
        self.last_activity = datetime.now(UTC)
        self._idle_since_s = now_s

    @property
    def load(self) -> Load:
        """What a live job computes all the time that somebody watches."""
        return Load(self.grid, self.record.channels.min, self.record.channels.max)

    @property
    @abstractmethod
    def viewers(self) -> int:
        """How many streams are being watched, by all viewers together."""

    @property
    @abstractmethod
    def missing_lines(self) -> int:
        """Lines that no channel had."""

    @property
    @abstractmethod
    def dropped_lines(self) -> int:
        """Lines dropped for slow viewers."""

    @abstractmethod
    def state(self, ready_in_s: float) -> State:
        """Tell what the job is doing when its first line can be made in so many seconds."""

    @abstractmethod
    def watched(self, stream: int) -> AbstractContextManager[Share]:
        """Let somebody watch a stream for as long as the context is open. Raises `Refusal` 503 when too many do."""

    @abstractmethod
    def end_streams(self, end: End) -> None:
        """Tell all viewers why there is no more."""

    @abstractmethod
    def expired(self, settings: AnalyzerSettings, now_s: float) -> str | None:
        """Say why the job should end now; None when it should not."""

    @property
    @abstractmethod
    def waiting(self) -> tuple[int, int]:
        """How many messages wait for viewers, and how many bytes of rows those are."""

    def become(self, record: JobRecord) -> None:
        """Go on as a changed record of the same job; the amount of streams is what it was."""
        self.record = record
        shapes = self._shapes()
        if shapes != self.shapes:
            self.shapes = shapes
            self._reshape()

    def keep_alive(self, now_s: float) -> None:
        """Take note that somebody still wants the job, also while nobody watches."""
        self.last_activity = datetime.now(UTC)
        self._idle_since_s = now_s

    def idle_s(self, now_s: float) -> float:
        """How long nobody has watched or asked to keep the job, in seconds."""
        return 0.0 if self.viewers else now_s - self._idle_since_s

    def summary(self, state: State) -> JobSummary:
        """Describe the job in the list of all jobs."""
        request = self.record.request
        return JobSummary(
            job_id=self.id,
            view_type=int(request.view_type),
            mode=self.mode,
            state=state,
            channels=self.record.channels,
            nfft=request.effective_nfft,
            viewers=self.viewers,
            created=self.record.created.isoformat(),
            last_activity=self.last_activity.isoformat(),
        )

    def _unwatched(self, settings: AnalyzerSettings, now_s: float) -> str | None:
        """Say that nobody has watched for too long; None when that is not so."""
        allowed_s = settings.job_idle_s if self.ever_watched else settings.job_unconnected_s
        return f"Nobody watched job {self.id} for {allowed_s:g} s." if self.idle_s(now_s) > allowed_s else None

    @abstractmethod
    def _reshape(self) -> None:
        """Let the viewers go on with the new shapes, at the next line."""

    def _shapes(self) -> tuple[Shape, ...]:
        return _shapes(self.record, self.last_value - self.first_value + 1)

    def _joined(self) -> None:
        self.ever_watched = True
        self.last_activity = datetime.now(UTC)

    def _left(self, now_s: float) -> None:
        self.last_activity = datetime.now(UTC)
        if not self.viewers:
            self._idle_since_s = now_s


def _values(record: JobRecord) -> tuple[int, int]:
    """Give the first and last value of each channel in a row: bins, or the single one of a waterfall."""
    return request_bins(record.request, record.fibre.fs) or (0, 0)


def _shapes(record: JobRecord, values: int) -> tuple[Shape, ...]:
    channels, view = record.channels, record.request.view_type
    groups = stream_groups(channels.min, channels.max, record.answer.stream_amount)
    return tuple(
        Shape(
            first_channel=low,
            last_channel=high,
            x=high - low + 1 if view is View.WATERFALL else values,
            z=None if view is View.WATERFALL else high - low + 1,
            job_serial=record.serial,
        )
        for low, high in groups
    )
