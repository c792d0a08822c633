"""A running stack as suites and commands see it: its addresses, components and links, and its control interface."""

import contextlib
import os
import select
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from fullspan.errors import FullspanError, Inconclusive, StackError, UsageError, nearest
from fullspan.settings import Settings
from fullspan.stack.load import find_stack_file, name_in, project_here, project_of
from fullspan.stack.processes import Process
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.sockets import short_path
from fullspan.stack.state import ComponentState, LinkState, StackState, read_state

if TYPE_CHECKING:
    import httpx

    from fullspan.environment import Environment

__all__ = ["ComponentHandle", "Stack", "find_run_folder", "run_folders"]

_STATE: Final = "state.json"
# An act answers when it is true; a start can take as long as the component needs to become ready.
_ACT_S: Final = 300.0
_ERRORS: Final[dict[str, type[FullspanError]]] = {"UsageError": UsageError, "Inconclusive": Inconclusive}


def find_run_folder(named: str, start: Path | None = None) -> RunFolder:
    """Return where a stack keeps its state: by its name, its stack file, or the path of its state file."""
    path = Path(named).expanduser()
    if path.name == _STATE:
        run = path.resolve().parent
        return RunFolder(run.parent.parent, run.name)
    settings = Settings.load()
    try:
        file = find_stack_file(named, start)
    except UsageError:
        # A stack whose file is elsewhere is found in the folder that the settings name.
        folder = RunFolder(settings.var_of(Path.cwd()), named)
        if settings.var is None or not folder.path.is_dir():
            raise
        return folder
    return RunFolder(settings.var_of(project_of(file)), name_in(file))


def run_folders() -> list[RunFolder]:
    """Return the folders of all stacks that are up, or died, below the run-time state of the project we are in."""
    var = Settings.load().var_of(project_here())
    return [RunFolder(var, state.parent.name) for state in sorted((var / "run").glob(f"*/{_STATE}"))]


class ComponentHandle:
    """One component of a running stack. Every act returns when it is true, and can be done under a lease."""

    def __init__(self, stack: "Stack", name: str) -> None:
        self._stack = stack
        self.id = name

    @property
    def state(self) -> ComponentState:
        """What the supervisor knows of it, now."""
        return self._stack.components[self.id]

    def processes(self) -> list[Process]:
        """Return its processes, now."""
        return [Process(**fields) for fields in self._stack.call("GET", f"/components/{self.id}/processes")]

    def hang(self, lease: str | None = None) -> None:
        """Make all its processes stand still."""
        self._act("hang", lease)

    def resume(self, lease: str | None = None) -> None:
        """Let it go on."""
        self._act("resume", lease)

    def kill(self, lease: str | None = None) -> None:
        """Kill all its processes."""
        self._act("kill", lease)

    def stop(self, lease: str | None = None) -> None:
        """Ask it to end."""
        self._act("stop", lease)

    def start(self, lease: str | None = None) -> None:
        """Start it again, and wait until it is ready."""
        self._act("start", lease)

    def _act(self, what: str, lease: str | None) -> None:
        self._stack.call("POST", f"/components/{self.id}/{what}", lease=lease)


