"""The base of every shortage: it begins, shows what it does in numbers, and ends without a trace."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from fullspan.stack.processes import Process

__all__ = ["Shortage", "Target"]


class Target(Protocol):
    """What a shortage needs to know of a component."""

    @property
    def id(self) -> str:
        """Its name in the stack file."""
        ...

    @property
    def acting(self) -> asyncio.Lock:
        """Held by whoever changes the component."""
        ...

    @property
    def running(self) -> bool:
        """Whether it runs and nobody has stopped it."""
        ...

    @property
    def folder(self) -> Path:
        """Its current folder."""
        ...

    def processes(self) -> list[Process]:
        """Return its processes as they are now."""
        ...


class Shortage(ABC):
    """One thing that a component is short of. Its fields are what a user asks for; all are checked when it is made."""

    kind: ClassVar[str]

    @property
    def left_behind(self) -> Path | None:
        """A file that has to be removed if nobody lives to end the shortage."""
        return None

    @abstractmethod
    async def begin(self, target: Target) -> None:
        """Make the component short of it; StackError when it cannot be, with nothing done."""

    @abstractmethod
    async def end(self, target: Target) -> None:
        """Give it back; what has ended meanwhile needs nothing."""

    def seen(self) -> Mapping[str, float]:
        """Return what it has done so far, in numbers that its fault understands."""
        return {}
