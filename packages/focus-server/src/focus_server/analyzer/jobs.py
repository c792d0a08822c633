"""The jobs that live: found, listed, ended, expired."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Never

import grpc
import structlog

from focus_server.analyzer.configure import ready_in_s
from focus_server.analyzer.cost import Load
from focus_server.analyzer.displays import DisplayBoard
from focus_server.analyzer.feed import Feed
from focus_server.analyzer.fibre import Fibre
from focus_server.analyzer.job import Job, JobRecord, State
from focus_server.analyzer.journal import Journal
from focus_server.analyzer.live import LiveJob
from focus_server.analyzer.store import JobStore
from focus_server.analyzer.stream import JobServer
from focus_server.analyzer.tally import Cause, Tally
from focus_server.analyzer.viewer import End
from focus_server.contract import Displays, JobState, JobSummary, Refusal
from focus_server.settings import AnalyzerSettings

_log = structlog.get_logger()

_LOOK_S: Final = 0.25
"""How often idle jobs are looked for."""
_TOUCH_S: Final = 10.0
"""How often the files of living jobs are touched, so that a later process knows how old they are."""


@dataclass(frozen=True, slots=True)
class _Gone:
    """What is remembered for a while of a job that did not end by its client's wish."""

    summary: JobSummary
    reason: str
    until_s: float


