"""What tests may use: real services in a folder of their own."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import psutil

from fullspan.errors import StackError

__all__ = ["RunningRabbitMQ", "running_rabbitmq"]

START_S = 60.0
STOP_S = 5.0


class RunningRabbitMQ:
    """A real broker on ports of its own, which it keeps when it is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user, self.password = "tester", secrets.token_urlsafe(12)
        self.amqp_port, self.management_port = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def amqp_url(self) -> str:
        """The broker's address with its credentials."""
        return f"amqp://{self.user}:{urllib.parse.quote(self.password)}@127.0.0.1:{self.amqp_port}/"

    @property
    def management_url(self) -> str:
        """The address of the management interface."""
        return f"http://127.0.0.1:{self.management_port}"

    @property
    def pid(self) -> int:
        """The pid of the virtual machine (beam.smp) that is the broker."""
        return next(process.pid for process in self._tree() if process.name().startswith("beam"))

    def start(self) -> None:
        """Start the broker and wait until it accepts AMQP connections."""
        module = "fullspan.stack.services.rabbitmq"
        command = [sys.executable, "-m", module, "--folder", str(self.folder)]
        command += ["--amqp-port", str(self.amqp_port), "--management-port", str(self.management_port)]
        environment = os.environ | {
            "FULLSPAN_RABBITMQ_USER": self.user,
            "FULLSPAN_RABBITMQ_PASSWORD": self.password,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._await_amqp()

    def _await_amqp(self) -> None:
        deadline = time.monotonic() + START_S
        cause = "nothing tried yet"
        while time.monotonic() < deadline:
            assert self._process is not None  # noqa: S101 - set by start, for the type checker
            if self._process.poll() is not None:
                raise StackError(f"RabbitMQ ended at start; see {self.folder / 'output.log'}.")
            try:
                with socket.create_connection(("127.0.0.1", self.amqp_port), 1) as connection:
                    connection.settimeout(2)
                    connection.sendall(b"AMQP\x00\x00\x09\x01")
                    if connection.recv(1) == b"\x01":
                        return
                    cause = "it closed the connection"
            except OSError as error:
                cause = str(error)
            time.sleep(0.05)
        raise StackError(f"RabbitMQ did not answer on port {self.amqp_port} within {START_S:g} s: {cause}.")

    def hang(self) -> None:
        """Stop every process of the broker (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the broker go on after `hang`."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the broker at once (SIGKILL); its data stay."""
        tree = self._tree()
        self._signal(signal.SIGKILL)
        psutil.wait_procs(tree, STOP_S)
        if self._process is not None:
            self._process.wait(STOP_S)

    def stop(self) -> None:
        """End the broker; what does not end in time is killed. Without effect when it is not running."""
        if self._process is None:
            return
        tree = self._tree()
        self._signal(signal.SIGCONT)
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        _, alive = psutil.wait_procs(tree, STOP_S)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, STOP_S)
        self._process.wait(STOP_S)

    def _signal(self, number: int) -> None:
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _tree(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        try:
            launcher = psutil.Process(self._process.pid)
            return [launcher, *launcher.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@contextlib.contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RunningRabbitMQ]:
    """Run a real RabbitMQ below `folder` until the block ends; about five seconds to start."""
    broker = RunningRabbitMQ(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()  # its data are thrown away, so it need not spend six seconds on a clean end


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
