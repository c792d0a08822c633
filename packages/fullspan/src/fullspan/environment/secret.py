"""A secret by reference: where it lies is written in files, never what it is."""

import os
import secrets
from pathlib import Path
from typing import Final

from fullspan.errors import StackError

__all__ = ["secret_value"]

_RANDOM_BYTES: Final = 16


def secret_value(name: str, reference: str, project: Path) -> str:
    """Return the secret behind `env:VARIABLE`, `file:PATH` (relative to the project) or `random`, made anew each time.

    Raises StackError when it cannot be had; the message never holds a value.
    """
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
