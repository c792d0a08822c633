"""What a probe is: a question to a component that has one good answer, and a cause when it is not given yet."""

import ssl
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

__all__ = ["NotReady", "Probe"]


class NotReady(Exception):  # noqa: N818 - not an error: the component may need a moment
    """The component is not ready yet; the message is the cause, as `connection refused`."""


class Probe(ABC):
    """Asks whether a component is ready; found by its `kind` in the entry point group `fullspan.probes`.

    `target` is the text of the stack file with its references resolved; `log` is the component's log, of which only
    what comes after `log_start` (bytes) belongs to this run of the component.
    """

    kind: ClassVar[str]
    tls: ssl.SSLContext | None = None
    """Whom to trust, where an environment says so; else the authorities of this machine."""

    def __init__(self, target: str, log: Path, log_start: int) -> None:
        self.target = target
        self.log = log
        self.log_start = log_start
        self.parse()

    @abstractmethod
    def parse(self) -> None:
        """Raise UsageError when the target cannot be meant, before anything has been started."""

    @property
    def waits_for(self) -> str:
        """What is waited for, in words and without secrets."""
        return f"{self.kind} {self.target}"

    @abstractmethod
    async def check(self) -> None:
        """Return when the component is ready, raise NotReady with the cause when it is not; ask once."""
