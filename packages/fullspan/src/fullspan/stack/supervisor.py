"""The process that owns a running stack: `python -m fullspan.stack.supervisor FILE --var FOLDER`.

Its owner holds the other end of its standard input: when that ends, by whatever cause, the stack is taken down. What
happens is said on standard output, one event a line. A janitor stands by for the case that this process is killed.
"""

import asyncio
import os
import resource
import signal
import ssl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fullspan.errors import FullspanError, Outlived, StackError
from fullspan.stack.guard import Guard
from fullspan.stack.janitor import AT_WORK_S, clean_up
from fullspan.stack.load import meant
from fullspan.stack.lock import StackLock
from fullspan.stack.model import StackModel
from fullspan.stack.plan import Plan
from fullspan.stack.run_folder import RunFolder
from fullspan.stack.running import RunningStack
from fullspan.stack.state import read_state
from fullspan.stack.undo import KillTagged, Remove, UndoList
from fullspan.stack.voice import Voice

if TYPE_CHECKING:
    from fullspan.stack.control import ControlServer

__all__ = ["main"]

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2


class Supervisor:
    """Brings one stack up, keeps it, and takes it down when it is told to or its owner goes."""

    def __init__(
        self, file: Path, var: Path, profile: str | None, env: Path | None, fixed_ports: bool, detach: bool
    ) -> None:
        self._file = file
        self._var = var
        self._env = env
        self._tls: ssl.SSLContext | None = None
        self._profile = profile
        self._fixed_ports = fixed_ports
        self._detach = detach
        self._voice = Voice(_STDOUT)
        self._told_to_stop = asyncio.Event()
        self._why = ""

    async def run(self) -> int:
        """Do all of it; return the exit code."""
        self._listen()
        try:
            model, self._profile, self._tls = meant(self._file, self._profile, self._env)
            folder = RunFolder(self._var, model.name)
            lock = await self._take_lock(folder)
            await self._clean_up_after_the_dead(folder)
            await self._run_guarded(model, folder, Guard(folder, lock.handle, self._say))
        except FullspanError as error:
            self._voice.say_failed(error)
            return error.exit_code
        self._say(f"stack {model.name} is down, nothing of it is left")
        return 0

    async def _run_guarded(self, model: StackModel, folder: RunFolder, guard: Guard) -> None:
        """Run the stack; after an error that nobody foresaw the janitor is not dismissed, and cleans up.

        What outlived the end of it stays on record for whoever comes next: the janitor could do no more about it.
        """
        failure: FullspanError | None = None
        try:
            await self._run(model, folder, guard)
        except FullspanError as error:
            failure = error
        if not isinstance(failure, Outlived):
            folder.clear()
        await guard.dismiss()
        if failure is not None:
            raise failure

    async def _take_lock(self, folder: RunFolder) -> StackLock:
        """Take the stack's name; wait for a janitor that still cleans up, refuse when the stack runs."""
        lock = StackLock(folder.lock)
        if lock.take():
            return lock
        state = read_state(folder.state)
        if state is not None and not state.supervisor.alive:
            self._say(f"the janitor cleans up after an earlier run (supervisor pid {state.supervisor.pid})")
            if await asyncio.to_thread(lock.take, AT_WORK_S):
                return lock
        pid = f" (supervisor pid {state.supervisor.pid})" if state else ""
        raise StackError(
            f"Stack {folder.name!r} is already up{pid}.",
            f"`fullspan status {folder.name}` shows it, `fullspan down {folder.name}` ends it.",
        )

    async def _clean_up_after_the_dead(self, folder: RunFolder) -> None:
        """Undo what an earlier run left whose janitor died too; begin with an empty folder.

        Raises Outlived, and leaves the folder as it is, when processes of that run do not go.
        """
        stale = read_state(folder.state)
        done = await asyncio.to_thread(clean_up, folder)
        folder.make_new()
        self._voice.write_down(folder)
        with folder.supervisor_log.open("ab") as log:
            os.dup2(log.fileno(), _STDERR)
        if stale is not None:
            pid = stale.supervisor.pid
            self._say(f"an earlier run of {folder.name} (supervisor pid {pid}) had died and left its state; removed")
        for what in done:
            self._say(f"left by the earlier run: {what}")

    async def _run(self, model: StackModel, folder: RunFolder, guard: Guard) -> None:
        undo = UndoList(folder.undo)
        for path in (folder.state, folder.control, folder.components):
            undo.add(Remove(str(path)))
        plan = Plan.make(self._file, model, folder, self._profile, self._fixed_ports)
        plan.environment, plan.tls = self._env, self._tls
        undo.add(KillTagged(plan.run_id))
        self._voice.keep_secret(plan.secrets.values)
        stack = RunningStack(plan, self._voice, undo)
        try:
            await stack.prepare()
            self._say_what_runs_as_root(stack)
            await guard.ready()
            await self._keep_up(stack)
        finally:
            plan.close()
            await stack.links.aclose()

    async def _keep_up(self, stack: RunningStack) -> None:
        """Bring it up and keep it until somebody says stop; take it down in every case."""
        bring_up = asyncio.create_task(stack.bring_up(), name="bring up")
        stop = asyncio.create_task(self._told_to_stop.wait(), name="stop")
        control = None
        try:
            control = await self._open_control(stack)
            await asyncio.wait({bring_up, stop}, return_when=asyncio.FIRST_COMPLETED)
            if bring_up.done():
                bring_up.result()
                self._say_ready(stack)
                await stop
            self._say(f"{self._why}: stopping")
        finally:
            bring_up.cancel()
            stop.cancel()
            await asyncio.wait({bring_up, stop})
            if control is not None:
                await control.aclose()
            await stack.tear_down()

    async def _open_control(self, stack: RunningStack) -> "ControlServer":
        # Imported when the first components have been started: they need longer to start than this.
        await asyncio.sleep(0)
        from fullspan.stack.control import Control, ControlServer

        control = Control(stack, lambda: self._stop("asked to stop"), self._let_go)
        return ControlServer(control, stack.plan.folder.control)

    def _listen(self) -> None:
        """Stop on a signal, and when the owner, who holds the other end of standard input, goes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop, number.name)
        loop.add_reader(_STDIN, self._owner_moved)

    def _owner_moved(self) -> None:
        if not os.read(_STDIN, 4096):
            asyncio.get_running_loop().remove_reader(_STDIN)
            self._stop("the owner has gone")

    def _stop(self, why: str) -> None:
        self._why = self._why or why
        self._told_to_stop.set()

    def _let_go(self) -> None:
        """Go on without an owner, in the background."""
        asyncio.get_running_loop().remove_reader(_STDIN)
        self._voice.say("stack.detached", "goes on without its owner")
        self._voice.fall_silent()
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, _STDIN)
        os.dup2(nothing, _STDOUT)
        os.close(nothing)

    def _say(self, what: str) -> None:
        self._voice.say("stack", what)

    def _say_what_runs_as_root(self, stack: RunningStack) -> None:
        if os.geteuid() == 0:
            for name, command in stack.commands().items():
                self._voice.say("stack.root", f"runs as root: {name}: {command}", component=name)

    def _say_ready(self, stack: RunningStack) -> None:
        seconds = (time.time_ns() - stack.started_wall_ns) / 1e9
        self._voice.say("stack.ready", f"stack {stack.plan.model.name} is up after {seconds:.1f} s")
        if self._detach:
            self._let_go()


def _raise_handle_limit() -> None:
    """Allow as many open sockets as the machine does: every proxied connection takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--var", type=click.Path(path_type=Path), required=True)
@click.option("--profile")
@click.option("--env", type=click.Path(path_type=Path))
@click.option("--fixed-ports", is_flag=True)
@click.option("--detach", is_flag=True)
def main(file: Path, var: Path, profile: str | None, env: Path | None, fixed_ports: bool, detach: bool) -> None:
    """Own one stack until standard input ends, or with --detach until it is asked to stop."""
    _raise_handle_limit()
    sys.exit(asyncio.run(Supervisor(file, var, profile, env, fixed_ports, detach).run()))


if __name__ == "__main__":
    main()
