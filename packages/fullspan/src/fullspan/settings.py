"""Settings of fullspan: option, then environment (FULLSPAN_...), then file (fullspan.toml), then default."""

import os
import tomllib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from fullspan.errors import UsageError, nearest

__all__ = ["Effective", "Settings"]

_FILE: Final = "fullspan.toml"
_DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it is in force, and where that came from."""

    name: str
    value: str
    origin: str


class Settings(BaseModel):
    """What can be set; `endpoint` overrides addresses of a stack, `endpoint.focus.http` for example."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    var: Path | None = None
    """Where all run-time state lies; without it `var/` beside the folder of the stack file."""
    chromium_executable: str | None = None
    """The browser's executable; without it Chromium or Chrome on PATH."""
    endpoint: dict[str, Any] = {}
    env: str | None = None
    """The environment that is meant when no `--env` says so; without it none."""

    @classmethod
    def load(cls, config: Path | None = None, **options: object) -> Self:
        """Read the settings; an option that is None was not given. Without `config`, ./fullspan.toml is looked at.

        Raises UsageError for a file that cannot be read, an unknown key, or a value that cannot be meant.
        """
        values, origins = cls._gather(config, options)
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            name = str(first["loc"][0])
            origin = origins.get(name, _DEFAULT)
            raise UsageError(f"The setting {name} ({origin}) cannot be used: {first['msg']}.", "Correct it.") from None

    @classmethod
    def effective(cls, config: Path | None = None, **options: object) -> list[Effective]:
        """List every setting as `load` would give it, with its origin."""
        settings = cls.load(config, **options)
        _, origins = cls._gather(config, options)
        return [
            Effective(name, "" if value is None else str(value), origins.get(name, _DEFAULT))
            for name, value in settings
        ]

    @classmethod
    def _gather(cls, config: Path | None, options: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, str]]:
        """Merge the sources, weakest first, and keep from which of them each value is."""
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        path = config or (Path(_FILE) if Path(_FILE).exists() else None)
        file = _read(path, cls.model_fields) if path else {}
        environment = _environment(cls.model_fields)
        given = {name: value for name, value in options.items() if value is not None}
        for origin, source in ((str(path), file), ("environment", environment), ("option", given)):
            for name in cls.model_fields.keys() & source.keys():
                values[name] = _merged(values.get(name), source[name])
                origins[name] = origin
        return values, origins

    @property
    def endpoints(self) -> dict[str, str]:
        """The overridden addresses by name, as `focus.http`."""
        return dict(_flat(self.endpoint))

    def var_of(self, project: Path) -> Path:
        """Return the folder of all run-time state of a project, absolute."""
        return (self.var or project / "var").expanduser().resolve()


def _read(path: Path, known: Mapping[str, object]) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The settings file {path} is not TOML: {error}.") from error
    for key in values.keys() - known.keys():
        raise UsageError(f"The settings file {path} has an unknown key {key!r}.", nearest(key, known))
    return values


def _environment(known: Container[str]) -> dict[str, Any]:
    """Return what the variables FULLSPAN_... say of the known settings; `__` leads into a mapping."""
    values: dict[str, Any] = {}
    for variable, text in sorted(os.environ.items()):
        prefix, _, rest = variable.lower().partition("_")
        name, *deeper = rest.split("__")
        if prefix == "fullspan" and name in known:
            value: object = text
            for key in reversed(deeper):
                value = {key: value}
            values[name] = _merged(values.get(name), value)
    return values


def _merged(weak: object, strong: object) -> object:
    if isinstance(weak, dict) and isinstance(strong, dict):
        return weak | {key: _merged(weak.get(key), value) for key, value in strong.items()}
    return strong


def _flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{above}{key}.")
        else:
            found.append((f"{above}{key}", str(value)))
    return found
