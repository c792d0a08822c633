"""Finding an environment by its name, and reading its file."""

from pathlib import Path
from typing import Final

from fullspan.environment.model import SCHEMA, Environment
from fullspan.written import ENDING, find_written, read_written, understood

__all__ = ["FOLDER", "environment_names", "find_environment", "load_environment"]

FOLDER: Final = "environments"
_KIND: Final = "environment"


def find_environment(named: str, start: Path | None = None) -> Path:
    """Return the file of an environment: a path as it is, a name as environments/NAME.yaml from here upwards."""
    return find_written(named, FOLDER, _KIND, start)


def load_environment(file: Path) -> Environment:
    """Read an environment file; everything that cannot be meant is a UsageError with its place."""
    folder = file.resolve().parent
    project = folder.parent if folder.name == FOLDER else folder
    found = understood(Environment, {"name": file.stem} | read_written(file, _KIND, SCHEMA), str(file))
    return found.of_file(file.resolve(), project)


def environment_names(start: Path | None = None) -> list[str]:
    """Return the names of the environments that can be found from `start` (here) upwards."""
    here = (start or Path.cwd()).resolve()
    return sorted({file.stem for above in (here, *here.parents) for file in (above / FOLDER).glob(f"*{ENDING}")})
