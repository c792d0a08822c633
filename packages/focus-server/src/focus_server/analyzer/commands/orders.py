"""What a command does to a job."""

import time
from typing import assert_never

import structlog

from focus_server.analyzer.commands.command import (
    Addressed,
    InputChanged,
    KeepAlive,
    MonitorQueues,
    Roi,
    SetCAxis,
    SetColorMap,
)
from focus_server.analyzer.feed import Feed
from focus_server.analyzer.job import Job, JobRecord
from focus_server.analyzer.jobs import Jobs
from focus_server.analyzer.live import LiveJob
from focus_server.analyzer.roi import check_cost, with_channels
from focus_server.contract import Channels, Display, Refusal
from focus_server.errors import CommandError

_log = structlog.get_logger()


class Orders:
    """Obeys commands, one at a time. `budget_cores` is what all jobs together may cost."""

    def __init__(self, jobs: Jobs, feed: Feed, budget_cores: float) -> None:
        self._jobs = jobs
        self._feed = feed
        self._budget_cores = budget_cores

    async def obey(self, order: Addressed) -> None:
        """Do what a command says; what it changes is on disk when this returns. Raises `CommandError`."""
        job = self._job(order.job_id)
        try:
            await self._do(job, order)
        except Refusal as refusal:
            raise CommandError("refused", refusal.error) from None

    def _job(self, job_id: str | None) -> Job:
        living = self._jobs.living()
        if job_id is None:
            if len(living) != 1:
                raise CommandError(
                    "ambiguous", f"{len(living)} jobs live, so the key must name one: <job_id>.<command>."
                )
            return living[0]
        job = next((job for job in living if job.id == job_id), None)
        if job is None:
            raise CommandError("unknown-job", f"No job {job_id} lives; GET /jobs lists those that do.")
        return job

    async def _do(self, job: Job, order: Addressed) -> None:
        command, log = order.command, _log.bind(job=job.id)
        match command:
            case Roi():
                low, high = command.range
                await self._roi(job, Channels(min=low, max=high))
                log.info("command.roi", first_channel=low, last_channel=high)
            case SetCAxis():
                caxis = command.caxis
                await self._display(job, _display(job.record).model_copy(update={"caxis": caxis}))
                log.info("command.caxis", min_db=caxis.min, max_db=caxis.max)
            case SetColorMap():
                await self._display(job, _display(job.record).model_copy(update={"colormap": command.colormap}))
                log.info("command.colormap", colormap=command.colormap)
            case KeepAlive():
                job.keep_alive(time.monotonic())
                log.info("command.keepalive", source=command.source)
            case InputChanged():
                self._feed.input_changed()
                log.info("command.input_changed", metadata=command.shown)
            case MonitorQueues():
                messages, size = job.waiting
                log.info(
                    "command.monitor_queues",
                    viewers=job.viewers,
                    waiting_messages=messages,
                    waiting_bytes=size,
                    dropped_lines=job.dropped_lines,
                )
            case _:
                assert_never(command)

    async def _roi(self, job: Job, roi: Channels) -> None:
        record = with_channels(job.record, roi)
        if isinstance(job, LiveJob):
            check_cost(job, roi, self._jobs.loads(but=(job,)), self._budget_cores)
        await self._jobs.change(job, record)

    async def _display(self, job: Job, display: Display) -> None:
        metadata = job.record.answer.metadata.model_copy(update={"display": display})
        answer = job.record.answer.model_copy(update={"metadata": metadata})
        await self._jobs.change(job, job.record.model_copy(update={"schema_version": 3, "answer": answer}))


def _display(record: JobRecord) -> Display:
    return record.answer.metadata.display
