"""Finding a stack file by its name, reading it, and laying a profile and an environment over it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fullspan.errors import UsageError, nearest
from fullspan.written import ENDING, find_written, merged, read_written, understood

if TYPE_CHECKING:
    import ssl

    from fullspan.environment import Environment
    from fullspan.stack.model import StackModel

__all__ = [
    "SCHEMA",
    "Meant",
    "find_stack_file",
    "load_stack",
    "meant",
    "name_in",
    "project_here",
    "project_of",
    "stack_names",
]

SCHEMA: Final = "fullspan/stack/1"
_FOLDER: Final = "stacks"
_KIND: Final = "stack"


def find_stack_file(named: str, start: Path | None = None) -> Path:
    """Return the file of a stack: a path as it is, a name as stacks/NAME.yaml from `start` (here) upwards."""
    return find_written(named, _FOLDER, _KIND, start)


def project_here() -> Path:
    """Return the project that the current folder belongs to; the current folder itself when it belongs to none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if any((folder / _FOLDER).glob(f"*{ENDING}"))), here)


def stack_names() -> list[str]:
    """Return the names of the stacks of the project we are in."""
    return sorted(file.stem for file in (project_here() / _FOLDER).glob(f"*{ENDING}"))


def project_of(file: Path) -> Path:
    """Return the folder of the project that a stack file belongs to: the one above `stacks/`."""
    folder = file.resolve().parent
    return folder.parent if folder.name == _FOLDER else folder


def name_in(file: Path) -> str:
    """Return the name that a stack file gives its stack, also of a file that is wrong elsewhere."""
    try:
        name = read_written(file, _KIND, SCHEMA).get("name")
    except UsageError:
        name = None
    return name if isinstance(name, str) else file.stem


def load_stack(file: Path, profile: str | None = None, environment: "Environment | None" = None) -> "StackModel":
    """Read a stack file, lay a profile over it, and what an environment overrides over both.

    Everything that cannot be meant is a UsageError with its place.
    """
    # Most of who asks where a stack file is does not read it.
    from fullspan.stack.model import StackModel

    document = read_written(file, _KIND, SCHEMA)
    profiles = document.get("profiles") or {}
    if not isinstance(profiles, Mapping) or not all(isinstance(value, Mapping | None) for value in profiles.values()):
        raise UsageError(f"{file}: `profiles` must map names to overrides.", "See `fullspan schema stack`.")
    if profile is not None and profile not in profiles:
        raise UsageError(f"{file} has no profile {profile!r}.", nearest(profile, {str(key): 0 for key in profiles}))
    chosen: Mapping[str, Any] = document
    model = understood(StackModel, document, str(file))
    for name, overrides in profiles.items():
        with_it = merged(document, overrides or {})
        valid = understood(StackModel, with_it, f"{file}, profile {name!r}")
        if name == profile:
            chosen, model = with_it, valid
    if environment is not None and (overrides := environment.over_the_stack(chosen)):
        model = understood(StackModel, merged(chosen, overrides), f"{file}, environment {environment.name!r}")
    return model


class Meant(NamedTuple):
    """What is asked for by a stack file, a profile and an environment together."""

    model: "StackModel"
    profile: str | None
    tls: "ssl.SSLContext | None"


def meant(file: Path, profile: str | None, env: Path | None) -> Meant:
    """Read a stack file in the environment of a file; the environment's profile is in force when none is named.

    What cannot be meant is a UsageError, and so is a certificate or a secret of the environment that cannot be had: it
    is told before anything starts, not by who first asks for it.
    """
    if env is None:
        return Meant(load_stack(file, profile), profile, None)
    from fullspan.environment import load_environment

    environment = load_environment(env)
    chosen = profile or environment.profile
    model = load_stack(file, chosen, environment)
    tls = environment.tls.context() if environment.tls.given else None
    environment.addresses()
    return Meant(model, chosen, tls)
