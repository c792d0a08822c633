"""Import of a desktop client's settings: what is known becomes an environment, and nothing of the rest is lost.

The client keeps JSON of nested objects. A setting is known by its last two names, whatever their case and punctuation:
`Constraints.FrequencyMax_Hz` and `constraints / frequency_max_hz` are the same. docs/environments.md lists them all.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from fullspan.environment.model import SCHEMA, Environment
from fullspan.errors import UsageError

__all__ = ["KNOWN", "Imported", "import_settings"]

_HIDDEN: Final = re.compile(r"password|passwd|secret|token|apikey|credential", re.IGNORECASE)
_NAME: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:')
_PASSWORD: Final = re.compile(r"://[^/@\s]*@")
_LONGEST: Final = 4 * 1024 * 1024


class _MeaninglessError(ValueError):
    """A value that a known setting cannot have, in words."""


def _url(value: Any) -> str:
    if not isinstance(value, str) or urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise _MeaninglessError("it is no http address")
    if urlsplit(value).username is not None:
        raise _MeaninglessError("it is an address with a password in it")
    return value


def _count(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _MeaninglessError("it is no whole number from 1 on")
    return value


def _number(value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise _MeaninglessError("it is no number") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _MeaninglessError("it is no text")
    return value


def _counts(value: Any) -> list[int]:
    if not isinstance(value, list) or not value:
        raise _MeaninglessError("it is no list of numbers")
    return sorted({_count(item) for item in value})


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _MeaninglessError("it is neither true nor false")
    return value


def _colormap(value: Any) -> str:
    return _text(value).lower()


@dataclass(frozen=True, slots=True)
class Known:
    """One setting of the client: where it goes in the environment, and what it must be."""

    place: str
    read: Callable[[Any], Any]


KNOWN: Final[Mapping[str, Known]] = {
    "communication.backend": Known("endpoints/focus.http", _url),
    "communication.frontend": Known("endpoints/focus.liveview", _url),
    "communication.siteid": Known("site", _text),
    "communication.verifytls": Known("tls/verify", _flag),
    "communication.cacertificate": Known("tls/ca", _text),
    "constraints.frequencyminhz": Known("constraints/min_frequency_hz", _number),
    "constraints.frequencymaxhz": Known("constraints/max_frequency_hz", _number),
    "constraints.sensorsrange": Known("constraints/channels", _count),
    "constraints.numlivescreens": Known("constraints/windows", _count),
    "constraints.maxjobs": Known("constraints/jobs", _count),
    "defaults.displaytimeaxisduration": Known("display/duration_s", _number),
    "defaults.displayheight": Known("display/height_px", _count),
    "defaults.colormap": Known("display/colormap", _colormap),
    "defaults.nfftsinglechannel": Known("nfft/single_channel", _count),
    "defaults.nfftmultichannel": Known("nfft/multichannel", _count),
    "options.nfft": Known("nfft/choices", _counts),
    "rabbitmq.host": Known("broker/host", _text),
    "rabbitmq.port": Known("broker/port", _count),
    "rabbitmq.user": Known("broker/user", _text),
    "rabbitmq.virtualhost": Known("broker/vhost", _text),
    "rabbitmq.password": Known("broker/password", _text),
    "caxis.min": Known("caxis/low", _number),
    "caxis.max": Known("caxis/high", _number),
}


@dataclass(slots=True)
class Imported:
    """What came of an import: the environment's keys, and what a person has to know about it."""

    document: dict[str, Any]
    taken: list[tuple[str, str]] = field(default_factory=list)
    """Settings that are known, and where each went."""
    kept: list[tuple[str, str]] = field(default_factory=list)
    """Settings that stand under `imported`, and why."""
    variables: dict[str, str] = field(default_factory=dict)
    """The variables that secrets are now taken from, by the setting that held one."""


def import_settings(file: Path, name: str) -> Imported:
    """Read a client's settings; UsageError when the file holds none. No value of a secret is in the result."""
    settings = _read(file)
    result = Imported({"schema": SCHEMA, "name": name, "description": f"imported from {file.name}"})
    parts: dict[str, dict[str, Any]] = {"broker": {}, "caxis": {}}
    for path, value in _leaves(settings):
        known = KNOWN.get(_key(path))
        if known is None:
            _keep(result, path, value, "this setting is not known")
            continue
        try:
            meant = known.read(value)
        except _MeaninglessError as error:
            _keep(result, path, value, f"its value cannot be meant: {error}")
            continue
        if known.place == "broker/password":
            meant = _by_reference(result, path)
        above, _, last = known.place.partition("/")
        if above in parts:
            parts[above][last] = meant
        else:
            _put(result.document, known.place, meant)
        result.taken.append((_dotted(path), _shown(known.place)))
    _put_broker(result, parts["broker"])
    _put_caxis(result, parts["caxis"])
    _check(result, file)
    return result


