"""What the server asks of whoever owns the jobs; it keeps nothing itself, so it can restart under running streams."""

from collections.abc import Sequence
from typing import Protocol

from focus_server.contract import (
    AnalyzerStatus,
    ChannelRange,
    ConfigureAnswer,
    ConfigureRequest,
    JobList,
    JobState,
    LiveMetadata,
)
from focus_server.recordings import RecordingEntry


class Orchestrator(Protocol):
    """Owner of all jobs. Every method raises `Refusal` with the status that the client shall see."""

    async def status(self) -> AnalyzerStatus:
        """Tell how the analyzer and what it depends on are doing."""

    async def live_metadata(self) -> LiveMetadata:
        """Describe the live fibre."""

    async def channels(self) -> ChannelRange:
        """Give the channel numbers of the fibre."""

    async def configure(
        self,
        request: ConfigureRequest,
        key: str | None = None,
        recordings: Sequence[RecordingEntry] | None = None,
    ) -> ConfigureAnswer:
        """Make a job, of recordings or live. A second call makes a second job, unless both carry the same key."""

    async def jobs(self) -> JobList:
        """List the jobs that live."""

    async def job(self, job_id: str) -> ConfigureAnswer:
        """Give what `configure` answered for this job."""

    async def state(self, job_id: str) -> JobState:
        """Tell how a job is doing."""

    async def cancel(self, job_id: str) -> None:
        """End a job, its streams and its port."""
