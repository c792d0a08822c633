"""What a driver is: something that runs a component, and can end, hang and resume what it runs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM, Signals
from typing import ClassVar

from fullspan.stack.processes import Process

__all__ = ["Driver", "Ending", "Instance", "Launch"]


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run: all references are resolved, and all that it writes lies in `folder` and `log`."""

    component: str
    run_id: str
    argv: tuple[str, ...]
    folder: Path
    log: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    stop_signal: Signals = SIGTERM
    stop_timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How something ended: by an exit code, or by a signal."""

    code: int | None = None
    signal: Signals | None = None

    def __str__(self) -> str:
        return f"ended by {self.signal.name}" if self.signal else f"exit code {self.code}"


class Instance(ABC):
    """One run of a component, from its start to its end. Every act returns when it is true."""

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """The main process on this machine, if there is one."""

    @abstractmethod
    def processes(self) -> list[Process]:
        """Return all processes on this machine that belong to it, as they are now."""

    @abstractmethod
    async def ended(self) -> Ending:
        """Wait until it has ended, by itself or not; may be awaited by several at once."""

    @abstractmethod
    async def stop(self) -> Ending:
        """Ask it to end, and kill it when it takes longer than it may. Nothing of it is left."""

    @abstractmethod
    async def kill(self) -> Ending:
        """End it at once, without asking. Nothing of it is left."""

    @abstractmethod
    async def hang(self) -> None:
        """Make all of it stand still."""

    @abstractmethod
    async def resume(self) -> None:
        """Let all of it go on."""


class Driver(ABC):
    """Runs components; found by its `kind` in the entry point group `fullspan.drivers`."""

    kind: ClassVar[str]

    @abstractmethod
    def check(self, launch: Launch) -> None:
        """Raise a StackError with what to install when it cannot be run here; nothing is started."""

    @abstractmethod
    async def start(self, launch: Launch) -> Instance:
        """Start it; returns as soon as it runs, ready or not."""
