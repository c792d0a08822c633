"""A MongoDB-compatible server in a folder of its own: `python -m fullspan.stack.services.mongodb --folder D --port P`.

A `mongod` on PATH is run when there is one; otherwise SecantusDB, which pip installs, a program of its own that speaks
MongoDB's protocol. The user is made before the server listens where it is awaited, so nobody gets in without a
password; user, password and database come from the environment, because arguments can be read by everybody.
"""

import os
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from fullspan.errors import FullspanError, StackError, UsageError
from fullspan.stack.ports import hold_free_port
from fullspan.stack.services.child import run_child
from fullspan.stack.services.executables import Executable

__all__ = ["DATABASE", "HELLO", "PASSWORD", "USER", "MongoDB", "check_installed", "main"]

USER: Final = "FULLSPAN_MONGODB_USER"
PASSWORD: Final = "FULLSPAN_MONGODB_PASSWORD"  # noqa: S105 - the name of a variable
DATABASE: Final = "FULLSPAN_MONGODB_DATABASE"
MONGODB: Final = Executable(
    "A MongoDB server",
    "FULLSPAN_MONGODB_EXECUTABLE",
    (),
    ("mongod", str(Path(sys.executable).with_name("secantusd-py"))),
    "",
    "--version",
)
_PASSED_ON: Final = ("PATH", "TMPDIR", "TZ", "HOME", "FULLSPAN_RUN", "FULLSPAN_COMPONENT")
_PREPARE_S: Final = 30.0
_STOP_S: Final = 4.0
_POLL_S: Final = 0.05


def _hello() -> bytes:
    """Write MongoDB's greeting: an OP_MSG (2013) with one document, {hello: 1, $db: "admin"}."""
    elements = b"\x10hello\x00" + struct.pack("<i", 1) + b"\x02$db\x00" + struct.pack("<i", 6) + b"admin\x00"
    document = struct.pack("<i", 4 + len(elements) + 1) + elements + b"\x00"
    body = struct.pack("<I", 0) + b"\x00" + document
    return struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body


HELLO: Final = _hello()
"""What any MongoDB server answers, also before a login."""


def check_installed() -> None:
    """Raise a StackError that says what to install when there is no server."""
    _executable()


def _executable() -> str:
    try:
        return MONGODB.find()
    except StackError:
        if os.environ.get(MONGODB.setting):
            raise
        raise StackError(
            "No MongoDB server is installed: there is no mongod on PATH, and SecantusDB is not in this Python.",
            "pip install 'fullspan[mongodb]', or put a mongod on PATH, or give the endpoint of a running server.",
        ) from None


@dataclass(frozen=True, slots=True)
class MongoDB:
    """Where one server keeps its files and where it listens, always on 127.0.0.1."""

    folder: Path
    port: int

    def command(self, executable: str, port: int, *, auth: bool) -> list[str]:
        """Return the argv of the server."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        login = ["--auth"] if auth else []
        if Path(executable).name == "mongod":
            return [executable, "--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", str(data), *login]
        # It looks for settings in several places unless it is given a file; ours says nothing.
        settings = self.folder / "secantusd.toml"
        settings.touch()
        where = ["--host", "127.0.0.1", "--port", str(port), "--storage-path", str(data)]
        # As a replica set it would tell clients its own address, and they would go round a fault proxy.
        return [executable, "--config", str(settings), *where, "--standalone", "--log-level", "WARNING", *login]

    def prepare(self, executable: str, user: str, password: str, database: str) -> None:
        """Make the user, once: on a port that nobody knows, before anybody can need a password."""
        done = self.folder / "prepared"
        if done.exists():
            return
        held = hold_free_port()
        argv = self.command(executable, held.release(), auth=False)
        with subprocess.Popen(argv, env=environment(), stdin=subprocess.DEVNULL) as server:
            try:
                _create_user(server, held.port, user, password, database)
            finally:
                server.terminate()
                try:
                    server.wait(_PREPARE_S)
                except subprocess.TimeoutExpired:
                    server.kill()
        done.touch()

    def run(self, user: str, password: str, database: str, until_eof: bool = False) -> int:
        """Run the server until it ends, or until this process is told to; return its exit code."""
        self.folder.mkdir(parents=True, exist_ok=True)
        executable = _executable()
        self.prepare(executable, user, password, database)
        return run_child(self.command(executable, self.port, auth=True), environment(), _STOP_S, until_eof=until_eof)


def environment() -> dict[str, str]:
    """Return the server's environment: nothing in it is a secret."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _create_user(server: "subprocess.Popen[bytes]", port: int, user: str, password: str, database: str) -> None:
    import pymongo
    from pymongo.errors import OperationFailure, PyMongoError

    deadline = time.monotonic() + _PREPARE_S
    roles = [{"role": "readWrite", "db": database}]
    while True:
        try:
            with pymongo.MongoClient[dict[str, object]](
                "127.0.0.1", port, serverSelectionTimeoutMS=200, directConnection=True
            ) as client:
                client[database].command("createUser", user, pwd=password, roles=roles, mechanisms=["SCRAM-SHA-256"])
                return
        except OperationFailure as error:
            if "exists" in str(error):  # an earlier try was cut off after this
                return
            raise StackError(f"The MongoDB server refused to make the user: {error.code}.") from None
        except PyMongoError:
            if server.poll() is not None:
                raise StackError(f"The MongoDB server ended with {server.returncode} while it was prepared.") from None
            if time.monotonic() > deadline:
                raise StackError(f"The MongoDB server did not answer within {_PREPARE_S:g} s.") from None
            time.sleep(_POLL_S)


def _settings(given: Mapping[str, str]) -> tuple[str, str, str]:
    for name in (USER, PASSWORD, DATABASE):
        if not given.get(name):
            raise UsageError(f"{name} is not set.", "Give the server's user, password and database in the environment.")
    return given[USER], given[PASSWORD], given[DATABASE]


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where all files go.")
@click.option("--port", type=click.IntRange(1, 65535), required=True)
@click.option("--until-eof", is_flag=True, help="Stop when standard input ends, so that no caller can leave it behind.")
def main(folder: Path, port: int, until_eof: bool) -> None:
    """Run a MongoDB server below a folder; FULLSPAN_MONGODB_USER, ..._PASSWORD and ..._DATABASE say who may use it."""
    try:
        code = MongoDB(folder.resolve(), port).run(*_settings(os.environ), until_eof)
    except FullspanError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program of its own
        sys.exit(error.exit_code)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
