"""What the server asks of whoever owns the jobs; it keeps nothing itself, so it can restart under running streams."""

from collections.abc import Sequence
from typing import Protocol

from focus_server.contract import (
    AnalyzerFigures,
    AnalyzerStatus,
    ChannelRange,
    ConfigureAnswer,
    ConfigureRequest,
    Displays,
    JobList,
    JobState,
    LiveMetadata,
)
from focus_server.recordings import RecordingEntry


class Orchestrator(Protocol):
    """Owner of all jobs. Every method raises `Refusal` with the status that the client shall see."""

    async def status(self) -> AnalyzerStatus:
        """Tell how the analyzer and what it depends on are doing."""

    async def figures(self) -> AnalyzerFigures:
        """Tell what the analyzer has done since it started."""

    async def live_metadata(self) -> LiveMetadata:
        """Describe the live fibre."""

    async def channels(self) -> ChannelRange:
        """Give the channel numbers of the fibre."""

    async def configure(
        self,
        request: ConfigureRequest,
        key: str | None = None,
        recordings: Sequence[RecordingEntry] | None = None,
        viewer: str | None = None,
    ) -> ConfigureAnswer:
        """Make a job, of recordings or live, for a viewer if it says who it is.

        A second call makes a second job, unless both carry the same key.

        A key that begins with `TASK_KEY` keeps one job: another request with it makes a job that replaces the earlier.
        """

    async def jobs(self, key: str | None = None) -> JobList:
        """List the jobs that live; with a key only those that were made with it, the newest last."""

    async def job(self, job_id: str) -> ConfigureAnswer:
        """Give what `configure` answered for this job."""

    async def state(self, job_id: str) -> JobState:
        """Tell how a job is doing."""

    async def displays(self, after: int) -> Displays:
        """Give the displays that have changed after a revision; it may wait a moment for one."""

    async def cancel(self, job_id: str) -> None:
        """End a job, its streams and its port."""
