"""A driver that runs nothing, for tests of what uses drivers, and what every driver must do."""

# ruff: noqa: S101 - what a kind must do is asserted

import asyncio
from signal import Signals
from typing import Final

from fullspan.errors import StackError
from fullspan.stack.drivers import Driver, Ending, Instance, Launch
from fullspan.stack.processes import Process

__all__ = ["FakeDriver", "FakeInstance", "check_driver"]

_ACT_S: Final = 30.0


class FakeInstance(Instance):
    """A component that exists in name only; `end` makes it die."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.stands = False
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int | None:
        """Return None: it has no process."""
        return None

    def processes(self) -> list[Process]:
        """Return nothing: it has no process."""
        return []

    def end(self, ending: Ending) -> None:
        """Make it end, as it would by itself."""
        if not self._ended.done():
            self._ended.set_result(ending)

    async def ended(self) -> Ending:
        """Wait until it has ended."""
        return await asyncio.shield(self._ended)

    async def stop(self) -> Ending:
        """End it by its own signal."""
        self.end(Ending(signal=self.launch.stop_signal))
        return await self.ended()

    async def kill(self) -> Ending:
        """End it by SIGKILL."""
        self.end(Ending(signal=Signals.SIGKILL))
        return await self.ended()

    async def hang(self) -> None:
        """Make it stand still."""
        self.stands = True

    async def resume(self) -> None:
        """Let it go on."""
        self.stands = False


class FakeDriver(Driver):
    """Starts `FakeInstance`s and keeps them in `started`; with `refusal` nothing can be started."""

    kind = "fake"

    def __init__(self, refusal: StackError | None = None) -> None:
        self.started: list[FakeInstance] = []
        self.refusal = refusal

    def check(self, launch: Launch) -> None:
        """Raise the refusal."""
        if self.refusal is not None:
            raise self.refusal

    async def start(self, launch: Launch) -> FakeInstance:
        """Start one more."""
        self.check(launch)
        self.started.append(FakeInstance(launch))
        return self.started[-1]


async def check_driver(driver: Driver, launch: Launch) -> None:
    """Check what every driver must do; `launch` runs until it is told to end. AssertionError says what it does not."""
    assert driver.kind, "a driver has a kind"
    driver.check(launch)
    async with asyncio.timeout(_ACT_S):
        await _check_acts(await driver.start(launch))
        await _check_kill(await driver.start(launch))


async def _check_acts(instance: Instance) -> None:
    waiting = [asyncio.create_task(instance.ended()) for _ in range(2)]
    await asyncio.sleep(0)  # let the waiting begin
    assert not any(task.done() for task in waiting), "what has been started has not ended"
    await instance.hang()
    assert all(process.stands for process in instance.processes()), "all processes stand still after hang()"
    await instance.resume()
    assert not any(process.stands for process in instance.processes()), "no process stands still after resume()"
    ending = await instance.stop()
    assert await asyncio.gather(*waiting) == [ending, ending], "all who wait for the end are told the same"
    assert instance.processes() == [], "stop() leaves nothing"
    assert await instance.stop() == ending, "stop() of what has ended tells how it ended"


async def _check_kill(instance: Instance) -> None:
    await instance.hang()
    ending = await instance.kill()
    assert ending == await instance.ended(), "kill() tells how it ended, also what stood still"
    assert instance.processes() == [], "kill() leaves nothing"
