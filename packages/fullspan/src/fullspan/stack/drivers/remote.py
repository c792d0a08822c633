"""The driver for what runs elsewhere: it starts nothing, and makes the component's ports reachable on this machine."""

import asyncio
import contextlib
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from fullspan.errors import StackError
from fullspan.stack.drivers.base import Driver, Ending, Instance, Launch
from fullspan.stack.processes import Process
from fullspan.stack.proxy import LinkProxy
from fullspan.written import Strict

__all__ = ["RemoteDriver"]

_CONNECT_S: Final = 10.0

Address = Annotated[str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s/]+):[0-9]{1,5}$")]


class RemoteOptions(Strict):
    """What stands under `with`: where each port of the component is, as HOST:PORT."""

    at: dict[str, Address] = Field(min_length=1)


class RemoteDriver(Driver):
    """Leads each port of `ports` to the address under `with.at`. Nothing can be broken but the links."""

    kind = "remote"
    needs_run = False
    options = RemoteOptions
    acts = frozenset()

    def check(self, launch: Launch) -> None:
        """Compare the ports with the addresses; whether somebody is there is seen at the start."""
        addresses = _addresses(launch)
        for port in launch.ports.keys() ^ addresses.keys():
            missing = "`with.at`" if port in launch.ports else "`ports`"
            raise StackError(
                f"Component {launch.component!r} cannot be reached: {missing} has no {port!r}.",
                "Name each port under both.",
            )

    async def start(self, launch: Launch) -> "RemoteInstance":
        """Open a way to each port; StackError when nobody is there."""
        self.check(launch)
        async with contextlib.AsyncExitStack() as undone:
            ways = []
            for port, (host, number) in _addresses(launch).items():
                await _look(launch.component, host, number)
                way = LinkProxy(f"{launch.component}.{port}", host, number, listen_port=launch.ports[port])
                await way.start()
                undone.push_async_callback(way.aclose)
                ways.append(way)
            undone.pop_all()
        launch.log.touch(mode=0o600)
        return RemoteInstance(ways)


def _addresses(launch: Launch) -> dict[str, tuple[str, int]]:
    options = RemoteOptions.model_validate(launch.options)
    pairs = {port: address.rpartition(":") for port, address in options.at.items()}
    return {port: (host.strip("[]"), int(number)) for port, (host, _, number) in pairs.items()}


async def _look(component: str, host: str, port: int) -> None:
    """Connect once: the way to a port accepts connections even when nobody is at its end."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        why = (getattr(error, "strerror", None) or str(error) or f"no answer within {_CONNECT_S:g} s").lower()
        raise StackError(
            f"Component {component!r} is not there: {host}:{port}: {why}.", "Is it up, and is the address right?"
        ) from None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class RemoteInstance(Instance):
    """The ways to one component; it ends when they are closed."""

    def __init__(self, ways: list[LinkProxy]) -> None:
        self._ways = ways
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int | None:
        """Return None: its process is not of this machine."""
        return None

    def processes(self) -> list[Process]:
        """Return nothing: its processes are not of this machine."""
        return []

    async def ended(self) -> Ending:
        """Wait until the ways are closed; what happens at their other end is for the probes to see."""
        return await asyncio.shield(self._ended)

    async def stop(self) -> Ending:
        """Close the ways; the component goes on."""
        for way in self._ways:
            await way.aclose()
        if not self._ended.done():
            self._ended.set_result(Ending(code=0))
        return await self.ended()

    async def kill(self) -> Ending:
        """Close the ways; the component goes on."""
        return await self.stop()

    async def hang(self) -> None:
        """Raise a StackError: it cannot be done from here."""
        raise StackError("What runs elsewhere cannot be made to stand still from here.", "Break a link to it.")

    async def resume(self) -> None:
        """Raise a StackError: it cannot be done from here."""
        raise StackError("What runs elsewhere cannot be made to go on from here.")
