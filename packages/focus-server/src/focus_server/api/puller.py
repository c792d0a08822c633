"""A job that is being pulled: a viewer of its streams, which keeps the lines until they are asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
import structlog

from focus_server.api.bridge import Bridge, End
from focus_server.api.puller_rows import Budget, Line, PulledLines
from focus_server.contract import ConfigureAnswer, Grid, Refusal
from focus_server.jobs import Orchestrator
from focus_server.proto import DataStream

_log = structlog.get_logger()

_AGAIN_S: Final = 1.0
"""How long to wait before a stream that was lost is looked for again, and between looks whether a played job lives."""


@dataclass(frozen=True, slots=True)
class PullLimits:
    """When a job that nobody pulls any more is forgotten, in s; and how many bytes of values are kept and given.

    Kept for one job, for all jobs together, and given in one answer, which has always one line at least.
    """

    idle_s: float = 60.0
    job_bytes: int = 32 * 2**20
    all_bytes: int = 256 * 2**20
    answer_bytes: int = 2**20


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one call gets: lines on this grid, and whether these were the last that there will be."""

    lines: list[Line]
    grid: Grid
    complete: bool


class Puller:
    """Reads all streams of one job from its first call on. A recording waits for the calls, a live job does not."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        bridge: Bridge,
        job: ConfigureAnswer,
        limits: PullLimits,
        budget: Budget,
        clock: Callable[[], float],
    ) -> None:
        self._orchestrator = orchestrator
        self._bridge = bridge
        self._job = job
        self._limits = limits
        self._clock = clock
        self._lines = PulledLines(
            _groups(job),
            job.metadata.display_info.height,
            limits.job_bytes,
            budget,
            patient=job.metadata.historic,
        )
        self.names = {job.job_id}
        self._called_s = clock()
        self._unfinished = job.stream_amount
        self._ended = False
        self._told = False
        self.scope = anyio.CancelScope()

    @property
    def job_id(self) -> str:
        """The job that is pulled."""
        return self._job.job_id

    def take(self, row_count: int) -> Pulled:
        """Take the oldest lines, at most so many."""
        self._called_s = self._clock()
        lines = self._lines.take(row_count, self._limits.answer_bytes, self._called_s)
        complete = self._played and not lines and not self._lines
        self._told = self._told or complete
        return Pulled(lines, self._job.metadata.grid, complete)

    @property
    def owes(self) -> bool:
        """True when there is a recording to be given to its end, whatever has become of its job.

        A played job ends after a while, and it may count as played while the last of it is still on its way to here.
        """
        return self._job.metadata.historic and not self._ended and not self._told

    async def run(self) -> None:
        """Read until the job ends or nobody has called for a while; a recording's last lines stay until then."""
        _log.info("puller.began", job=self.job_id)
        try:
            with self.scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._until_forgotten)
                    await self._read_all()
                    tasks.cancel_scope.cancel()
        except Exception:
            _log.exception("puller.failed", job=self.job_id)
        finally:
            _log.info("puller.ended", job=self.job_id, dropped_lines=self._lines.dropped)
            self._lines.clear()

    @property
    def _played(self) -> bool:
        """True when a recording was read to its end."""
        return self._job.metadata.historic and self._unfinished == 0 and not self._ended

    async def _read_all(self) -> None:
        async with anyio.create_task_group() as readers:
            for stream in range(self._job.stream_amount):
                readers.start_soon(self._read, stream)
        if self._played:
            await self._until_gone()

    async def _read(self, stream: int) -> None:
        while True:
            end = await self._read_once(stream)
            if end.code == 1000 or end.code >= 4000:
                break
            await anyio.sleep(_AGAIN_S)
        self._ended = self._ended or end.code != 1000
        self._unfinished -= 1
        self._lines.end(stream, self._clock())

    async def _read_once(self, stream: int) -> End:
        try:
            async with self._bridge.viewer(self.job_id, stream) as viewer:
                while True:
                    await self._lines.room(stream)
                    item = await viewer.next()
                    if isinstance(item, End):
                        return item
                    if isinstance(item, bytes):
                        self._lines.add(stream, DataStream.FromString(item), self._clock())
        except Refusal as refusal:
            return End.refused(refusal)

    async def _until_forgotten(self) -> None:
        while (left_s := self._called_s + self._limits.idle_s - self._clock()) > 0:  # noqa: ASYNC110 - it is time that is waited for
            await anyio.sleep(left_s)
        self.scope.cancel()

    async def _until_gone(self) -> None:
        """Wait until the job is gone and all of it was given; the job may end before a slow caller has it all."""
        while True:
            await anyio.sleep(_AGAIN_S)
            if not self.owes:
                try:
                    await self._orchestrator.state(self.job_id)
                except Refusal as refusal:
                    if refusal.status == 404:
                        return


def _groups(job: ConfigureAnswer) -> list[tuple[int, int]]:
    """Give the first and the last channel of each stream."""
    channels: list[list[int]] = [[] for _ in range(job.stream_amount)]
    for channel, stream in job.channel_to_stream_index.items():
        channels[stream].append(int(channel))
    return [(min(group), max(group)) for group in channels]
