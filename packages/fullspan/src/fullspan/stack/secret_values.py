"""The secrets of one bring-up: resolved once, and never shown."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fullspan.errors import StackError
from fullspan.stack.model import SecretModel

__all__ = ["SecretValues"]

_RANDOM_BYTES: Final = 16


class SecretValues:
    """Values by name; a `random` one is made here, so it is another one in every bring-up.

    With `fixed` those that have a well-known value are that one.
    """

    def __init__(self, secrets: Mapping[str, SecretModel], project: Path, *, fixed: bool = False) -> None:
        self._known = {name: secret.fixed for name, secret in secrets.items() if fixed and secret.fixed}
        made = {
            name: _resolve(name, secret.source, project) for name, secret in secrets.items() if name not in self._known
        }
        self._secret = made
        self._values = {**made, **self._known}

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
        """The secrets themselves, for those who have to take them out of something; a well-known value is none."""
        return list(self._secret.values())


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
