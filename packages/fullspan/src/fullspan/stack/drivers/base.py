"""What a driver is: something that runs a component, and can end, hang and resume what it runs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any, ClassVar, Final

from pydantic import BaseModel

from fullspan.stack.processes import Process

__all__ = ["ACTS", "Driver", "Ending", "Instance", "Launch"]

ACTS: Final = frozenset({"hang", "resume", "kill", "stop", "start"})
"""All that can be done to a component on purpose."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run: all references are resolved, and all that it writes lies in `folder` and `log`.

    `ports` are numbers on 127.0.0.1 by name, at which the component can be reached once it is ready, wherever it runs.
    `options` is what the stack file has under `with`, as the driver's own model has let it pass.
    """

    component: str
    run_id: str
    argv: tuple[str, ...]
    folder: Path
    log: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    ports: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
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
    needs_run: ClassVar[bool] = True
    """Whether a component must say what to `run`."""
    options: ClassVar[type[BaseModel] | None] = None
    """What may stand under `with`; None when nothing may."""
    acts: ClassVar[frozenset[str]] = ACTS
    """Which of ACTS it can do; a fault that needs another one is inconclusive."""

    @abstractmethod
    def check(self, launch: Launch) -> None:
        """Raise a StackError with what to install when it cannot be run here; nothing is started."""

    @abstractmethod
    async def start(self, launch: Launch) -> Instance:
        """Start it; returns as soon as it runs, ready or not."""
