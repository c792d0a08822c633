"""A stack while it runs: its components in the order of their dependencies, its links, and the state on disk."""

import asyncio
import os
import time
from collections.abc import Iterable
from typing import Final

from fullspan.errors import ComponentDied, FullspanError, Inconclusive, Outlived, UsageError, nearest
from fullspan.stack.component import Component
from fullspan.stack.leases import Leases
from fullspan.stack.links import Links
from fullspan.stack.load import project_of
from fullspan.stack.plan import Plan
from fullspan.stack.processes import look_up
from fullspan.stack.shortages import Shortage, Shortages
from fullspan.stack.state import SCHEMA, ProcessState, StackPhase, StackState
from fullspan.stack.survivors import kill_run
from fullspan.stack.undo import KillTagged, Signal, UndoList
from fullspan.stack.voice import Voice

__all__ = ["RunningStack"]

_LAST_LINES: Final = 3
_HEALED_BY: Final = {"hang": "resume", "kill": "start", "stop": "start"}


class RunningStack:
    """Brings a planned stack up, lets it be broken and healed, and takes it down."""

    def __init__(self, plan: Plan, voice: Voice, undo: UndoList) -> None:
        self.plan = plan
        self.links = Links()
        self.leases = Leases()
        self.shortages = Shortages(undo, plan.folder.path)
        self.phase: StackPhase = "starting"
        self.components: dict[str, Component] = {}
        self._voice = voice
        self._undo = undo
        self._endpoints: dict[str, str] = {}
        self.started_wall_ns = time.time_ns()
        self._death: asyncio.Future[ComponentDied] = asyncio.get_running_loop().create_future()
        self._hang_records: dict[str, list[int]] = {}

    async def prepare(self) -> None:
        """Open the links and resolve everything; raises before anything has been started."""
        for link_id, link in self.plan.model.links.items():
            if link.proxy:
                component, port = link.target
                number = self.plan.ports(component)[port]
                self.plan.proxied[link_id] = await self.links.open(link_id, link.from_, link.to, number)
        self._endpoints = self.plan.endpoints()
        for name, planned in self.plan.components().items():
            self.components[name] = Component(planned, self._component_says, self._component_died)
        self.write_state()

    def commands(self) -> dict[str, str]:
        """Return what each component will run, in words."""
        planned = {name: component.planned.launch for name, component in self.components.items()}
        return {name: " ".join(launch.argv) for name, launch in planned.items() if launch.argv}

    async def bring_up(self) -> None:
        """Start all components, each when those that it depends on are ready. The first failure ends it at once."""
        self.plan.close()
        ready = {name: asyncio.Event() for name in self.components}

        async def start(component: Component) -> None:
            for other in component.planned.depends_on:
                await ready[other].wait()
            async with component.acting:
                await component.start()
            ready[component.id].set()

        async def fail_on_death() -> None:
            raise await asyncio.shield(self._death)

        watch = asyncio.create_task(fail_on_death())
        starts = [asyncio.create_task(start(component)) for component in self.components.values()]
        try:
            await _all_or_first_failure(starts, watch)
        finally:
            for task in (*starts, watch):
                task.cancel()
            await asyncio.wait({*starts, watch})
        self.phase = "ready"
        self.write_state()

    async def tear_down(self) -> None:
        """End everything: a component when all that depend on it have ended. Nothing of the run is left.

        Raises Outlived when some of it does not go; that stands on the undo list then.
        """
        self.phase = "stopping"
        self.write_state()
        await self.shortages.aclose()
        gone = {name: asyncio.Event() for name in self.components}

        async def stop(component: Component) -> None:
            for other in self.components.values():
                if component.id in other.planned.depends_on:
                    await gone[other.id].wait()
            try:
                await component.stop()
            except FullspanError as error:
                self._voice.say("component", str(error), component=component.id)
            finally:
                gone[component.id].set()

        await asyncio.gather(*(stop(component) for component in self.components.values()))
        await self.links.aclose()
        try:
            strays = await asyncio.to_thread(kill_run, self.plan.run_id)
        except Outlived as error:
            self._undo.add(KillTagged.again(error))
            raise
        if strays:
            names = ", ".join(f"{process.name} ({process.pid})" for process in strays)
            self._voice.say("stack", f"killed what else belonged to the run: {names}")

    def component(self, name: str) -> Component:
        """Return a component; UsageError with the nearest name when there is none."""
        if name not in self.components:
            raise UsageError(f"The stack has no component {name!r}.", nearest(name, self.components))
        return self.components[name]

    async def act(self, name: str, what: str, lease: str | None = None) -> None:
        """Hang, resume, kill, stop or start a component; returns when it is true."""
        component = self.component(name)
        self._able(component, what)
        self.leases.check(lease)
        async with component.acting:
            if what in _HEALED_BY:
                await self._break(component, what, lease)
            else:
                await (component.resume() if what == "resume" else component.start_again())
                self.leases.healed(name)
            if what != "hang":
                self._forget_hang(component)

    def _able(self, component: Component, what: str) -> None:
        """Raise Inconclusive for an act that the component's driver cannot do: nothing can be told by it."""
        driver = component.planned.driver
        for act in (what, _HEALED_BY.get(what, what)):
            if act not in driver.acts:
                raise Inconclusive(
                    f"The driver {driver.kind!r} of component {component.id!r} cannot {act} it.",
                    f"It can: {', '.join(sorted(driver.acts))}." if driver.acts else "Put the fault on a link to it.",
                )

    async def _break(self, component: Component, what: str, lease: str | None) -> None:
        """Hang, kill or stop a component; how to heal it is on record before."""
        name = component.id
        self.leases.broke(lease, name, lambda: self.act(name, _HEALED_BY[what]))
        try:
            if what == "hang":
                self._note_hang(component)
                await component.hang()
            else:
                await (component.kill() if what == "kill" else component.stop())
        except FullspanError:
            self.leases.spared(lease, name)
            raise

    async def begin_shortage(self, name: str, shortage: Shortage, lease: str | None = None) -> None:
        """Make a component short of something."""
        component = self.component(name)
        self.leases.check(lease)
        thing = f"{name}'s {shortage.kind}"
        async with component.acting:
            self.leases.broke(lease, thing, lambda: self.end_shortage(name, shortage.kind))
            try:
                await self.shortages.begin(component, shortage)
            except FullspanError:
                self.leases.spared(lease, thing)
                raise
        self._component_says(component, f"is short of {shortage.kind}")

    async def end_shortage(self, name: str, kind: str) -> None:
        """Give a component back what it was short of; one that has died of it is started again."""
        component = self.component(name)
        held = kind in self.shortages.seen(name)
        # Not under the component's lock: a shortage of time waits for it, and has to end first.
        await self.shortages.end(name, kind)
        self.leases.healed(f"{name}'s {kind}")
        if held:
            self._component_says(component, f"is short of {kind} no more")
            async with component.acting:
                if component.phase == "died":
                    await component.start_again()

    async def end_lease(self, lease: str) -> None:
        """Heal what was broken under a lease and is not whole yet."""
        for thing, heal in self.leases.end(lease).items():
            self._voice.say("lease", f"a client has gone; healing {thing}", thing=thing)
            try:
                await heal()
            except FullspanError as error:
                self._voice.say("lease", f"{thing} could not be healed: {error}", thing=thing)

    def _note_hang(self, component: Component) -> None:
        """Write down how to undo a hang before it is done."""
        records = [
            self._undo.add(Signal(process.pid, process.start_time, "SIGCONT")) for process in component.processes()
        ]
        self._hang_records.setdefault(component.id, []).extend(records)

    def _forget_hang(self, component: Component) -> None:
        for number in self._hang_records.pop(component.id, []):
            self._undo.done(number)

    def _component_says(self, component: Component, what: str) -> None:
        self._voice.say("component", f"{component.id}: {what}", component=component.id, state=component.phase)
        self.write_state()

    def _component_died(self, death: ComponentDied) -> None:
        said = "; ".join(death.last_lines[-_LAST_LINES:]) or "nothing"
        self._voice.say(
            "component.died",
            f"{death.component}: died, {death.ending}; it last said: {said}",
            component=death.component,
            state="died",
            ending=death.ending,
            last_lines="\n".join(death.last_lines),
        )
        self.write_state()
        if not self._death.done():
            self._death.set_result(death)

    def state(self) -> StackState:
        """Return what everybody may know."""
        me = look_up(os.getpid())
        assert me is not None  # noqa: S101 - it is this very process
        return StackState.model_validate({
            "schema": SCHEMA,
            "name": self.plan.model.name,
            "run_id": self.plan.run_id,
            "project": str(project_of(self.plan.file)),
            "var": str(self.plan.folder.var),
            "file": str(self.plan.file),
            "profile": self.plan.profile,
            "environment": str(self.plan.environment) if self.plan.environment else None,
            "phase": self.phase,
            "supervisor": ProcessState(pid=me.pid, start_time=me.start_time),
            "control": str(self.plan.folder.control),
            "components": {name: component.state() for name, component in self.components.items()},
            "links": {name: link.state() for name, link in self.links.items()},
            "endpoints": self._endpoints,
            "started_wall_ns": self.started_wall_ns,
        })  # fmt: skip

    def write_state(self) -> None:
        """Put the state on disk."""
        self.state().write(self.plan.folder.state)


async def _all_or_first_failure(tasks: Iterable["asyncio.Task[None]"], watch: "asyncio.Task[None]") -> None:
    """Wait for all tasks; raise the failure of the first that fails, `watch` included, at once."""
    waiting = set(tasks)
    while waiting:
        done, _ = await asyncio.wait({*waiting, watch}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if error := task.exception():
                raise error
        waiting -= done