def _read(file: Path) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > _LONGEST:
            raise UsageError(f"{file} is longer than {_LONGEST // 2**20} MiB, which no settings are.")
        settings = json.loads(file.read_text(encoding="utf-8-sig"))
        json.dumps(settings, ensure_ascii=False).encode()  # half a character could not be written again
    except OSError as error:
        raise UsageError(f"The settings {file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The settings {file} are no JSON: {error}.", "Give the client's settings file.") from error
    if not isinstance(settings, dict) or not settings:
        raise UsageError(f"The settings {file} hold no keys.", "Give the client's settings file.")
    return settings


def _leaves(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give every value with the names that lead to it; a list is one value."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*above, str(name)))
    else:
        yield above, value


def _key(path: tuple[str, ...]) -> str:
    return ".".join(re.sub(r"[^a-z0-9]", "", name.lower()) for name in path[-2:])


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path)


def _shown(place: str) -> str:
    return {"broker": "endpoints.rabbitmq.amqp", "caxis": "display.caxis_db"}.get(
        place.partition("/")[0], place.replace("/", ".")
    )


def _put(document: dict[str, Any], place: str, value: Any) -> None:
    above, slash, last = place.partition("/")
    if slash:
        document.setdefault(above, {})[last] = value
    else:
        document[place] = value


def _keep(result: Imported, path: tuple[str, ...], value: Any, why: str) -> None:
    """Keep what has no place, as it is; a secret is never written down, only that there was one."""
    if _holds_secret(path, value):
        _by_reference(result, path)
        why = f"{why}; its value is not written down"
    else:
        place = result.document.setdefault("imported", {})
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    result.kept.append((_dotted(path), why))


def _holds_secret(path: tuple[str, ...], value: Any) -> bool:
    """Tell whether a setting is a secret by its name, by a name inside of it, or by an address with a password."""
    names = [*path, *_NAME.findall(json.dumps(value, ensure_ascii=False))]
    hidden = any(_HIDDEN.search(re.sub(r"[^A-Za-z0-9]", "", name)) for name in names)
    return hidden or _PASSWORD.search(json.dumps(value)) is not None


def _by_reference(result: Imported, path: tuple[str, ...]) -> str:
    """Make a secret's place a variable, and return the secret's name."""
    secret = "_".join(re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in path[-2:])[-40:].lstrip(
        "_0123456789"
    )
    variable = f"{result.document['name']}_{secret}".upper().replace("-", "_")
    result.document.setdefault("secrets", {})[secret] = f"env:{variable}"
    result.variables[_dotted(path)] = variable
    return secret


def _put_broker(result: Imported, broker: Mapping[str, Any]) -> None:
    """Make one address of the broker's parts."""
    if not broker:
        return
    if "host" not in broker:
        result.kept.append(("RabbitMQ", "without a host there is no address"))
        result.document.setdefault("imported", {})["rabbitmq"] = {k: v for k, v in broker.items() if k != "password"}
        return
    who = quote(str(broker.get("user", "guest")), safe="")
    if "password" in broker:
        who += f":${{secret.{broker['password']}}}"
    vhost = quote(str(broker.get("vhost", "/")).strip("/"), safe="")
    address = f"amqp://{who}@{broker['host']}:{broker.get('port', 5672)}/{vhost}"
    result.document.setdefault("endpoints", {})["rabbitmq.amqp"] = address


def _put_caxis(result: Imported, caxis: Mapping[str, Any]) -> None:
    if {"low", "high"} <= caxis.keys() and caxis["low"] < caxis["high"]:
        result.document.setdefault("display", {})["caxis_db"] = [caxis["low"], caxis["high"]]
    elif caxis:
        result.kept.append(("CAxis", "it needs a Min below a Max"))
        result.document.setdefault("imported", {})["caxis"] = dict(caxis)


def _check(result: Imported, file: Path) -> None:
    """Lay aside, one by one, what does not go together, so that the file that is written can be read."""
    while True:
        try:
            Environment.model_validate(result.document)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            part = str(first["loc"][0]) if first["loc"] else ""
            if part not in result.document or part in ("schema", "name"):
                raise UsageError(f"The settings {file} make no environment: {first['msg']}.") from None
            result.document.setdefault("imported", {})[part] = result.document.pop(part)
            result.kept.append((part, first["msg"].removeprefix("Value error, ")))
        else:
            return