class Stack:
    """A running stack. `attach` finds one; close it when done, which leaves the stack as it is."""

    def __init__(self, folder: RunFolder, endpoints: Mapping[str, str] | None = None, env: str | None = None) -> None:
        state = read_state(folder.state)
        if state is None or not state.supervisor.alive:
            raise StackError(f"Stack {folder.name!r} is not up.", f"`fullspan up {folder.name}` brings it up.")
        self._folder = folder
        self._known = state
        settings = Settings.load(env=env)
        self._env = settings.env
        there = self.environment.addresses() if settings.env or state.environment else {}
        self._overrides = there | settings.endpoints | dict(endpoints or {})
        self._closing = contextlib.ExitStack()
        self._socket = self._closing.enter_context(short_path(folder.control))

    @cached_property
    def control(self) -> "httpx.Client":
        """A client of the supervisor's control interface."""
        # Half of all there is to load, and who only looks whether a stack is up has nothing to ask.
        from fullspan.stack.control_client import control_client

        return self._closing.enter_context(control_client(self._socket, _ACT_S))

    @cached_property
    def environment(self) -> "Environment":
        """Where it runs and what it can do; one that says nothing when no environment was named."""
        return _environment(self._known, self._env)

    @classmethod
    def attach(cls, named: str | Path, endpoints: Mapping[str, str] | None = None, env: str | None = None) -> Self:
        """Find a running stack by its name or by the path of its state file; StackError when it is not up.

        Without `env` its environment is the one that it was brought up with.
        """
        return cls(find_run_folder(str(named)), endpoints, env)

    @property
    def name(self) -> str:
        """The name in the stack file."""
        return self._known.name

    @property
    def run_id(self) -> str:
        """The tag that all processes of this run carry in FULLSPAN_RUN."""
        return self._known.run_id

    @property
    def profile(self) -> str | None:
        """The profile it was brought up with."""
        return self._known.profile

    @property
    def var(self) -> Path:
        """The folder of all run-time state."""
        return Path(self._known.var)

    @property
    def project(self) -> Path:
        """The folder that the stack file belongs to."""
        return Path(self._known.project)

    @property
    def state(self) -> StackState:
        """The state, now."""
        return StackState.model_validate(self.call("GET", "/state"))

    @property
    def components(self) -> Mapping[str, ComponentState]:
        """The components by name, now."""
        return self.state.components

    @property
    def links(self) -> Mapping[str, LinkState]:
        """The links with a proxy by id, now."""
        return self.state.links

    def component(self, name: str) -> ComponentHandle:
        """Return one component; UsageError with the nearest name when there is none."""
        if name not in self._known.components:
            raise UsageError(f"The stack has no component {name!r}.", nearest(name, self._known.components))
        return ComponentHandle(self, name)

    def endpoint(self, name: str) -> str:
        """Return an address: an explicit override, else a setting, else the environment's, else that of the stack."""
        known = self._known.endpoints | self._overrides
        if name not in known:
            raise UsageError(f"The stack has no endpoint {name!r}.", nearest(name, known))
        return known[name]

    def overridden(self, name: str) -> bool:
        """Tell whether an address is not the stack's own; then faults on the link to it prove nothing."""
        return name in self._overrides

    def via(self, link_id: str, host: str, port: int) -> tuple[str, int]:
        """Return where to connect to reach an address, known only at run time, through a link with a proxy."""
        answer = self.call("POST", "/links", json={"id": link_id, "host": host, "port": port})
        listen_host, listen_port = answer["listen"]
        return str(listen_host), int(listen_port)

    def logs(self, component: str) -> Path:
        """Return the log of a component, unredacted."""
        return Path(self.component(component).state.log)

    def events(self) -> Path:
        """Return what happened to the stack, as a timeline."""
        return self._folder.events

    def secret_values(self) -> list[str]:
        """Return the values that have to be taken out of whatever leaves this machine."""
        stacks = [str(value) for value in self.call("GET", "/secrets")]
        named = self._env or self._known.environment
        return list(dict.fromkeys([*stacks, *(self.environment.secret_values().values() if named else ())]))

    def wait_until_down(self) -> None:
        """Wait, as long as it takes, until the supervisor has ended."""
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self._known.supervisor.pid)
            try:
                select.select([handle], [], [])
            finally:
                os.close(handle)

    def detach(self) -> None:
        """Keep the stack up when its owner goes; `fullspan down` ends it then."""
        self.call("POST", "/detach")

    def call(self, method: str, path: str, *, json: object = None, lease: str | None = None) -> Any:
        """Ask the control interface; return its JSON, raise its refusals and a StackError when it is gone."""
        from fullspan.stack.control_client import TransportError

        headers = {"X-Lease": lease} if lease else {}
        try:
            response = self.control.request(method, path, json=json, headers=headers)
        except TransportError as error:
            raise StackError(
                f"Stack {self.name!r} does not answer ({error or type(error).__name__}); its supervisor has gone.",
                f"See {self._folder.supervisor_log} and {self._folder.events}.",
            ) from error
        if response.is_error:
            raise _refusal(response)
        return response.json()

    def close(self) -> None:
        """Give back what this handle holds; the stack stays as it is."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _environment(state: StackState, env: str | None) -> "Environment":
    """Return the environment that is named, else that of the bring-up, else one that says nothing."""
    from fullspan.environment import Environment, find_environment, load_environment

    if env is None and state.environment is not None:
        file = Path(state.environment)
        if not file.is_file():
            raise StackError(f"The environment file {file}, with which stack {state.name!r} came up, has gone.")
        return load_environment(file)
    return Environment(name="none") if env is None else load_environment(find_environment(env))


def _refusal(response: "httpx.Response") -> FullspanError:
    try:
        body = response.json()
        kind = _ERRORS.get(body["type"], StackError)
        return kind(body["error"], body["remedy"])
    except (ValueError, KeyError):
        return StackError(f"The supervisor answered {response.status_code}: {response.text or response.reason_phrase}")
