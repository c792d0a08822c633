"""How a job comes to live: made for a request, or taken up again after a restart."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import grpc

from focus_server.analyzer.configure import Described, Plan, make_answer, plan_job
from focus_server.analyzer.feed import Feed
from focus_server.analyzer.history import HistoricJob, Places, plan_history
from focus_server.analyzer.job import Job, JobRecord
from focus_server.analyzer.jobs import Jobs
from focus_server.analyzer.live import LiveJob
from focus_server.analyzer.store import JobStore
from focus_server.analyzer.stream import JobServer
from focus_server.analyzer.threads import TimedThreads
from focus_server.analyzer.viewer import End, ViewerLimits
from focus_server.contract import (
    IDEMPOTENCY_KEY,
    TASK_KEY,
    VIEWER,
    WAITING_FOR_FIBER,
    ConfigureAnswer,
    ConfigureRequest,
    Refusal,
    stream_amount,
)
from focus_server.errors import FocusError
from focus_server.recordings import RecordingEntry
from focus_server.settings import AnalyzerSettings

_HISTORY_THREADS: Final = 2


class JobMaker:
    """Makes jobs, one at a time. `wake` is called when somebody begins to watch a live one."""

    def __init__(
        self, settings: AnalyzerSettings, feed: Feed, jobs: Jobs, store: JobStore, wake: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._feed = feed
        self._jobs = jobs
        self._store = store
        self._wake = wake
        self._limits = ViewerLimits(settings.viewer_wait_s, settings.viewer_wait_bytes)
        self.history = TimedThreads(_HISTORY_THREADS, "history")
        self._places = Places(settings.max_playbacks)
        self._turn = asyncio.Lock()

    async def create(
        self,
        request: ConfigureRequest,
        key: str | None = None,
        recordings: Sequence[RecordingEntry] | None = None,
        viewer: str | None = None,
    ) -> ConfigureAnswer:
        """Make a job, a historic one of recordings; with the key of a living job's request give that job.

        It is on disk when this returns. A task's earlier job of another request ends when the new one is there.
        """
        async with self._turn:
            earlier = [] if key is None else self._jobs.made_with(key)
            if earlier and not _replaces(key, request, earlier[-1].record):
                return _repeated(earlier[-1].record, request)
            self._check_windows(viewer, earlier)
            plan = self._plan(request, recordings, earlier)
            described = self._described(plan)
            server = JobServer(self._settings.stream_host)
            port = await self._open(server)
            try:
                record = await asyncio.to_thread(self._write_down, plan, described, port, key, viewer)
                self._check_fibre(plan, record)
            except BaseException:
                await server.stop(End(grpc.StatusCode.NOT_FOUND, "The job was not made."))
                raise
            job = self._job(record)
            self._jobs.add(job, server)
            self._jobs.tally.made(job)
            for other in earlier:
                self._jobs.replaced(other, job)
            return record.answer

    async def reopen(self) -> int:
        """Take up the jobs that an earlier process left, on the ports they had; give how many those are."""
        records = await asyncio.to_thread(self._store.load, self._settings.job_idle_s)
        for record in records:
            job = self._job(record)
            server = JobServer(self._settings.stream_host)
            try:
                await server.start(record.answer.stream_port)
            except FocusError as error:
                self._jobs.lost(job, f"{error} It was the port of job {job.id}, which is lost.")
            else:
                self._jobs.add(job, server)
        return len(records)

    def close(self) -> None:
        """Let the threads of historic jobs end, whose streams have ended already."""
        self.history.shutdown(wait=False, cancel_futures=True)

    def _job(self, record: JobRecord) -> Job:
        now_s = time.monotonic()
        if record.recordings:
            return HistoricJob(record, now_s, self.history, self._places)
        return LiveJob(record, now_s, self._limits, self._wake)

    def _plan(
        self, request: ConfigureRequest, recordings: Sequence[RecordingEntry] | None, replaced: Sequence[Job]
    ) -> Plan:
        if request.historic and recordings is None:
            raise Refusal(
                503, "The analyzer was told no recordings; leave out start_time and end_time.", "recordings", 60
            )
        if len(self._jobs) - len(replaced) >= self._settings.max_jobs:
            sentence = f"All {self._settings.max_jobs} jobs that may live at once do; end one and try again."
            raise Refusal(503, sentence, "capacity", retry_after=5)
        if recordings is not None:
            plan = plan_history(request, recordings, self._settings.line_spacing)
            playing = sum(job.viewers for job in replaced if isinstance(job, HistoricJob))
            self._places.check(stream_amount(request.view_type, request.channels.amount), playing)
            return plan
        samples = self._feed.samples
        if samples is None:
            raise Refusal(503, f"No live view yet: the analyzer is {WAITING_FOR_FIBER}.", "live feed", retry_after=2)
        others = self._jobs.loads(but=replaced)
        return plan_job(
            request, samples, others, self._settings.compute_cores, time.monotonic(), self._settings.line_spacing
        )

    async def _open(self, server: JobServer) -> int:
        """Open the server's port: the first free one from the fixed one on, or any free one."""
        if not self._settings.fixed_ports:
            return await server.start(0)
        for port in range(self._settings.first_stream_port, 65536):
            try:
                return await server.start(port)
            except FocusError:
                continue
        raise Refusal(503, f"No port from {self._settings.first_stream_port} on is free.", "capacity", retry_after=5)

    def _check_windows(self, viewer: str | None, replaced: Sequence[Job]) -> None:
        """Refuse a viewer who has as many jobs as there are windows already."""
        if viewer is None:
            return
        jobs = [job for job in self._jobs.living() if job.record.viewer == viewer and job not in replaced]
        if len(jobs) >= self._settings.windows:
            raise Refusal(
                429,
                f"This viewer has {len(jobs)} jobs, one for each window that a viewer may have; end one of them "
                "(DELETE /job/{job_id}) and try again.",
                VIEWER,
                retry_after=5,
            )

    def _described(self, plan: Plan) -> Described:
        described: Described | None = plan.recordings[0] if plan.recordings else self._feed.announcement
        if described is None:
            sentence = f"The fibre's input has just changed; the analyzer is {WAITING_FOR_FIBER}. Try again."
            raise Refusal(503, sentence, "live feed", retry_after=1)
        return described

    def _write_down(
        self, plan: Plan, described: Described, port: int, key: str | None, viewer: str | None
    ) -> JobRecord:
        serial = self._store.next_serial()
        job_id = f"{self._window()}-{serial}"
        record = JobRecord(
            serial=serial,
            key=key,
            viewer=viewer,
            created=datetime.now(UTC),
            fibre=plan.fibre,
            request=plan.request,
            answer=make_answer(plan, described, job_id, self._settings.stream_host, port),
            recordings=plan.recordings,
        )
        self._store.save(record)
        return record

    def _check_fibre(self, plan: Plan, record: JobRecord) -> None:
        """Withdraw a live job whose fibre went away while it was being made."""
        if plan.recordings:
            return
        samples = self._feed.samples
        if samples is None or samples.fibre != plan.fibre:
            self._store.remove(record.answer.job_id)
            raise Refusal(503, "The fibre changed just now; try again.", "live feed", retry_after=1)

    def _window(self) -> int:
        """Give the lowest window that no job has, or, when all have one, the lowest of those with the fewest."""
        used = Counter(int(job.id.partition("-")[0]) for job in self._jobs.living())
        return min(range(self._settings.windows), key=lambda window: (used[window], window))


def _replaces(key: str | None, request: ConfigureRequest, record: JobRecord) -> bool:
    """Tell whether a request with the key of this job means another job instead, as it does for a task."""
    return key is not None and key.startswith(TASK_KEY) and record.request != request


def _repeated(record: JobRecord, request: ConfigureRequest) -> ConfigureAnswer:
    if record.request != request:
        raise Refusal(
            409,
            f"This {IDEMPOTENCY_KEY} made a job with another request already; send a new key with a new request.",
            IDEMPOTENCY_KEY,
        )
    return record.answer
