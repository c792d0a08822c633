"""A real MongoDB server for a test."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fullspan.stack.services.mongodb import DATABASE, HELLO, PASSWORD, USER, check_installed
from fullspan.testing.service import RunningService

__all__ = ["RunningMongoDB", "running_mongodb"]


class RunningMongoDB(RunningService):
    """A real server with a user and a database of its own."""

    title = "MongoDB"
    module = "fullspan.stack.services.mongodb"
    greeting = HELLO

    def __init__(self, folder: Path, database: str = "prisma") -> None:
        super().__init__(folder, ports=1)
        self._login = {USER: "test", PASSWORD: secrets.token_hex(16), DATABASE: database}

    @property
    def arguments(self) -> Sequence[str]:
        """Its port."""
        return ("--port", str(self.port))

    @property
    def login(self) -> Mapping[str, str]:
        """User, password and database."""
        return self._login

    @property
    def port(self) -> int:
        """Where the server listens, on 127.0.0.1."""
        return self.ports[0]

    @property
    def url(self) -> str:
        """Where the server is, with user, password and database."""
        login = self._login
        return f"mongodb://{login[USER]}:{login[PASSWORD]}@127.0.0.1:{self.port}/{login[DATABASE]}"


@contextmanager
def running_mongodb(folder: Path, database: str = "prisma") -> Iterator[RunningMongoDB]:
    """Run a real MongoDB server with all its files in `folder`; at the end nothing of it runs any more."""
    check_installed()
    with RunningMongoDB(folder, database).running() as server:
        yield server
