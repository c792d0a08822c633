"""The secrets of one bring-up: resolved once, and never shown."""

from collections.abc import Mapping
from pathlib import Path

from fullspan.environment.secret import secret_value
from fullspan.stack.model import SecretModel

__all__ = ["SecretValues"]


class SecretValues:
    """Values by name; a `random` one is made here, so it is another one in every bring-up.

    With `fixed` those that have a well-known value are that one.
    """

    def __init__(self, secrets: Mapping[str, SecretModel], project: Path, *, fixed: bool = False) -> None:
        self._known = {name: secret.fixed for name, secret in secrets.items() if fixed and secret.fixed}
        made = {
            name: secret_value(name, secret.source, project)
            for name, secret in secrets.items()
            if name not in self._known
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
