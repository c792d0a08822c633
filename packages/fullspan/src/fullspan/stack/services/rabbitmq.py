"""A real RabbitMQ in a folder of its own: `python -m fullspan.stack.services.rabbitmq --folder D --amqp-port P ...`.

The launcher runs the port mapper (epmd) and the broker as its own children, so that a run that ends leaves neither;
user and password come from the environment, because arguments can be read by every user of the machine.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from fullspan.errors import FullspanError, UsageError
from fullspan.stack.ports import hold_free_port
from fullspan.stack.services.child import run_child
from fullspan.stack.services.executables import Executable
from fullspan.stack.services.rabbitmq_plugins import link_plugins

__all__ = ["EPMD", "RABBITMQ", "Broker", "check_installed", "main"]

USER: Final = "FULLSPAN_RABBITMQ_USER"
PASSWORD: Final = "FULLSPAN_RABBITMQ_PASSWORD"  # noqa: S105 - the name of a variable
# The wrapper in /usr/sbin changes user and folder; the program behind it does neither.
RABBITMQ: Final = Executable(
    "RabbitMQ", "FULLSPAN_RABBITMQ_EXECUTABLE", ("/usr/lib/rabbitmq/bin/rabbitmq-server",), ("rabbitmq-server",),
    "rabbitmq-server",
)  # fmt: skip
EPMD: Final = Executable("Erlang's epmd", "FULLSPAN_EPMD_EXECUTABLE", (), ("epmd",), "erlang-base")
_MEMORY: Final = "1GB"
_DISK_FREE: Final = "50MB"
# The broker closes its stores in the first moments of a stop; the statistics plugin then waits 5 s for itself.
_STOP_S: Final = 1.0


def check_installed() -> None:
    """Raise a StackError that names the Debian package when a program is missing."""
    RABBITMQ.find()
    EPMD.find()


@dataclass(frozen=True, slots=True)
class Broker:
    """Where one broker keeps its files and where it listens, always on 127.0.0.1."""

    folder: Path
    amqp_port: int
    management_port: int

    def write_configuration(self, user: str, password: str) -> None:
        """Write the files that the broker reads; those with the password are for the owner only."""
        for name in ("home", "mnesia", "log", "gen"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n", encoding="utf-8")
        (self.folder / "rabbitmq.conf").write_text(self._settings(), encoding="utf-8")
        advanced = self.folder / "advanced.config"
        advanced.touch(mode=0o600)
        advanced.write_text(
            f"[{{rabbit, [{{default_user, {_binary(user)}}}, {{default_pass, {_binary(password)}}}]}}].\n",
            encoding="utf-8",
        )

    def _settings(self) -> str:
        return "\n".join((
            f"listeners.tcp.1 = 127.0.0.1:{self.amqp_port}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management_port}",
            "loopback_users = none",
            f"vm_memory_high_watermark.absolute = {_MEMORY}",
            f"disk_free_limit.absolute = {_DISK_FREE}",
            "log.file = false",
            "log.console = true",
            "log.console.level = info",
            "",
        ))  # fmt: skip

    def environment(self, distribution_port: int, mapper_port: int) -> dict[str, str]:
        """Return the environment of broker and port mapper: nothing of it lies outside the folder."""
        folder = self.folder
        arguments = (
            "-noinput +Bi +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
        )
        return {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            # With this the start script becomes the broker instead of staying as its parent.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.amqp_port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "ERL_EPMD_PORT": str(mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "gen"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "feature_flags"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": arguments,
        }

    def run(self, until_eof: bool = False) -> int:
        """Run the broker until it ends, or until this process is told to; return its exit code."""
        cookie = self.folder / "home" / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(16), encoding="ascii")
            cookie.chmod(0o400)
        distribution, mapper = hold_free_port(), hold_free_port()
        server = RABBITMQ.find()
        environment = self.environment(distribution.release(), mapper.release())
        if link_plugins(Path(server), self.folder / "plugins"):
            environment["RABBITMQ_PLUGINS_DIR"] = str(self.folder / "plugins")
        epmd = subprocess.Popen([EPMD.find()], env=environment, stdin=subprocess.DEVNULL)
        try:
            return run_child([server], environment, _STOP_S, until_eof=until_eof)
        finally:
            epmd.kill()
            epmd.wait()


_PASSED_ON: Final = ("PATH", "TMPDIR", "TZ", "FULLSPAN_RUN", "FULLSPAN_COMPONENT")


def _binary(text: str) -> str:
    """Return an Erlang term for a text of any characters."""
    return f"<<{','.join(str(byte) for byte in text.encode())}>>"


def _credentials(environment: Mapping[str, str]) -> tuple[str, str]:
    for name in (USER, PASSWORD):
        if not environment.get(name):
            raise UsageError(f"{name} is not set.", "Give the broker's user and password in the environment.")
    return environment[USER], environment[PASSWORD]


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where all files go.")
@click.option("--amqp-port", type=click.IntRange(1, 65535), required=True)
@click.option("--management-port", type=click.IntRange(1, 65535), required=True)
@click.option("--until-eof", is_flag=True, help="Stop when standard input ends, so that no caller can leave it behind.")
def main(folder: Path, amqp_port: int, management_port: int, until_eof: bool) -> None:
    """Run a RabbitMQ broker below a folder; user and password come from FULLSPAN_RABBITMQ_USER and ..._PASSWORD."""
    broker = Broker(folder.resolve(), amqp_port, management_port)
    try:
        broker.write_configuration(*_credentials(os.environ))
        code = broker.run(until_eof)
    except FullspanError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program of its own
        sys.exit(error.exit_code)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
