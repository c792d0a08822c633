"""All streams that are being watched: one trunk for a live one, one for each viewer of a historic one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Self

import anyio
from anyio.abc import TaskGroup

from focus_server.api.bridge.trunk import Trunk, TrunkLimits, no_such_stream
from focus_server.api.bridge.viewer import Viewer, ViewerLimits
from focus_server.contract import Refusal
from focus_server.jobs import Orchestrator

_NO_LIMITS: Final = ViewerLimits(max_bytes=2**62, max_age_s=float("inf"))
"""A historic stream waits for its viewer, so nothing piles up."""


_NEWS_PAUSE_S: Final = 0.05
"""Between two questions for changed displays, the first of which the analyzer has answered at once."""
_NO_NEWS_S: Final = 1.0
"""Before the analyzer is asked again that could not answer."""


class Bridge:
    """Gives viewers their share of a stream; a trunk begins with its first viewer and ends with its last.

    Viewers of a historic job each begin at its start, so they share nothing.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        viewer_limits: ViewerLimits | None = None,
        trunk_limits: TrunkLimits | None = None,
    ) -> None:
        self._orchestrator = orchestrator
        self._viewer_limits = viewer_limits or ViewerLimits()
        self._trunk_limits = trunk_limits or TrunkLimits()
        self._trunks: dict[tuple[str, int], Trunk] = {}
        self._running: set[Trunk] = set()
        self._any_runs = anyio.Event()
        self._exit = AsyncExitStack()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await self._exit.enter_async_context(anyio.create_task_group())
        self._tasks.start_soon(self._tell_displays)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        await self._exit.aclose()

    @asynccontextmanager
    async def viewer(self, job_id: str, stream: int) -> AsyncIterator[Viewer]:
        """Watch a stream of a job for as long as the context is open.

        Raises `Refusal` 404 or 400 when there is no such job, or no such stream.
        """
        historic = (job_id, stream) not in self._trunks and await self._is_historic(job_id, stream)
        viewer = Viewer(_NO_LIMITS if historic else self._viewer_limits)
        trunk = self._begin(job_id, stream, patient=True) if historic else self._shared(job_id, stream)
        trunk.join(viewer)
        try:
            yield viewer
        finally:
            trunk.leave(viewer)
            if trunk.unused:
                trunk.scope.cancel()
                self._forget(trunk)

    async def _is_historic(self, job_id: str, stream: int) -> bool:
        """Tell whether a job is known to be historic; what is not to be found out now the trunk finds out later."""
        try:
            job = await self._orchestrator.job(job_id)
        except Refusal as refusal:
            if refusal.status < 500:
                raise
            return False
        if stream >= job.stream_amount:
            raise no_such_stream(job, stream)
        return job.metadata.historic

    def _shared(self, job_id: str, stream: int) -> Trunk:
        key = (job_id, stream)
        if key not in self._trunks:
            self._trunks[key] = self._begin(job_id, stream, patient=False)
        return self._trunks[key]

    def _begin(self, job_id: str, stream: int, *, patient: bool) -> Trunk:
        if self._tasks is None:
            raise RuntimeError("the bridge is not open: enter its context first")
        trunk = Trunk(self._orchestrator, job_id, stream, self._trunk_limits, patient=patient)
        self._running.add(trunk)
        self._any_runs.set()
        self._tasks.start_soon(self._run, trunk)
        return trunk

    async def _run(self, trunk: Trunk) -> None:
        try:
            await trunk.run()
        finally:
            self._running.discard(trunk)
            self._forget(trunk)

    async def _tell_displays(self) -> None:
        """Pass on, while anybody watches, what commands change of displays."""
        revision = 0
        while True:
            if not self._running:
                self._any_runs = anyio.Event()
                await self._any_runs.wait()
            try:
                news = await self._orchestrator.displays(revision)
            except Refusal:
                await anyio.sleep(_NO_NEWS_S)
                continue
            revision = news.revision
            for trunk in self._running:
                if trunk.job_id in news.jobs:
                    trunk.show(news.jobs[trunk.job_id])
            await anyio.sleep(_NEWS_PAUSE_S)

    def _forget(self, trunk: Trunk) -> None:
        if self._trunks.get(trunk.key) is trunk:
            del self._trunks[trunk.key]
