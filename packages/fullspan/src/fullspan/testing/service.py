"""A real server for a test: started, hung, killed and started again on the same ports with the same data."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Self

from fullspan.errors import StackError
from fullspan.stack import processes
from fullspan.stack.ports import hold_free_port

__all__ = ["RunningService"]

_START_S: Final = 180.0
"""Generous: nothing is measured by it, and a busy machine may take its time."""
_ACT_S: Final = 20.0


class RunningService(ABC):
    """A server run by its launcher, a module of `fullspan.stack.services`; nothing of it outlives this process.

    `greeting` is sent to its first port, where any answer counts as a sign of life.
    """

    title: ClassVar[str]
    module: ClassVar[str]
    greeting: ClassVar[bytes]

    def __init__(self, folder: Path, ports: int) -> None:
        self.folder = folder
        self.tag = f"test-{secrets.token_hex(8)}"
        self._held = [hold_free_port() for _ in range(ports)]
        self._launched: list[subprocess.Popen[bytes]] = []  # at most one; a list, which copies of this object share

    @property
    @abstractmethod
    def arguments(self) -> Sequence[str]:
        """What the launcher is told beside its folder."""

    @property
    @abstractmethod
    def login(self) -> Mapping[str, str]:
        """The variables by which the launcher gets its secrets."""

    @property
    def ports(self) -> list[int]:
        """Where it listens, on 127.0.0.1."""
        return [held.port for held in self._held]

    def start(self) -> None:
        """Start it and wait until it answers."""
        if self._launched:  # somebody else has ended it
            self.kill()
        for held in self._held:
            held.release()
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", self.module, "--until-eof", "--folder", str(self.folder), *self.arguments]
        environment = {**os.environ, **self.login, processes.RUN_TAG: self.tag}
        with self._log.open("ab") as log:
            launcher = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        self._launched.append(launcher)
        if not processes.wait_until(self._answers, _START_S, 0.05):
            raise StackError(f"The test's {self.title} did not answer on port {self.ports[0]} within {_START_S:g} s.")

    def stop(self) -> None:
        """Stop it as an administrator would; nothing of it is left."""
        for launcher in self._launched:
            launcher.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                launcher.wait(_ACT_S)
        self.kill()

    def kill(self) -> None:
        """Kill it (SIGKILL) and all that belongs to it, at once."""
        processes.kill_until_gone(self.processes, _ACT_S)
        while self._launched:
            launcher = self._launched.pop()
            launcher.wait(_ACT_S)
            if launcher.stdin is not None:
                launcher.stdin.close()

    def hang(self) -> None:
        """Stop every process of it (SIGSTOP) and wait until all stand still."""
        self._signal_until(signal.SIGSTOP, lambda process: process.stands)

    def resume(self) -> None:
        """Let it go on."""
        self._signal_until(signal.SIGCONT, lambda process: not process.stands)

    def _signal_until(self, number: signal.Signals, done: processes.Test) -> None:
        if not processes.signal_until(self.processes, number, done, _ACT_S):
            raise StackError(f"The test's {self.title} did not react to {number.name} within {_ACT_S:g} s.")

    def processes(self) -> list[processes.Process]:
        """Return all processes that belong to it, as they are now."""
        return processes.tagged(processes.RUN_TAG, self.tag)

    @property
    def _log(self) -> Path:
        return self.folder / "launcher.log"

    def _answers(self) -> bool:
        """Tell whether it answers a greeting; raise when it has died."""
        if not self._launched or self._launched[0].poll() is not None:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise StackError(f"The test's {self.title} died while it started:\n{said}")
        try:
            with socket.create_connection(("127.0.0.1", self.ports[0]), timeout=5) as connection:
                connection.sendall(self.greeting)
                return bool(connection.recv(1))
        except OSError:
            return False

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Run it; at the end nothing of it runs any more."""
        try:
            self.start()
            yield self
        finally:
            self.kill()
