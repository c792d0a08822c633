"""Bringing a stack up for the length of a block, and taking it down by name."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fullspan.errors import StackError
from fullspan.settings import Settings
from fullspan.stack.janitor import AT_WORK_S, clean_up
from fullspan.stack.load import find_stack_file, name_in, project_of
from fullspan.stack.lock import StackLock
from fullspan.stack.owner import Owner
from fullspan.stack.processes import look_up, send
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.state import read_state
from fullspan.timeline import Event, read_timeline

if TYPE_CHECKING:
    from fullspan.stack.handle import Stack

__all__ = ["environment_file", "open_stack", "take_down"]

_DOWN_S: Final = 60.0
_POLL_S: Final = 0.1

OnEvent = Callable[[Event], object]


def _silent(_event: Event) -> None:
    """Say nothing."""


@contextmanager
def open_stack(
    named: str | Path,
    profile: str | None = None,
    *,
    env: str | None = None,
    fixed_ports: bool = False,
    detach: bool = False,
    on_event: OnEvent = _silent,
) -> Iterator["Stack"]:
    """Bring a stack up and take it down when the block ends, or when this process does, by whatever cause.

    `named` is the name or the file of a stack, `env` that of an environment; `on_event` is told what happens, from
    another thread. With `detach`, or after `Stack.detach`, the stack stays. Raises UsageError, and StackError when it
    does not come up; then nothing of it is left. Raises Outlived when processes of it, or of an earlier run, do not go.
    """
    file = find_stack_file(str(named))
    settings = Settings.load(env=env)
    var = settings.var_of(project_of(file))
    environment = environment_file(settings)
    folder = RunFolder(var, name_in(file))
    owner = Owner(
        file, var, profile=profile, env=environment, fixed_ports=fixed_ports, detach=detach, on_event=on_event
    )
    try:
        # Imported while the stack comes up: the HTTP library would only make it come up later.
        from fullspan.stack.handle import Stack

        owner.until_ready()
        with Stack(folder, env=str(environment) if environment else None) as stack:
            yield stack
    except StackError as error:
        owner.close()
        if owner.killed:
            raise _killed(folder) from error
        raise
    finally:
        owner.close()
    if owner.killed:
        raise _killed(folder)
    if owner.failure is not None:
        raise owner.failure


def environment_file(settings: Settings) -> Path | None:
    """Return the file of the environment that the settings name, if they name one."""
    if settings.env is None:
        return None
    from fullspan.environment import find_environment

    return find_environment(settings.env)


def _killed(folder: RunFolder) -> StackError:
    """Wait until the janitor has done its work; return what to say about it."""
    lock = StackLock(folder.lock)
    words = "is still taking the stack down"
    if lock.take(AT_WORK_S):
        words = "could not take all of it down" if folder.state.exists() else "has taken the stack down"
    lock.close()
    return StackError(
        f"The supervisor of stack {folder.name!r} was killed; its janitor {words}.",
        f"What happened until then: {folder.events}.",
    )


def take_down(folder: RunFolder, on_event: OnEvent = _silent) -> None:
    """Take a stack down that somebody else brought up, or clean up after one that died.

    Raises StackError when it is not up, or does not go; Outlived when some of its processes do not.
    """
    state = read_state(folder.state)
    if state is None:
        raise StackError(f"Stack {folder.name!r} is not up.", "`fullspan status` lists those that are.")
    supervisor = look_up(state.supervisor.pid, state.supervisor.start_time)
    if supervisor is not None:
        send(supervisor, signal.SIGTERM)
    lock = StackLock(folder.lock)
    try:
        if _released(lock, folder, on_event, _DOWN_S):
            return
        if supervisor is not None:
            # What it did not take down in time its janitor does.
            send(supervisor, signal.SIGKILL)
        if not _released(lock, folder, on_event, AT_WORK_S):
            raise StackError(f"Stack {folder.name!r} is not down {_DOWN_S + AT_WORK_S:g} s after it was asked to go.")
    finally:
        lock.close()


def _released(lock: StackLock, folder: RunFolder, on_event: OnEvent, deadline_s: float) -> bool:
    """Wait until supervisor and janitor have ended, and pass on what they say meanwhile."""
    began = time.monotonic()
    told = time.monotonic_ns()
    while True:
        free = lock.take(_POLL_S)
        for event in read_timeline(folder.events):
            if event.mono_ns > told:
                told = event.mono_ns
                on_event(event)
        if free:
            break
        if time.monotonic() - began > deadline_s:
            return False
    for what in clean_up(folder):
        on_event(Event(time.monotonic_ns(), time.time_ns(), "stack", what))
    folder.clear()
    return True
