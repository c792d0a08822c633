"""What one stack needs: its programs and their versions, its secrets, its input data, and its ports."""

import hashlib
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fullspan import __version__
from fullspan.doctor.check import Check, Level
from fullspan.environment import find_environment, load_environment
from fullspan.errors import FullspanError, StackError
from fullspan.settings import Settings
from fullspan.stack.load import load_stack
from fullspan.stack.model import StackModel
from fullspan.stack.plan import Plan, PlannedComponent
from fullspan.stack.ports import hold_fixed_port
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.services.chromium import CHROMIUM
from fullspan.stack.services.executables import Executable
from fullspan.stack.state import read_state

__all__ = ["look_at_browser", "look_at_environment", "look_at_ports", "look_at_stack"]

_SERVICES: Final = "fullspan.stack.services."


def look_at_environment(named: str) -> Iterator[Check]:
    """Look whether an environment's certificates and secrets are there. Raises UsageError when it cannot be meant."""
    environment = load_environment(find_environment(named))
    topic = f"environment {environment.name}"
    yield Check(topic, "file", Level.OK, environment.description or str(environment.file))
    looks = {"certificates": environment.tls.context, "addresses": environment.addresses}
    for name, look in looks.items():
        try:
            look()
        except FullspanError as error:
            yield Check(topic, name, Level.PROBLEM, error.message, error.remedy)
        else:
            yield Check(topic, name, Level.OK, "can be used")


def look_at_stack(
    file: Path, var: Path, profile: str | None, fixed_ports: bool, env: str | None = None
) -> Iterator[Check]:
    """Look at all that a stack needs. Raises UsageError when its file cannot be meant."""
    environment = load_environment(find_environment(env)) if env else None
    profile = profile or (environment.profile if environment else None)
    model = load_stack(file, profile, environment)
    folder = RunFolder(var, model.name)
    topic = f"stack {model.name}"
    yield Check(topic, "file", Level.OK, f"{len(model.components)} components, {len(model.links)} links")
    try:
        plan = Plan.make(file, model, folder, profile)
    except StackError as error:
        yield Check(topic, "secrets and ports", Level.PROBLEM, error.message, error.remedy)
        return
    try:
        for name, component in plan.unchecked().items():
            yield from _program(topic, name, component)
        yield from _data(topic, plan)
    finally:
        plan.close()
    if fixed_ports:
        yield from look_at_ports(topic, model, folder)


def look_at_browser() -> Check:
    """Look for the browser, which no stack needs, but every suite that opens a page."""
    topic = "programs"
    try:
        path = CHROMIUM.find(Settings.load().chromium_executable)
    except StackError as error:
        said = f"{error.message} Suites that open a page cannot run."
        return Check(topic, CHROMIUM.title, Level.WARNING, said, error.remedy)
    return Check(topic, CHROMIUM.title, Level.OK, _found(CHROMIUM, path))


def look_at_self() -> Check:
    """Say what fullspan itself runs on."""
    detail = f"{__version__} on Python {platform.python_version()}, {sys.executable}"
    return Check("programs", "fullspan", Level.OK, detail)


def _program(topic: str, name: str, component: PlannedComponent) -> Iterator[Check]:
    """Look whether a component could be started, and name the programs behind it."""
    try:
        component.driver.check(component.launch)
        component.probe()
    except FullspanError as error:
        yield Check(topic, name, Level.PROBLEM, error.message, error.remedy)
        return
    argv = component.launch.argv
    if not argv:
        yield Check(topic, name, Level.OK, f"is run by the driver {component.driver.kind}")
        return
    module = argv[2] if argv[1:2] == ("-m",) and len(argv) > 2 else ""
    if argv[0] == sys.executable and module and not find_spec(module.partition(".")[0]):
        detail = f"the Python of fullspan has no module {module}"
        yield Check(topic, name, Level.PROBLEM, detail, "Install the package that brings it.")
        return
    programs = _executables(module) if module.startswith(_SERVICES) else []
    if not programs:
        yield Check(topic, name, Level.OK, module or str(shutil.which(argv[0])))
    for program in programs:
        yield Check(topic, f"{name}: {program.title}", Level.OK, _found(program, program.find()))


def _executables(module: str) -> list[Executable]:
    """Return the programs that a service runs."""
    return [value for value in vars(import_module(module)).values() if isinstance(value, Executable)]


def _found(program: Executable, path: str) -> str:
    version = program.version(path)
    return f"{version}, {path}" if version else path


def _data(topic: str, plan: Plan) -> Iterator[Check]:
    """Look whether the input data are there: every file below `${var}/data` that a component is given."""
    data = plan.folder.var / "data"
    wanted: dict[Path, list[str]] = {}
    for name, component in plan.unchecked().items():
        for text in (*component.launch.argv, *component.launch.env.values()):
            if Path(text).is_relative_to(data):
                wanted.setdefault(Path(text), []).append(name)
    for path, components in wanted.items():
        who = ", ".join(dict.fromkeys(components))
        if not path.is_file() or not path.stat().st_size:
            detail = f"{path} is not there, which {who} reads"
            yield Check(topic, path.name, Level.PROBLEM, detail, "`make setup` fetches the data of this project.")
        elif (known := _known_digest(path)) and known != _digest(path):
            detail = f"{path} is not the file that {path.with_suffix('.json').name} describes: its sha256 differs"
            yield Check(topic, path.name, Level.PROBLEM, detail, "Remove it, and run `make setup`.")
        else:
            verified = "sha256 as described" if known else "not described, so not verified"
            yield Check(topic, path.name, Level.OK, f"{path.stat().st_size / 1e6:.1f} MB, {verified}")


def _known_digest(path: Path) -> str | None:
    """Return the sha256 that the JSON file beside a data file tells of it, if there is one."""
    try:
        described = json.loads(path.with_suffix(".json").read_bytes())
        return str(described["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def look_at_ports(topic: str, model: StackModel, folder: RunFolder) -> Iterator[Check]:
    """Look whether the well-known ports are free; those of the stack itself, when it is up, are its own."""
    try:
        state = read_state(folder.state)
    except StackError:
        state = None  # the residue tells
    up = state is not None and state.supervisor.alive
    own = {port for component in state.components.values() for port in component.ports.values()} if state and up else ()
    for name, component in model.components.items():
        for port, number in component.ports.items():
            if number.fixed is None:
                continue
            if number.fixed in own:
                yield Check(topic, f"port {number.fixed}", Level.OK, "held by this stack, which is up")
                continue
            try:
                hold_fixed_port(number.fixed, f"component {name!r} ({port})").release()
            except StackError as error:
                yield Check(topic, f"port {number.fixed}", Level.PROBLEM, error.message, error.remedy)
            else:
                yield Check(topic, f"port {number.fixed}", Level.OK, f"free for {name} ({port})")
