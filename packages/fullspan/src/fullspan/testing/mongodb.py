"""A real MongoDB server for a test: started, killed, hung and started again on the same port with the same data."""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fullspan.errors import StackError
from fullspan.stack import processes
from fullspan.stack.ports import hold_free_port
from fullspan.stack.services.mongodb import DATABASE, HELLO, PASSWORD, USER, check_installed

__all__ = ["RunningMongoDB", "running_mongodb"]

_START_S: Final = 60.0
_ACT_S: Final = 20.0


class RunningMongoDB:
    """A real server on a port of its own, which it keeps over `kill` and `start`; its data is kept too."""

    def __init__(self, folder: Path, database: str = "prisma") -> None:
        self.folder = folder
        self.tag = f"test-{secrets.token_hex(8)}"
        self._login = {USER: "test", PASSWORD: secrets.token_hex(16), DATABASE: database}
        self._held = hold_free_port()
        self._launcher: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Where the server listens, on 127.0.0.1."""
        return self._held.port

    @property
    def url(self) -> str:
        """Where the server is, with user, password and database."""
        login = self._login
        return f"mongodb://{login[USER]}:{login[PASSWORD]}@127.0.0.1:{self.port}/{login[DATABASE]}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._held.release()
        self.folder.mkdir(parents=True, exist_ok=True)
        module = "fullspan.stack.services.mongodb"
        command = [sys.executable, "-m", module, "--until-eof", "--folder", str(self.folder), "--port", str(self.port)]
        environment = os.environ | self._login | {processes.RUN_TAG: self.tag}
        with self._log.open("ab") as log:
            self._launcher = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        if not processes.wait_until(self._answers, _START_S, 0.05):
            raise StackError(f"The test's MongoDB did not answer on port {self.port} within {_START_S:g} s.")

    def kill(self) -> None:
        """Kill the server (SIGKILL) and all that belongs to it, at once."""
        processes.kill_until_gone(self.processes, _ACT_S)
        if self._launcher is not None:
            launcher, self._launcher = self._launcher, None
            launcher.wait(_ACT_S)
            if launcher.stdin is not None:
                launcher.stdin.close()

    def hang(self) -> None:
        """Stop every process of the server (SIGSTOP) and wait until all stand still."""
        self._signal_until(signal.SIGSTOP, lambda process: process.stands)

    def resume(self) -> None:
        """Let a hung server go on."""
        self._signal_until(signal.SIGCONT, lambda process: not process.stands)

    def _signal_until(self, number: signal.Signals, done: processes.Test) -> None:
        if not processes.signal_until(self.processes, number, done, _ACT_S):
            raise StackError(f"The test's MongoDB did not react to {number.name} within {_ACT_S:g} s.")

    def processes(self) -> list[processes.Process]:
        """Return all processes that belong to the server, as they are now."""
        return processes.tagged(processes.RUN_TAG, self.tag)

    @property
    def _log(self) -> Path:
        return self.folder / "mongodb.log"

    def _answers(self) -> bool:
        """Tell whether the server answers a greeting; raise when it has died."""
        if self._launcher is None or self._launcher.poll() is not None:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise StackError(f"The test's MongoDB died while it started:\n{said}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(HELLO)
                return len(connection.recv(16)) == 16
        except OSError:
            return False


@contextmanager
def running_mongodb(folder: Path, database: str = "prisma") -> Iterator[RunningMongoDB]:
    """Run a real MongoDB server with all its files in `folder`; at the end nothing of it runs any more."""
    check_installed()
    server = RunningMongoDB(folder, database)
    try:
        server.start()
        yield server
    finally:
        server.kill()
