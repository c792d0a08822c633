"""A real RabbitMQ for a test."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fullspan.errors import StackError
from fullspan.stack.services.rabbitmq import PASSWORD, USER, check_installed
from fullspan.testing.service import RunningService

__all__ = ["RunningRabbitMQ", "running_rabbitmq"]


class RunningRabbitMQ(RunningService):
    """A real broker with a user of its own."""

    title = "RabbitMQ"
    module = "fullspan.stack.services.rabbitmq"
    greeting = b"AMQP\x00\x00\x09\x01"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ports=2)
        self._login = {USER: "test", PASSWORD: secrets.token_hex(16)}

    @property
    def arguments(self) -> Sequence[str]:
        """Its two ports."""
        amqp, management = self.ports
        return ("--amqp-port", str(amqp), "--management-port", str(management))

    @property
    def login(self) -> Mapping[str, str]:
        """User and password."""
        return self._login

    @property
    def amqp_url(self) -> str:
        """Where the broker speaks AMQP, with user and password."""
        return f"amqp://{self._login[USER]}:{self._login[PASSWORD]}@127.0.0.1:{self.ports[0]}/"

    @property
    def management_url(self) -> str:
        """Where the broker's management API is, with user and password."""
        return f"http://{self._login[USER]}:{self._login[PASSWORD]}@127.0.0.1:{self.ports[1]}"

    @property
    def pid(self) -> int:
        """The broker's own process."""
        for process in self.processes():
            if process.name.startswith("beam"):
                return process.pid
        raise StackError("The test's RabbitMQ is not running.", "Call start() first.")


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RunningRabbitMQ]:
    """Run a real RabbitMQ with all its files in `folder`; at the end nothing of it runs any more."""
    check_installed()
    with RunningRabbitMQ(folder).running() as broker:
        yield broker
