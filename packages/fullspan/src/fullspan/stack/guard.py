"""The supervisor's side of the janitor: it is there before anything is started, and it is there as long as we are."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from fullspan.errors import StackError
from fullspan.stack.janitor import ALL_DONE, READY
from fullspan.stack.processes import COMPONENT_TAG, RUN_TAG
from fullspan.stack.run_folder import RunFolder

__all__ = ["Guard", "untagged"]

_START_S: Final = 20.0
_END_S: Final = 10.0


def untagged() -> dict[str, str]:
    """Return the environment without the tags of a run: who guards a run must not be killed with it."""
    return {name: value for name, value in os.environ.items() if name not in (RUN_TAG, COMPONENT_TAG)}


class Guard:
    """A janitor process that is replaced when it dies; it holds the stack's lock together with the supervisor."""

    def __init__(self, folder: RunFolder, lock: int, say: Callable[[str], object]) -> None:
        self._folder = folder
        self._lock = lock
        self._say = say
        self._janitor = self._spawn()
        self._watch: asyncio.Task[None] | None = None

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self._folder.supervisor_log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "fullspan.stack.janitor", str(self._folder.path)],
                env=untagged(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                pass_fds=[self._lock],
            )

    async def ready(self) -> None:
        """Wait until the janitor is on its watch; from then on it is replaced when it dies."""
        await self._on_watch()
        self._watch = asyncio.create_task(self._replace_the_dead(), name="janitor")

    async def _on_watch(self) -> None:
        assert self._janitor.stdout is not None  # noqa: S101 - it is a pipe
        try:
            async with asyncio.timeout(_START_S):
                said = await asyncio.to_thread(self._janitor.stdout.read, 1)
        except TimeoutError:
            said = b""
        if said != READY:
            raise StackError(
                f"The janitor, which cleans up should fullspan be killed, did not start within {_START_S:g} s.",
                f"See {self._folder.supervisor_log}.",
            )

    async def _replace_the_dead(self) -> None:
        while True:
            await self._end_of_janitor()
            self._close_pipes()
            self._say("the janitor died and is replaced")
            self._janitor = self._spawn()
            await self._on_watch()

    async def _end_of_janitor(self) -> None:
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        handle = os.pidfd_open(self._janitor.pid)
        loop.add_reader(handle, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        self._janitor.wait()

    async def dismiss(self) -> None:
        """Tell the janitor that nothing is left to do, and wait until it has gone."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        assert self._janitor.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):
            self._janitor.stdin.write(ALL_DONE)
            self._janitor.stdin.flush()
            self._janitor.stdin.close()
        try:
            await asyncio.to_thread(self._janitor.wait, _END_S)
        except subprocess.TimeoutExpired:
            self._janitor.kill()
            self._janitor.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._janitor.stdin, self._janitor.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
