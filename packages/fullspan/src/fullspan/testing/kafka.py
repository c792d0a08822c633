"""A real Kafka for a test."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fullspan.errors import StackError
from fullspan.stack.services.kafka import API_VERSIONS, PASSWORD, USER, check_installed
from fullspan.testing.service import RunningService

__all__ = ["RunningKafka", "running_kafka"]


class RunningKafka(RunningService):
    """A real broker; tests share one when each has topics of its own.

    `login` is asked of clients with `auth` only; `told` is the port that clients are sent to, a proxy's for one.
    """

    title = "Kafka"
    module = "fullspan.stack.services.kafka"
    greeting = API_VERSIONS

    def __init__(self, folder: Path, *, auth: bool = False, told: int | None = None) -> None:
        super().__init__(folder, ports=1)
        self.told = told
        self._login = {USER: "test", PASSWORD: secrets.token_hex(16)} if auth else {}

    @property
    def arguments(self) -> Sequence[str]:
        """Its port, and what it tells its clients."""
        return ("--listen", f"{self.port}:{self.told or self.port}")

    @property
    def login(self) -> Mapping[str, str]:
        """User and password, when it asks for them."""
        return self._login

    @property
    def port(self) -> int:
        """Where the broker listens, on 127.0.0.1."""
        return self.ports[0]

    @property
    def bootstrap(self) -> str:
        """HOST:PORT of the broker."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where the broker is, with user and password when it asks for them."""
        login = f"{self._login[USER]}:{self._login[PASSWORD]}@" if self._login else ""
        return f"kafka://{login}{self.bootstrap}"

    @property
    def pid(self) -> int:
        """The broker's own process."""
        for process in self.processes():
            if process.name.startswith("java"):
                return process.pid
        raise StackError("The test's Kafka is not running.", "Call start() first.")


@contextmanager
def running_kafka(folder: Path, *, auth: bool = False, told: int | None = None) -> Iterator[RunningKafka]:
    """Run a real Kafka with all its files in `folder`; at the end nothing of it runs any more."""
    check_installed()
    with RunningKafka(folder, auth=auth, told=told).running() as broker:
        yield broker
