"""Files that people write: found by their name, read strictly, and every mistake is named at its place."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from fullspan.errors import UsageError, nearest

__all__ = ["ENDING", "Strict", "find_written", "merged", "read_written", "understood"]

ENDING: Final = ".yaml"
_WORDS: Final = {
    "missing": "this key is missing.",
    "string_type": "a text is needed here; put it in quotes.",
    "tuple_type": "a list is needed here.",
    "dict_type": "keys are needed here, not one value.",
    "model_type": "keys are needed here, not one value.",
}
_MERGE: Final = "tag:yaml.org,2002:merge"

AnyModel = TypeVar("AnyModel", bound=BaseModel)


class Strict(BaseModel):
    """A part of a file: unknown keys are errors that name the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, value: Any) -> Any:
        if isinstance(value, dict):
            known = {field.alias or name: None for name, field in cls.model_fields.items()}
            for key in value:
                if key not in known:
                    raise ValueError(f"the key {key!r} is not known. {nearest(str(key), known)}")
        return value


def find_written(named: str, folder: str, kind: str, start: Path | None = None) -> Path:
    """Return a file: a path as it is, a name as FOLDER/NAME.yaml from `start` (here) upwards.

    `kind` says what it describes. Raises UsageError with the nearest name.
    """
    if "/" in named or named.endswith((ENDING, ".yml")):
        path = Path(named).expanduser()
        if not path.is_file():
            raise UsageError(f"There is no {kind} file {named}.", f"Give the name of a {kind}, or its file's path.")
        return path.resolve()
    here = (start or Path.cwd()).resolve()
    known: list[str] = []
    for above in (here, *here.parents):
        path = above / folder / f"{named}{ENDING}"
        if path.is_file():
            return path
        known += [found.stem for found in (above / folder).glob(f"*{ENDING}")]
    raise UsageError(
        f"There is no {kind} {named!r}: no folder from {here} upwards has {folder}/{named}{ENDING}.",
        nearest(named, known) if known else f"Go to the project's folder, or give the path of the {kind} file.",
    )


class _OneOfEach:
    """Refuses a key that stands twice in one mapping: the first one would silently be lost."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that stands twice; the merge key `<<` may."""
        seen = set()
        for key, _ in getattr(node, "value", ()):
            if key.value in seen and key.tag != _MERGE:
                what = f"the key {key.value!r} stands here for the second time"
                raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
            seen.add(key.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)  # type: ignore[misc]
        return mapping


class _Loader(_OneOfEach, yaml.SafeLoader):
    """The parser that says best what is wrong, and where."""


class _QuickLoader(_OneOfEach, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The one that is six times as quick, where there is one."""


def _parsed(text: str) -> Any:
    try:
        return yaml.load(text, _QuickLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError:
        return yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader


def read_written(file: Path, kind: str, schema: str) -> dict[str, Any]:
    """Return the keys of a file; a UsageError says why it cannot be read."""
    try:
        document = _parsed(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The {kind} file {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The {kind} file {file} is not UTF-8 text.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is not YAML: {_place(error)}.", "Correct it there.") from None
    if not isinstance(document, dict):
        article = "an" if kind[0] in "aeiou" else "a"
        raise UsageError(f"{file} is not {article} {kind} file: it holds no keys.", f"Begin with `schema: {schema}`.")
    # A key without anything behind it is as good as absent.
    return {key: value for key, value in document.items() if value is not None}


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(problem)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `above` over `below`: mappings are merged, null takes a key away, everything else replaces."""
    result = dict(below)
    for key, value in above.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            under = result.get(key)
            result[key] = merged(under if isinstance(under, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def understood(model: type[AnyModel], document: Mapping[str, Any], where: str) -> AnyModel:
    """Return what the keys of a file mean; a UsageError names the first mistake and its place in `where`."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        what = _sentence(first["type"], first["msg"])
        raise UsageError(f"{where}: {f'at {place}: ' if place else ''}{what}") from None


def _sentence(kind: str, message: str) -> str:
    """Turn pydantic's message into a sentence."""
    if kind in _WORDS:
        return _WORDS[kind]
    what = message.removeprefix("Value error, ")
    return what if what.endswith((".", "?")) else f"{what}."
