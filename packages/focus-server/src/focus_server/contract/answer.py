"""What the server answers: jobs, the fibre's description, health; every model is what a client reads."""

from fractions import Fraction
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from focus_server.contract.display import Display
from focus_server.contract.request import Channels, DisplayInfo


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", serialize_by_alias=True, validate_by_name=True)


class Grid(_Answer):
    """The fibre's own grid of lines, which gives the exact time and the samples of every row.

    Row r of the job is line p = first_line + r. With fs = fs_num/fs_den in samples per second it covers the samples
    p·hop up to p·hop + nfft of the fibre, and sample n was taken at t0_ns + n·10⁹/fs nanoseconds since 1970 (UTC).
    A waterfall's row covers hop samples instead, and its nfft is 1.
    """

    t0_ns: int
    fs_num: int
    fs_den: int
    first_line: int
    hop: int
    nfft: int

    def row_ms(self, row: int) -> tuple[int, int]:
        """Give when a row's first sample was taken and when its last one ends, in ms, each rounded to the nearest."""
        first = (self.first_line + row) * self.hop
        return self._ms(first), self._ms(first + max(self.nfft, self.hop))

    def _ms(self, sample: int) -> int:
        return round(Fraction(self.t0_ns * self.fs_num + sample * 10**9 * self.fs_den, self.fs_num * 10**6))


class LoweredRate(_Answer):
    """The line rate (lines per second) that was asked for cost too much; this is what the job has instead."""

    asked_lines_per_second: float
    lines_per_second: float
    reason: str


class JobMetadata(_Answer):
    """What a viewer needs to read a job's rows: fs in samples/s, dx in m, `ready_in_s` until the first row exists.

    `lines`, `recording_ids` and `left_out` are a historic job's: its `row_index` is below `lines`, the recordings that
    it plays, and those in its time range that it cannot play with them, because they are another fibre's.
    """

    units: str
    fs: float
    dx: float
    recording_ids: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    lines: int | None = None
    ready_in_s: float
    lowered: LoweredRate | None = None
    grid: Grid
    display: Display = Display()
    """What commands have set, while the job lives."""
    display_info: DisplayInfo = Field(alias="displayInfo")
    duration_s: float | None = Field(default=None, alias="displayTimeAxisDuration")

    @property
    def historic(self) -> bool:
        """True when the job plays recordings, false when it shows the live fibre."""
        return bool(self.recording_ids)


class ConfigureAnswer(_Answer):
    """A job that was made: where its streams are and what they carry. `lines_dt` is in s, `frequencies_list` in Hz."""

    status: Literal["success"] = "success"
    job_id: str
    stream_url: str
    stream_port: int
    stream_amount: int
    channel_to_stream_index: dict[str, int]
    channel_amount: int
    frequencies_list: list[float]
    frequencies_amount: int
    lines_dt: float
    view_type: int
    metadata: JobMetadata


class LiveMetadata(_Answer):
    """The fibre as it is now: `prr` in samples per second and channel, distances in m."""

    prr: float
    num_samples_per_trace: int
    dtype: str
    dx: float
    fiber_start_meters: float
    fiber_length_meters: float
    sw_version: str
    number_of_channels: int
    fiber_description: str
    fiber_source: dict[str, Any]


class ChannelRange(_Answer):
    """The channel numbers that the fibre has, both ends included."""

    lowest_channel: int
    highest_channel: int


class SensorList(_Answer):
    """The fibre's sensors, counted from 0."""

    sensors: list[int]


class JobSummary(_Answer):
    """One job in the list of all jobs; times are ISO 8601, UTC. `nfft` is null for a waterfall."""

    job_id: str
    view_type: int
    mode: Literal["live", "historic"]
    state: str
    channels: Channels
    nfft: int | None
    viewers: int
    created: str
    last_activity: str


class JobList(_Answer):
    """All jobs that live."""

    jobs: list[JobSummary]


class JobEnded(_Answer):
    """A job that was there and is gone now."""

    status: Literal["success"] = "success"
    job_id: str


class JobState(_Answer):
    """How a job is doing: lines that no channel had, and lines dropped for slow viewers, are counted apart."""

    state: str
    ready_in_s: float
    viewers: int
    missing_lines: int
    dropped_lines: int


class Dependency(_Answer):
    """Something the server needs, in one word (`up`, `live`, `down`, ...) and one sentence."""

    state: str
    detail: str


class Feed(Dependency):
    """The live fibre; the age is in seconds and null before the first block."""

    newest_sample_age_s: float | None = None


class AnalyzerStatus(_Answer):
    """What the analyzer says about itself and what it depends on."""

    rabbitmq: Dependency
    feed: Feed
    jobs: int


class Health(_Answer):
    """Whether everything the server depends on works; otherwise `error` and `detail` say what does not.

    `degraded`: historic views do not work, live ones do. `unhealthy`: live views do not work.
    """

    status: Literal["healthy", "degraded", "unhealthy"]
    dependencies: dict[str, Dependency]
    error: str | None = None
    detail: str | None = None


class Version(_Answer):
    """The version of the server."""

    version: str
