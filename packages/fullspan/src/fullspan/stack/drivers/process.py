"""The driver for processes of this machine: each component in a session of its own, found again by its tag."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from fullspan.errors import StackError
from fullspan.stack.drivers.base import Driver, Ending, Instance, Launch
from fullspan.stack.processes import (
    COMPONENT_TAG,
    RUN_TAG,
    Process,
    kill_until_gone,
    look_up,
    send,
    session_of,
    signal_until,
    tagged,
)

__all__ = ["ProcessDriver"]

_SERVICES: Final = "fullspan.stack.services."
_ACT_S: Final = 10.0
# Everything else of the caller's environment stays outside, so that a stack runs the same for everybody.
_PASSED_ON: Final = (
    "PATH", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "LD_LIBRARY_PATH", "PYTHONPATH", "JAVA_HOME", "KAFKA_HOME",
)  # fmt: skip
_FOLDERS: Final = {
    "HOME": "home",
    "TMPDIR": "tmp",
    "XDG_CACHE_HOME": "home/.cache",
    "XDG_CONFIG_HOME": "home/.config",
    "XDG_DATA_HOME": "home/.local/share",
    "XDG_STATE_HOME": "home/.local/state",
    "XDG_RUNTIME_DIR": "runtime",
}


class ProcessDriver(Driver):
    """Runs `argv` without a shell, in the component's folder, with its output in the component's log."""

    kind = "process"

    def check(self, launch: Launch) -> None:
        """Look for the program on PATH, and for what a service of fullspan needs besides."""
        program = launch.argv[0]
        if shutil.which(program) is None:
            raise StackError(
                f"Component {launch.component!r} cannot start: there is no program {program!r} on this machine.",
                "Install it, or give its full path in `run`.",
            )
        module = launch.argv[2] if launch.argv[1:2] == ("-m",) and len(launch.argv) > 2 else ""
        if module.startswith(_SERVICES) and find_spec(module):
            try:
                import_module(module).check_installed()
            except StackError as error:
                raise StackError(
                    f"Component {launch.component!r} cannot start: {error.message}", error.remedy
                ) from error

    async def start(self, launch: Launch) -> "RunningProcess":
        """Start the program with an environment of its own, in which every path lies below its folder."""
        environment = _environment(launch)
        with launch.log.open("ab") as log:
            try:
                process = subprocess.Popen(  # noqa: ASYNC220 - returns as soon as the program is loaded
                    launch.argv,
                    cwd=launch.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise StackError(
                    f"Component {launch.component!r} cannot start: {launch.argv[0]}: {error.strerror}."
                ) from error
        return RunningProcess(launch, process)


def _environment(launch: Launch) -> dict[str, str]:
    """Return the environment of a component, and make the folders that it names."""
    folders = {name: launch.folder / place for name, place in _FOLDERS.items()}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    folders["XDG_RUNTIME_DIR"].chmod(0o700)
    passed_on = {name: os.environ[name] for name in (*_PASSED_ON, *_settings()) if name in os.environ}
    return {
        **passed_on,
        **{name: str(folder) for name, folder in folders.items()},
        # A log line must be on disk when its component dies the next moment.
        "PYTHONUNBUFFERED": "1",
        **launch.env,
        RUN_TAG: launch.run_id,
        COMPONENT_TAG: f"{launch.run_id}/{launch.component}",
    }


def _settings() -> list[str]:
    """Return the variables that name programs of services, which fullspan runs itself."""
    return [name for name in os.environ if name.startswith("FULLSPAN_") and name.endswith("_EXECUTABLE")]


class RunningProcess(Instance):
    """A main process and all that belongs to it: its session, its descendants, and whatever carries its tag."""

    def __init__(self, launch: Launch, process: "subprocess.Popen[bytes]") -> None:
        self._launch = launch
        self._process = process
        self._main = look_up(process.pid)
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._handle = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._handle, self._reap)

    @property
    def pid(self) -> int:
        """The main process."""
        return self._process.pid

    def processes(self) -> list[Process]:
        """Return the processes of its session and all that carry its tag."""
        found = {process.identity: process for process in tagged(COMPONENT_TAG, self._tag)}
        now = look_up(self.pid)
        # A pid comes round again; the session of its new owner is not ours.
        if self._main is not None and (now is None or now.identity == self._main.identity):
            found |= {process.identity: process for process in session_of(self.pid)}
        return list(found.values())

    @property
    def _tag(self) -> str:
        return f"{self._launch.run_id}/{self._launch.component}"

    def _reap(self) -> None:
        """Take note of the end, the moment that the kernel tells it."""
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        code = self._process.wait()
        ending = Ending(signal=signal.Signals(-code)) if code < 0 else Ending(code=code)
        if not self._ended.done():
            self._ended.set_result(ending)

    async def ended(self) -> Ending:
        """Wait until the main process has ended."""
        return await asyncio.shield(self._ended)

    async def stop(self) -> Ending:
        """Signal the main process, and kill what is left when it has ended or its time is over."""
        if self._main is not None and not self._ended.done():
            send(self._main, self._launch.stop_signal)
            for process in self.processes():
                send(process, signal.SIGCONT)  # what stands still cannot end
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._launch.stop_timeout_s):
                    await self.ended()
        return await self.kill()

    async def kill(self) -> Ending:
        """Kill all processes."""
        await asyncio.to_thread(kill_until_gone, self.processes, _ACT_S)
        try:
            async with asyncio.timeout(_ACT_S):
                return await self.ended()
        except TimeoutError:
            raise StackError(
                f"Component {self._launch.component!r} (pid {self.pid}) did not end within {_ACT_S:g} s of SIGKILL.",
                "It waits inside the kernel; look at its disk.",
            ) from None

    async def hang(self) -> None:
        """Stop all processes (SIGSTOP)."""
        await self._signal(signal.SIGSTOP, stands=True)

    async def resume(self) -> None:
        """Continue all processes (SIGCONT)."""
        await self._signal(signal.SIGCONT, stands=False)

    async def _signal(self, number: signal.Signals, *, stands: bool) -> None:
        def done(process: Process) -> bool:
            return process.stands is stands

        if not await asyncio.to_thread(signal_until, self.processes, number, done, _ACT_S):
            moving = ", ".join(f"{process.name} ({process.pid})" for process in self.processes() if not done(process))
            raise StackError(
                f"Component {self._launch.component!r} did not follow {number.name} within {_ACT_S:g} s: "
                f"{moving or 'it has no processes'}."
            )
