"""The secrets of one bring-up: resolved once, and never shown."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fullspan.errors import StackError

__all__ = ["SecretValues"]

_RANDOM_BYTES: Final = 16


class SecretValues:
    """Values by name; a `random` one is made here, so it is another one in every bring-up."""

    def __init__(self, references: Mapping[str, str], project: Path) -> None:
        self._values = {name: _resolve(name, reference, project) for name, reference in references.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __repr__(self) -> str:
        return f"SecretValues({', '.join(self._values)})"

    @property
    def names(self) -> list[str]:
        """The names, which are no secret."""
        return list(self._values)

    @property
    def values(self) -> list[str]:
        """The secrets themselves, for those who have to take them out of something."""
        return list(self._values.values())


def _resolve(name: str, reference: str, project: Path) -> str:
    kind, _, place = reference.partition(":")
    if kind == "random":
        return secrets.token_hex(_RANDOM_BYTES)
    if kind == "env":
        value = os.environ.get(place, "")
        if not value:
            raise StackError(
                f"The secret {name!r} is missing: the variable {place} is not set.", "Set it, and try again."
            )
        return value
    path = project / Path(place).expanduser()
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StackError(f"The secret {name!r} is missing: its file {path} cannot be read: {why}.") from error
    if not value:
        raise StackError(f"The secret {name!r} is missing: its file {path} is empty.")
    return value
