"""A driver that runs nothing, for tests of what uses drivers, and what every driver must do."""

# ruff: noqa: S101 - what a kind must do is asserted

import asyncio
import contextlib
from collections.abc import Coroutine
from signal import Signals
from typing import Any, Final

from fullspan.errors import StackError
from fullspan.stack.drivers import ACTS, Driver, Ending, Instance, Launch
from fullspan.stack.processes import Process

__all__ = ["FakeDriver", "FakeInstance", "check_driver"]

_ACT_S: Final = 30.0
_LOOK_S: Final = 0.02


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
    """Check what every driver must do; `launch` runs until it is told to end. AssertionError says what it does not.

    With `launch.ports` something must accept connections at each of them once it runs.
    """
    assert driver.kind, "a driver has a kind"
    assert driver.acts <= ACTS, f"a driver can do {', '.join(sorted(ACTS))}, and nothing else"
    assert ("hang" in driver.acts) == ("resume" in driver.acts), "what can hang can go on"
    assert not driver.acts & {"kill", "stop"} or "start" in driver.acts, "what can be ended can be started again"
    driver.check(launch)
    async with asyncio.timeout(_ACT_S):
        await _check_acts(driver, await driver.start(launch), launch)
        await _check_kill(driver, await driver.start(launch))


async def _check_acts(driver: Driver, instance: Instance, launch: Launch) -> None:
    waiting = [asyncio.create_task(instance.ended()) for _ in range(2)]
    await asyncio.sleep(0)  # let the waiting begin
    assert not any(task.done() for task in waiting), "what has been started has not ended"
    for name, port in launch.ports.items():
        assert await _accepted(port), f"port {name} ({port}) accepts connections"
    if "hang" in driver.acts:
        await instance.hang()
        assert all(process.stands for process in instance.processes()), "all processes stand still after hang()"
        await instance.resume()
        assert not any(process.stands for process in instance.processes()), "no process stands still after resume()"
    else:
        await _refuses(instance.hang())
        await _refuses(instance.resume())
    ending = await instance.stop()
    assert await asyncio.gather(*waiting) == [ending, ending], "all who wait for the end are told the same"
    assert instance.processes() == [], "stop() leaves nothing"
    assert await instance.stop() == ending, "stop() of what has ended tells how it ended"
    for name, port in launch.ports.items():
        assert not await _accepts(port), f"port {name} ({port}) accepts nothing any more after stop()"


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _accepted(port: int) -> bool:
    """Wait until a port accepts a connection; the time-out of the whole check is the deadline."""
    while not await _accepts(port):  # noqa: ASYNC110 - nobody tells when another process listens
        await asyncio.sleep(_LOOK_S)
    return True


async def _refuses(act: Coroutine[Any, Any, None]) -> None:
    try:
        await act
    except StackError:
        return
    raise AssertionError("what a driver cannot do is a StackError")


async def _check_kill(driver: Driver, instance: Instance) -> None:
    if "hang" in driver.acts:
        await instance.hang()
    ending = await instance.kill()
    assert ending == await instance.ended(), "kill() tells how it ended, also what stood still"
    assert instance.processes() == [], "kill() leaves nothing"
