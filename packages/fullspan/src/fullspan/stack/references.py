"""References in a stack file: `${rabbitmq.amqp}`, `${self.dir}`, `${env.NAME:-default}` and what they stand for."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fullspan.errors import UsageError, nearest
from fullspan.stack.secret_values import SecretValues

__all__ = ["References"]

_REFERENCE: Final = re.compile(r"\$\{([^}]*)\}")
_ENV: Final = "env."
_SECRET: Final = "secret."  # noqa: S105 - a prefix


@dataclass(frozen=True, slots=True)
class References:
    """The names that a text of one component (or of the endpoints) may refer to."""

    values: Mapping[str, str]
    secrets: SecretValues

    def expand(self, text: str, place: str, secret: bool = True) -> str:
        """Return the text with every reference replaced.

        `place` is the key of the file, for errors. Where `secret` is False a secret is refused: arguments of a
        process can be read by every user of the machine. Raises UsageError for what does not exist.
        """

        def replace(match: re.Match[str]) -> str:
            return self._value(match[1], place, secret)

        return _REFERENCE.sub(replace, text)

    def _value(self, name: str, place: str, secret: bool) -> str:
        if name.startswith(_ENV):
            return _from_environment(name.removeprefix(_ENV), place)
        if name.startswith(_SECRET) and name.removeprefix(_SECRET) in self.secrets.names:
            if not secret:
                raise UsageError(
                    f"{place} holds a secret, ${{{name}}}; arguments can be read by every user of the machine.",
                    "Pass it in `env`.",
                )
            return self.secrets[name.removeprefix(_SECRET)]
        if name in self.values:
            return self.values[name]
        known = [*self.values, *(f"{_SECRET}{known}" for known in self.secrets.names)]
        raise UsageError(f"{place} refers to ${{{name}}}, which does not exist.", nearest(name, known))


def _from_environment(name: str, place: str) -> str:
    variable, default_given, default = name.partition(":-")
    value = os.environ.get(variable)
    if value:
        return value
    if default_given:
        return default
    raise UsageError(
        f"{place} refers to the variable {variable}, which is not set.",
        f"Set it, or give a default: ${{{_ENV}{variable}:-DEFAULT}}.",
    )
