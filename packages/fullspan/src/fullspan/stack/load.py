"""Finding a stack file by its name, reading it, and laying a profile over it."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from fullspan.errors import UsageError, nearest
from fullspan.stack.model import SCHEMA, StackModel

__all__ = ["find_stack_file", "load_stack", "name_in", "project_here", "project_of", "stack_names"]

_FOLDER: Final = "stacks"
_ENDING: Final = ".yaml"
_WORDS: Final = {
    "missing": "this key is missing.",
    "string_type": "a text is needed here; put it in quotes.",
    "tuple_type": "a list is needed here.",
    "dict_type": "keys are needed here, not one value.",
    "model_type": "keys are needed here, not one value.",
}
_MERGE: Final = "tag:yaml.org,2002:merge"


def find_stack_file(named: str, start: Path | None = None) -> Path:
    """Return the file of a stack: a path as it is, a name as stacks/NAME.yaml from `start` (here) upwards."""
    if "/" in named or named.endswith((_ENDING, ".yml")):
        path = Path(named).expanduser()
        if not path.is_file():
            raise UsageError(f"There is no stack file {named}.", "Give the name of a stack, or the path of its file.")
        return path.resolve()
    here = (start or Path.cwd()).resolve()
    known: list[str] = []
    for folder in (here, *here.parents):
        path = folder / _FOLDER / f"{named}{_ENDING}"
        if path.is_file():
            return path
        known += [found.stem for found in (folder / _FOLDER).glob(f"*{_ENDING}")]
    raise UsageError(
        f"There is no stack {named!r}: no folder from {here} upwards has {_FOLDER}/{named}{_ENDING}.",
        nearest(named, known) if known else "Go to the project's folder, or give the path of the stack file.",
    )


def project_here() -> Path:
    """Return the project that the current folder belongs to; the current folder itself when it belongs to none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if any((folder / _FOLDER).glob(f"*{_ENDING}"))), here)


def stack_names() -> list[str]:
    """Return the names of the stacks of the project we are in."""
    return sorted(file.stem for file in (project_here() / _FOLDER).glob(f"*{_ENDING}"))


def project_of(file: Path) -> Path:
    """Return the folder of the project that a stack file belongs to: the one above `stacks/`."""
    folder = file.resolve().parent
    return folder.parent if folder.name == _FOLDER else folder


def name_in(file: Path) -> str:
    """Return the name that a stack file gives its stack, also of a file that is wrong elsewhere."""
    try:
        name = _read(file).get("name")
    except UsageError:
        name = None
    return name if isinstance(name, str) else file.stem


def load_stack(file: Path, profile: str | None = None) -> StackModel:
    """Read a stack file and lay a profile over it; everything that cannot be meant is a UsageError with its place."""
    document = _read(file)
    profiles = document.get("profiles") or {}
    if not isinstance(profiles, Mapping) or not all(isinstance(value, Mapping | None) for value in profiles.values()):
        raise UsageError(f"{file}: `profiles` must map names to overrides.", "See `fullspan schema stack`.")
    if profile is not None and profile not in profiles:
        raise UsageError(f"{file} has no profile {profile!r}.", nearest(profile, {str(key): 0 for key in profiles}))
    chosen = _validated(document, file, None)
    for name, overrides in profiles.items():
        with_it = _validated(_merged(document, overrides or {}), file, name)
        chosen = with_it if name == profile else chosen
    return chosen


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key that stands twice in one mapping: the first one would silently be lost."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that stands twice; the merge key `<<` may."""
        seen = set()
        for key, _ in getattr(node, "value", ()):
            if key.value in seen and key.tag != _MERGE:
                what = f"the key {key.value!r} stands here for the second time"
                raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read(file: Path) -> dict[str, Any]:
    try:
        document = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a SafeLoader
    except OSError as error:
        raise UsageError(f"The stack file {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The stack file {file} is not UTF-8 text.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is not YAML: {_place(error)}.", "Correct it there.") from None
    if not isinstance(document, dict):
        raise UsageError(f"{file} is not a stack file: it holds no keys.", f"Begin with `schema: {SCHEMA}`.")
    # A key without anything behind it is as good as absent.
    return {key: value for key, value in document.items() if value is not None}


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(problem)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `above` over `below`: mappings are merged, null takes a key away, everything else replaces."""
    result = dict(below)
    for key, value in above.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            under = result.get(key)
            result[key] = _merged(under if isinstance(under, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _validated(document: Mapping[str, Any], file: Path, profile: str | None) -> StackModel:
    try:
        return StackModel.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        where = f"{file}, profile {profile!r}" if profile else str(file)
        what = _sentence(first["type"], first["msg"])
        raise UsageError(f"{where}: {f'at {place}: ' if place else ''}{what}") from None


def _sentence(kind: str, message: str) -> str:
    """Turn pydantic's message into a sentence."""
    if kind in _WORDS:
        return _WORDS[kind]
    what = message.removeprefix("Value error, ")
    return what if what.endswith((".", "?")) else f"{what}."
