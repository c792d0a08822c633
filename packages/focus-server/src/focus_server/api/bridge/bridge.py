"""All streams that are being watched, one trunk each."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import anyio
from anyio.abc import TaskGroup

from focus_server.api.bridge.trunk import Trunk, TrunkLimits
from focus_server.api.bridge.viewer import Viewer, ViewerLimits
from focus_server.jobs import Orchestrator


class Bridge:
    """Gives viewers their share of a stream; a trunk begins with its first viewer and ends with its last."""

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
        self._exit = AsyncExitStack()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await self._exit.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        await self._exit.aclose()

    @asynccontextmanager
    async def viewer(self, job_id: str, stream: int) -> AsyncIterator[Viewer]:
        """Watch a stream of a job for as long as the context is open."""
        viewer = Viewer(self._viewer_limits)
        trunk = self._trunk(job_id, stream)
        trunk.join(viewer)
        try:
            yield viewer
        finally:
            trunk.leave(viewer)
            if trunk.unused:
                trunk.scope.cancel()
                self._forget(trunk)

    def _trunk(self, job_id: str, stream: int) -> Trunk:
        if self._tasks is None:
            raise RuntimeError("the bridge is not open: enter its context first")
        key = (job_id, stream)
        trunk = self._trunks.get(key)
        if trunk is None:
            trunk = self._trunks[key] = Trunk(self._orchestrator, job_id, stream, self._trunk_limits)
            self._tasks.start_soon(self._run, trunk)
        return trunk

    async def _run(self, trunk: Trunk) -> None:
        try:
            await trunk.run()
        finally:
            self._forget(trunk)

    def _forget(self, trunk: Trunk) -> None:
        if self._trunks.get(trunk.key) is trunk:
            del self._trunks[trunk.key]
