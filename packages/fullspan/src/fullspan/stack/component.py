"""One component of a running stack: it is started, watched, broken on purpose and healed, and ended."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fullspan.errors import ComponentDied, StackError
from fullspan.stack.drivers import Ending, Instance
from fullspan.stack.logs import last_lines
from fullspan.stack.plan import PlannedComponent
from fullspan.stack.probes import NotReady, wait_ready
from fullspan.stack.processes import Process, look_up
from fullspan.stack.state import ComponentPhase, ComponentState

__all__ = ["Component"]

_QUOTED_LINES: Final = 10

Say = Callable[["Component", str], None]


class Component:
    """Its phases are those of `ComponentState`; an end that nobody asked for is `died`."""

    def __init__(self, planned: PlannedComponent, say: Say, died: Callable[[ComponentDied], None]) -> None:
        self.planned = planned
        self.id = planned.launch.component
        self.phase: ComponentPhase = "waiting"
        self.detail = ""
        self._say = say
        self._on_death = died
        self._instance: Instance | None = None
        self._expected = False
        self._watching: asyncio.Task[None] | None = None
        self._started_wall_ns: int | None = None
        self._ready_wall_ns: int | None = None
        self._log_start = 0
        self.acting = asyncio.Lock()
        """Held by whoever changes the component, so that two acts never mix."""

    async def start(self) -> None:
        """Start it and wait until it is ready; ComponentDied or StackError say why it is not."""
        launch = self.planned.launch
        launch.folder.mkdir(parents=True, exist_ok=True)
        launch.log.touch(mode=0o600)
        self._log_start = launch.log.stat().st_size
        self._expected, self.detail, self._ready_wall_ns = False, "", None
        self._started_wall_ns = time.time_ns()
        self.phase = "starting"
        began = time.monotonic()
        self._instance = None
        instance = self._instance = await self.planned.driver.start(launch)
        self._watching = asyncio.create_task(self._watch(instance), name=f"watch {self.id}")
        self._say(self, f"started{f', pid {instance.pid}' if instance.pid else ''}")
        await self._until_ready(instance)
        self._ready_wall_ns = time.time_ns()
        self.phase = "ready"
        self._say(self, f"ready after {time.monotonic() - began:.1f} s")

    async def _until_ready(self, instance: Instance) -> None:
        """Wait for the probe; the component's death ends the wait at once."""
        probe = self.planned.probe(self._log_start)
        if probe is None:
            return
        ready = asyncio.create_task(wait_ready(probe, self.planned.timeout_s, lambda what: self._say(self, what)))
        ended = asyncio.create_task(instance.ended())
        try:
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise self._death(ended.result())
            await ready
        except NotReady as error:
            self._expected = True
            await instance.kill()
            self.phase, self.detail = "died", str(error)
            lines = "".join(f"\n    {line}" for line in self._last_lines())
            raise StackError(
                f"Component {self.id!r} is {error}.{' Its last log lines:' if lines else ' It logged nothing.'}{lines}",
                f"\nIts log is {self.planned.launch.log}; `ready.timeout_s` gives it more time.",
            ) from None
        finally:
            for task in (ready, ended):
                task.cancel()
            await asyncio.wait({ready, ended})

    async def _watch(self, instance: Instance) -> None:
        """Notice an end that nobody asked for, the moment that it happens."""
        ending = await instance.ended()
        if self._expected or instance is not self._instance:
            return
        self.phase, self.detail = "died", str(ending)
        self._on_death(self._death(ending))
        await instance.kill()  # what it leaves behind would hold its ports

    def _death(self, ending: Ending) -> ComponentDied:
        return ComponentDied(self.id, str(ending), self._last_lines(), f"Its log is {self.planned.launch.log}.")

    def _last_lines(self) -> list[str]:
        return last_lines(self.planned.launch.log, _QUOTED_LINES, self._log_start)

    async def stop(self) -> None:
        """Ask it to end, and see to it that nothing of it is left; no matter in which phase it is."""
        if self._instance is None or self.phase in ("waiting", "stopped", "killed"):
            return
        began = time.monotonic()
        self._expected = True
        self.phase = "stopping"
        self._say(self, "stopping")
        ending = await self._instance.stop()
        self.phase, self.detail = "stopped", str(ending)
        self._say(self, f"stopped after {time.monotonic() - began:.1f} s ({ending})")

    async def kill(self) -> None:
        """Kill it, as a power cut would."""
        instance = self._running("killed")
        self._expected = True
        ending = await instance.kill()
        self.phase, self.detail = "killed", str(ending)
        self._say(self, "killed")

    async def hang(self) -> None:
        """Make it stand still."""
        await self._running("hung").hang()
        self.phase = "hung"
        self._say(self, "hangs")

    async def resume(self) -> None:
        """Let it go on after a hang."""
        if self._instance is None or self.phase != "hung":
            raise StackError(f"Component {self.id!r} does not hang, it is {self.phase}.")
        await self._instance.resume()
        self.phase = "ready"
        self._say(self, "goes on")

    async def start_again(self) -> None:
        """Start it after it was stopped or killed, or died."""
        if self.phase not in ("stopped", "killed", "died"):
            raise StackError(f"Component {self.id!r} cannot be started, it is {self.phase}.")
        await self.start()

    def _running(self, to_be: str) -> Instance:
        if self._instance is None or self.phase not in ("ready", "hung"):
            raise StackError(f"Component {self.id!r} cannot be {to_be}, it is {self.phase}.")
        return self._instance

    @property
    def running(self) -> bool:
        """Whether it is up and nobody has stopped it."""
        return self.phase == "ready"

    @property
    def folder(self) -> Path:
        """Its current folder."""
        return self.planned.launch.folder

    def processes(self) -> list[Process]:
        """Return its processes as they are now."""
        return self._instance.processes() if self._instance else []

    def state(self) -> ComponentState:
        """Return what everybody may know."""
        alive = self._instance is not None and self.phase in ("starting", "ready", "hung", "stopping")
        main = look_up(self._instance.pid) if alive and self._instance and self._instance.pid else None
        return ComponentState(
            state=self.phase,
            pid=main.pid if main else None,
            start_time=main.start_time if main else None,
            ports=dict(self.planned.ports),
            log=str(self.planned.launch.log),
            dir=str(self.planned.launch.folder),
            detail=self.detail,
            limits=dict(self.planned.limits),
            log_errors=list(self.planned.log_errors),
            log_allow=list(self.planned.log_allow),
            started_wall_ns=self._started_wall_ns,
            ready_wall_ns=self._ready_wall_ns,
        )
