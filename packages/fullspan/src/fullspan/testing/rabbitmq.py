"""A real RabbitMQ for a test."""

import copy
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

import httpx

from fullspan.errors import StackError
from fullspan.stack import processes
from fullspan.stack.services.rabbitmq import PASSWORD, USER, check_installed
from fullspan.testing.service import RunningService

__all__ = ["RunningRabbitMQ", "running_rabbitmq"]

_MANAGED_S: Final = 60.0


class RunningRabbitMQ(RunningService):
    """A real broker with a user of its own."""

    title = "RabbitMQ"
    module = "fullspan.stack.services.rabbitmq"
    greeting = b"AMQP\x00\x00\x09\x01"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ports=2)
        self._login = {USER: "test", PASSWORD: secrets.token_hex(16)}
        self._virtual_host = ""

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
        return f"amqp://{self._login[USER]}:{self._login[PASSWORD]}@127.0.0.1:{self.ports[0]}/{self._virtual_host}"

    @property
    def management_url(self) -> str:
        """Where the broker's management API is, with user and password."""
        return f"http://{self._login[USER]}:{self._login[PASSWORD]}@127.0.0.1:{self.ports[1]}"

    def virtual_host(self, name: str) -> Self:
        """Return the same broker as those see it who use a virtual host of their own, which is made when missing.

        Starting and ending a broker costs seconds: with virtual hosts groups of tests share one and never meet.
        """
        place = quote(name, safe="")
        grants = {"configure": ".*", "write": ".*", "read": ".*"}
        with httpx.Client(base_url=self.management_url, trust_env=False) as api:
            # The management API comes a moment after AMQP.
            if not processes.wait_until(lambda: _made(api, f"/api/vhosts/{place}", {}), _MANAGED_S, 0.1):
                raise StackError(f"The test's RabbitMQ did not make the virtual host {name} within {_MANAGED_S:g} s.")
            api.put(f"/api/permissions/{place}/{self._login[USER]}", json=grants).raise_for_status()
        made = copy.copy(self)
        made._virtual_host = place
        return made

    @property
    def pid(self) -> int:
        """The broker's own process."""
        for process in self.processes():
            if process.name.startswith("beam"):
                return process.pid
        raise StackError("The test's RabbitMQ is not running.", "Call start() first.")


def _made(api: httpx.Client, path: str, body: Mapping[str, str]) -> bool:
    try:
        return api.put(path, json=body).is_success
    except httpx.TransportError:
        return False


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RunningRabbitMQ]:
    """Run a real RabbitMQ with all its files in `folder`; at the end nothing of it runs any more."""
    check_installed()
    with RunningRabbitMQ(folder).running() as broker:
        yield broker
