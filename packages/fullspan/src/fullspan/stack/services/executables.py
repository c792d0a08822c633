"""Programs of the system that services need: where they are looked for, and which Debian package brings them."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from fullspan.errors import StackError

__all__ = ["Executable"]

_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_VERSION_IN_PATH: Final = re.compile(r"[-_](\d+(?:\.\d+)+)(?:/|$)")
_ANSWER_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Executable:
    """A program: the setting that names it, the paths tried, then the names tried on PATH.

    `version_option` makes it print its version and end; without one it is never run to be asked, because there are
    servers that would start.
    """

    title: str
    setting: str
    paths: tuple[str, ...]
    names: tuple[str, ...]
    package: str
    version_option: str | None = None

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

    def version(self, path: str) -> str | None:
        """Return the version of the program at a path: as its Python package, the path or itself tells; else None."""
        for script in entry_points(group="console_scripts", name=Path(path).name):
            if script.dist is not None:
                return script.dist.version
        if told := _VERSION_IN_PATH.search(str(Path(path).resolve())):
            return told[1]
        return None if self.version_option is None else _ask(path, self.version_option)


def _ask(path: str, option: str) -> str | None:
    try:
        answer = subprocess.run(
            [path, option], capture_output=True, text=True, errors="replace", timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    told = _VERSION.search(answer.stdout)
    return told[0] if told and answer.returncode == 0 else None