class Jobs:
    """All jobs of one analyzer, each with its server. What happens to them is noted in the journal, if there is one."""

    def __init__(self, settings: AnalyzerSettings, feed: Feed, store: JobStore, journal: Journal | None = None) -> None:
        self._settings = settings
        self._feed = feed
        self._store = store
        self._journal = Journal(None) if journal is None else journal
        self._jobs: dict[str, tuple[Job, JobServer]] = {}
        self._gone: dict[str, _Gone] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._displays = DisplayBoard()
        self.tally = Tally()

    def __len__(self) -> int:
        return len(self._jobs)

    def living(self) -> list[Job]:
        """Give all jobs that live."""
        return [job for job, _ in self._jobs.values()]

    def live(self) -> list[LiveJob]:
        """Give all live jobs."""
        return [job for job, _ in self._jobs.values() if isinstance(job, LiveJob)]

    def loads(self, but: Collection[Job] = ()) -> list[Load]:
        """Give what all live jobs compute, but for some."""
        return [job.load for job in self.live() if job not in but]

    def add(self, job: Job, server: JobServer) -> None:
        """Let a job live; its server is open already."""
        server.job = job
        self._jobs[job.id] = (job, server)
        self._journal.note(job, self._state(job))

    def get(self, job_id: str) -> Job:
        """Find a job. Raises `Refusal` 404, with the reason why it ended as long as that is remembered."""
        if job_id in self._jobs:
            return self._jobs[job_id][0]
        gone = self._gone.get(job_id)
        raise Refusal(404, "Invalid job_id", gone.reason if gone else "No such job lives; POST /configure makes one.")

    def made_with(self, key: str) -> list[Job]:
        """Give the jobs that live and were made with a key, the newest last."""
        return [job for job in self.living() if job.record.key == key]

    def summaries(self, key: str | None = None) -> list[JobSummary]:
        """List all jobs, also those that were lost or ended lately; with a key only living ones made with it."""
        if key is not None:
            return [job.summary(self._state(job)) for job in self.made_with(key)]
        living = [job.summary(state) for job, state in self.states()]
        return living + [gone.summary for gone in self._gone.values()]

    def states(self) -> list[tuple[Job, State]]:
        """Give all jobs that live, each with what it is doing."""
        return [(job, self._state(job)) for job in self.living()]

    def state(self, job_id: str) -> JobState:
        """Tell how a job is doing."""
        job = self.get(job_id)
        ready_in_s = self._ready_in_s(job)
        return JobState(
            state=job.state(ready_in_s),
            ready_in_s=ready_in_s,
            viewers=job.viewers,
            missing_lines=job.missing_lines,
            dropped_lines=job.dropped_lines,
        )

    async def change(self, job: Job, record: JobRecord) -> None:
        """Let a job go on as a changed record; on disk when this returns."""
        display_before = job.record.answer.metadata.display
        job.become(record)
        if record.answer.metadata.display != display_before:
            self._displays.changed(job.id)
        self._journal.note(job, self._state(job))
        await asyncio.to_thread(self._store.save, record)
        if job.id not in self._jobs:  # it ended while it was being written
            self._store.remove(job.id)

    async def displays(self, after: int, wait_s: float) -> Displays:
        """Give the displays that have changed after a revision; wait a while when none has."""
        revision, changed = await self._displays.newer(after, wait_s)
        living = {job_id: self._jobs[job_id][0] for job_id in changed if job_id in self._jobs}
        return Displays(
            revision=revision,
            jobs={job_id: job.record.answer.metadata.display for job_id, job in living.items()},
        )

    def cancel(self, job_id: str) -> None:
        """End a job by its client's wish; it is gone when this returns."""
        self._end(self.get(job_id), Cause.CANCELLED, f"Job {job_id} was removed.")

    def replaced(self, job: Job, by: Job) -> None:
        """End a job, if it has not ended meanwhile, because the same client has another one instead."""
        if job.id in self._jobs:
            self._end(job, Cause.REPLACED, f"Job {job.id} was replaced by job {by.id}.")

    def lost(self, job: Job, reason: str) -> None:
        """Remember a job that could not be taken up again."""
        _log.warning("job.lost", job=job.id, reason=reason)
        self._store.remove(job.id)
        self._remember(job, State.LOST, reason)
        self.tally.ended(job, Cause.LOST)
        self._journal.note(job, State.LOST, reason)

    def fibre_is(self, fibre: Fibre) -> None:
        """End all live jobs of another fibre."""
        for job in self.live():
            if job.fibre != fibre:
                reason = f"The fibre changed ({job.fibre.difference(fibre)}), so job {job.id} ended; make a new one."
                self._end(job, Cause.OTHER_FIBRE, reason)
                self._remember(job, State.ENDED, reason)

    async def expire(self) -> Never:
        """End jobs that nobody watches, for as long as this runs."""
        touched_s = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            now_s = time.monotonic()
            for job in self.living():
                reason = job.expired(self._settings, now_s)
                if reason is not None:
                    self._end(job, Cause.EXPIRED, reason)
            self._gone = {job_id: gone for job_id, gone in self._gone.items() if gone.until_s > now_s}
            if now_s - touched_s > _TOUCH_S:
                touched_s = now_s
                self._store.touch(self._jobs)

    async def close(self) -> None:
        """Tell all viewers that the analyzer stops. The jobs stay on disk, for the process that comes next."""
        end = End(grpc.StatusCode.UNAVAILABLE, "The analyzer stops; connect again when it is back.")
        self._store.touch(self._jobs)
        for _, server in self._jobs.values():
            self._stop(server, end)
        self._jobs.clear()
        await asyncio.gather(*self._stopping)

    def _end(self, job: Job, cause: Cause, reason: str) -> None:
        self.tally.ended(job, cause)
        _, server = self._jobs.pop(job.id)
        self._displays.forget(job.id)
        self._store.remove(job.id)
        self._stop(server, End(grpc.StatusCode.NOT_FOUND, reason))
        self._journal.note(job, State.ENDED, reason)
        _log.info("job.ended", job=job.id, cause=cause, reason=reason)

    def _stop(self, server: JobServer, end: End) -> None:
        task = asyncio.create_task(server.stop(end))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    def _remember(self, job: Job, state: State, reason: str) -> None:
        until_s = time.monotonic() + self._settings.job_finished_s
        self._gone[job.id] = _Gone(job.summary(state), reason, until_s)

    def _state(self, job: Job) -> State:
        return job.state(self._ready_in_s(job))

    def _ready_in_s(self, job: Job) -> float:
        if not isinstance(job, LiveJob):
            return 0.0
        samples = self._feed.samples
        if samples is None:
            return float(job.grid.span / job.fibre.fs)
        return ready_in_s(job.grid, job.first_line, job.record.channels, samples, time.monotonic())
