"""Programs of the system that services need: where they are looked for, and which Debian package brings them."""

import os
import shutil
from dataclasses import dataclass

from fullspan.errors import StackError

__all__ = ["Executable"]


@dataclass(frozen=True, slots=True)
class Executable:
    """A program: the setting that names it, the paths tried, then the names tried on PATH."""

    title: str
    setting: str
    paths: tuple[str, ...]
    names: tuple[str, ...]
    package: str

    def find(self, chosen: str | None = None) -> str:
        """Return the path of the program, `chosen` by a setting or found; a StackError names the Debian package."""
        if chosen := chosen or os.environ.get(self.setting):
            return self._checked(chosen)
        for path in self.paths:
            if os.access(path, os.X_OK):
                return path
        for name in self.names:
            if found := shutil.which(name):
                return found
        raise StackError(
            f"{self.title} is not installed: neither {' nor '.join(self.paths + self.names)} was found.",
            f"On Debian: apt-get install {self.package}; elsewhere set {self.setting} to its executable.",
        )

    def _checked(self, chosen: str) -> str:
        if found := shutil.which(chosen):
            return found
        raise StackError(
            f"{self.setting} is {chosen!r}, which is no executable file.",
            f"Point it to the executable of {self.title}.",
        )
