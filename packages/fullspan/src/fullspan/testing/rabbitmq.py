"""Public helpers for tests of code that works with fullspan: real servers for a test."""

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
from fullspan.stack.services.rabbitmq import PASSWORD, USER, check_installed

__all__ = ["RunningRabbitMQ", "running_rabbitmq"]

_START_S: Final = 60.0
_ACT_S: Final = 20.0


class RunningRabbitMQ:
    """A real broker on ports of its own, which it keeps over `kill` and `start`; its data is kept too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._user, self._password = "test", secrets.token_hex(16)
        self.tag = f"test-{secrets.token_hex(8)}"
        self._held = [hold_free_port(), hold_free_port()]
        self._amqp_port, self._management_port = (held.port for held in self._held)
        self._launcher: subprocess.Popen[bytes] | None = None

    @property
    def amqp_url(self) -> str:
        """Where the broker speaks AMQP, with user and password."""
        return f"amqp://{self._user}:{self._password}@127.0.0.1:{self._amqp_port}/"

    @property
    def management_url(self) -> str:
        """Where the broker's management API is, with user and password."""
        return f"http://{self._user}:{self._password}@127.0.0.1:{self._management_port}"

    @property
    def pid(self) -> int:
        """The broker's own process."""
        for process in self.processes():
            if process.name.startswith("beam"):
                return process.pid
        raise StackError("The test's RabbitMQ is not running.", "Call start() first.")

    def start(self) -> None:
        """Start the broker and wait until it answers."""
        for held in self._held:
            held.release()
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "fullspan.stack.services.rabbitmq", "--until-eof", "--folder", str(self.folder),
            "--amqp-port", str(self._amqp_port), "--management-port", str(self._management_port),
        ]  # fmt: skip
        environment = os.environ | {USER: self._user, PASSWORD: self._password, processes.RUN_TAG: self.tag}
        with self._log.open("ab") as log:
            self._launcher = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        if not processes.wait_until(self._answers, _START_S, 0.05):
            raise StackError(f"The test's RabbitMQ did not answer on port {self._amqp_port} within {_START_S:g} s.")

    def stop(self) -> None:
        """Stop the broker as an administrator would; nothing of it is left."""
        if self._launcher is not None:
            self._launcher.terminate()
            processes.wait_until(lambda: self._launcher is None or self._launcher.poll() is not None, _ACT_S)
        self.kill()

    def kill(self) -> None:
        """Kill the broker (SIGKILL) and all that belongs to it, at once."""
        processes.kill_until_gone(self.processes, _ACT_S)
        if self._launcher is not None:
            launcher, self._launcher = self._launcher, None
            launcher.wait(_ACT_S)
            if launcher.stdin is not None:
                launcher.stdin.close()

    def hang(self) -> None:
        """Stop every process of the broker (SIGSTOP) and wait until all stand still."""
        self._signal_until(signal.SIGSTOP, lambda process: process.state == "T")

    def resume(self) -> None:
        """Let a hung broker go on."""
        self._signal_until(signal.SIGCONT, lambda process: process.state != "T")

    def _signal_until(self, number: signal.Signals, done: processes.Test) -> None:
        if not processes.signal_until(self.processes, number, done, _ACT_S):
            raise StackError(f"The test's RabbitMQ did not react to {number.name} within {_ACT_S:g} s.")

    def processes(self) -> list[processes.Process]:
        """Return all processes that belong to the broker, as they are now."""
        return processes.tagged(processes.RUN_TAG, self.tag)

    @property
    def _log(self) -> Path:
        return self.folder / "rabbitmq.log"

    def _answers(self) -> bool:
        """Tell whether the broker greets on its AMQP port; raise when it has died."""
        if self._launcher is None or self._launcher.poll() is not None:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise StackError(f"The test's RabbitMQ died while it started:\n{said}")
        try:
            with socket.create_connection(("127.0.0.1", self._amqp_port), timeout=5) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(connection.recv(1))
        except OSError:
            return False


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RunningRabbitMQ]:
    """Run a real RabbitMQ with all its files in `folder`; at the end nothing of it runs any more."""
    check_installed()
    broker = RunningRabbitMQ(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
