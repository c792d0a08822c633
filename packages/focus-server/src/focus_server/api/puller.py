"""Jobs that are being pulled: each has a viewer of its streams, which keeps the lines until they are asked for."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Self

import anyio
import structlog
from anyio.abc import TaskGroup

from focus_server.api.bridge import Bridge, End
from focus_server.api.naming import by_name
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
        async with self._bridge.viewer(self.job_id, stream) as viewer:
            while True:
                await self._lines.room(stream)
                item = await viewer.next()
                if isinstance(item, End):
                    return item
                if isinstance(item, bytes):
                    self._lines.add(stream, DataStream.FromString(item), self._clock())

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


class Pullers:
    """All jobs that are being pulled; each ends with its job, with its last caller, and with this."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        bridge: Bridge,
        limits: PullLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._orchestrator = orchestrator
        self._bridge = bridge
        self._limits = limits or PullLimits()
        self._clock = clock
        self._budget = Budget(self._limits.all_bytes)
        self._pullers: dict[str, Puller] = {}
        self._exit = AsyncExitStack()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await self._exit.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        await self._exit.aclose()

    def __len__(self) -> int:
        return len(self._pullers)

    @property
    def bytes_held(self) -> int:
        """Bytes of the values that wait to be pulled."""
        return self._budget.used

    async def pull(self, name: str, row_count: int) -> Pulled:
        """Take at most so many lines of the job of this name; the first call begins to keep them.

        Raises `Refusal` 404, but not before a recording that was played to its end has been given to its end.
        """
        puller = self._owing(name)
        if puller is None:
            puller = await by_name(self._orchestrator, name, self._puller)
            puller.names.add(name)
        return puller.take(row_count)

    def owes(self, name: str) -> bool:
        """Tell whether a job is a recording that is still being given."""
        return self._owing(name) is not None

    def forget(self, name: str, but: str | None = None) -> None:
        """Keep nothing more of the jobs that were pulled by this name, but for the one with this job_id."""
        for puller in list(self._pullers.values()):
            if name in puller.names and puller.job_id != but:
                del self._pullers[puller.job_id]
                puller.scope.cancel()

    def _owing(self, name: str) -> Puller | None:
        return next((puller for puller in self._pullers.values() if puller.owes and name in puller.names), None)

    async def _puller(self, job_id: str) -> Puller:
        if job_id in self._pullers:
            await self._check_there(job_id)
        if job_id not in self._pullers:
            job = await self._orchestrator.job(job_id)
            if job_id not in self._pullers:
                self._begin(job)
        return self._pullers[job_id]

    async def _check_there(self, job_id: str) -> None:
        try:
            await self._orchestrator.state(job_id)
        except Refusal as refusal:
            if refusal.status == 404:
                self.forget(job_id)
            raise

    def _begin(self, job: ConfigureAnswer) -> None:
        if self._tasks is None:
            raise RuntimeError("the pullers are not open: enter their context first")
        puller = Puller(self._orchestrator, self._bridge, job, self._limits, self._budget, self._clock)
        self._pullers[job.job_id] = puller
        self._tasks.start_soon(self._run, puller)

    async def _run(self, puller: Puller) -> None:
        try:
            await puller.run()
        finally:
            if self._pullers.get(puller.job_id) is puller:
                del self._pullers[puller.job_id]


def _groups(job: ConfigureAnswer) -> list[tuple[int, int]]:
    """Give the first and the last channel of each stream."""
    channels: list[list[int]] = [[] for _ in range(job.stream_amount)]
    for channel, stream in job.channel_to_stream_index.items():
        channels[stream].append(int(channel))
    return [(min(group), max(group)) for group in channels]
