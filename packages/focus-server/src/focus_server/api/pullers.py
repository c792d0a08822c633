"""All jobs that are being pulled, found by the names that their clients have for them."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Self

import anyio
from anyio.abc import TaskGroup

from focus_server.api.bridge import Bridge
from focus_server.api.naming import by_name
from focus_server.api.puller import Pulled, Puller, PullLimits
from focus_server.api.puller_rows import Budget
from focus_server.contract import ConfigureAnswer, Refusal
from focus_server.jobs import Orchestrator


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
