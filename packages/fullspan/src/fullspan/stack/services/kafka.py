"""A real Apache Kafka in a folder of its own: `python -m fullspan.stack.services.kafka --folder D --listen PORT ...`.

One process is broker and controller (KRaft). Clients that come through a fault proxy need a listener of their own,
because a broker tells its clients where to connect: `--listen 9092:9192` listens on 9092 and tells 9192. With user and
password in the environment, because arguments can be read by everybody, clients have to log in (SASL, PLAIN).
"""

import os
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from fullspan.errors import FullspanError, StackError, UsageError
from fullspan.stack.ports import hold_free_port
from fullspan.stack.services.child import run_child
from fullspan.stack.services.kafka_home import JAVA, KafkaHome

__all__ = ["API_VERSIONS", "JAVA", "PASSWORD", "USER", "Kafka", "Listener", "check_installed", "main"]

USER: Final = "FULLSPAN_KAFKA_USER"
PASSWORD: Final = "FULLSPAN_KAFKA_PASSWORD"  # noqa: S105 - the name of a variable
_PASSED_ON: Final = ("PATH", "TMPDIR", "TZ", "HOME", "JAVA_HOME", "FULLSPAN_RUN", "FULLSPAN_COMPONENT")
_FORMAT_S: Final = 120.0
_STOP_S: Final = 8.0

API_VERSIONS: Final = b"\x00\x00\x00\x0a" + b"\x00\x12" + b"\x00\x00" + b"\x00\x00\x00\x01" + b"\xff\xff"
"""The first question of Kafka's protocol (ApiVersions 0, number 1), which any broker answers, also before a login."""


def check_installed() -> None:
    """Raise a StackError that says what to install when Java or the jars are missing."""
    JAVA.find()
    KafkaHome.find()


@dataclass(frozen=True, slots=True)
class Listener:
    """A port on 127.0.0.1, and the one that clients who connect there are told."""

    port: int
    told: int

    @classmethod
    def parse(cls, text: str) -> "Listener":
        """Read PORT or PORT:TOLD; raises UsageError."""
        port, _, told = text.partition(":")
        try:
            made = cls(int(port), int(told or port))
        except ValueError:
            made = cls(0, 0)
        if not (0 < made.port < 65536 and 0 < made.told < 65536):
            raise UsageError(f"{text!r} is no listener.", "Write PORT, or PORT:PORT_OF_THE_PROXY.")
        return made


@dataclass(frozen=True, slots=True)
class Kafka:
    """Where one broker keeps its files and where it listens, always on 127.0.0.1."""

    folder: Path
    listeners: tuple[Listener, ...]
    login: tuple[str, str] | None = None

    @property
    def properties(self) -> Path:
        """The broker's settings; for the owner only, because they may hold the password."""
        return self.folder / "server.properties"

    def write_properties(self) -> None:
        """Write the broker's settings; its talk with itself has two free ports."""
        names = [f"CLIENT{number}" for number in range(len(self.listeners))]
        # The broker's talk with itself goes through no proxy and needs no login.
        held = hold_free_port(), hold_free_port()
        controller = f"127.0.0.1:{held[0].release()}"
        inner = "INNER"
        own = f"{inner}://127.0.0.1:{held[1].release()}"
        here = [f"{name}://127.0.0.1:{listener.port}" for name, listener in zip(names, self.listeners, strict=True)]
        told = [f"{name}://127.0.0.1:{listener.told}" for name, listener in zip(names, self.listeners, strict=True)]
        protocol = "SASL_PLAINTEXT" if self.login else "PLAINTEXT"
        protocols = ["CONTROLLER:PLAINTEXT", f"{inner}:PLAINTEXT", *(f"{name}:{protocol}" for name in names)]
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join((f"CONTROLLER://{controller}", own, *here)),
            "advertised.listeners": ",".join((own, *told)),
            "inter.broker.listener.name": inner,
            "listener.security.protocol.map": ",".join(protocols),
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "background.threads": "2",
            "log.cleaner.dedupe.buffer.size": "4194304",
            # A clean stop must not take longer than a run may wait for it.
            "controlled.shutdown.enable": "false",
        }
        if self.login:
            user, password = (part.replace("\\", "\\\\").replace('"', '\\"') for part in self.login)
            module = "org.apache.kafka.common.security.plain.PlainLoginModule"
            for name in names:
                prefix = f"listener.name.{name.lower()}"
                settings[f"{prefix}.sasl.enabled.mechanisms"] = "PLAIN"
                settings[f"{prefix}.plain.sasl.jaas.config"] = f'{module} required user_{user}="{password}";'
        self.folder.mkdir(parents=True, exist_ok=True)
        self.properties.touch(mode=0o600)
        self.properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")

    def format(self, home: KafkaHome) -> None:
        """Make the broker's storage, once; StackError when the broker's own tool cannot."""
        if (self.folder / "data" / "meta.properties").exists():
            return
        number = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "A")
        argv = home.command(
            "kafka.tools.StorageTool", "format", "--cluster-id", number, "--config", str(self.properties)
        )
        done = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=_FORMAT_S, check=False)
        if done.returncode:
            raise StackError(
                f"Kafka could not make its storage in {self.folder}: {done.stderr.strip() or done.stdout.strip()}",
                "Look whether the folder can be written; remove what an earlier version left there.",
            )

    def run(self, until_eof: bool = False, options: Sequence[str] = ()) -> int:
        """Run the broker until it ends, or until this process is told to; return its exit code."""
        home = KafkaHome.find()
        self.write_properties()
        self.format(home)
        argv = home.command("kafka.Kafka", str(self.properties), options=options)
        return run_child(argv, environment(), _STOP_S, until_eof=until_eof)


def environment() -> dict[str, str]:
    """Return the broker's environment: nothing in it is a secret."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _login(given: Mapping[str, str]) -> tuple[str, str] | None:
    user, password = given.get(USER), given.get(PASSWORD)
    if not user and not password:
        return None
    if not user or not password or not user.isalnum():
        raise UsageError(f"{USER} and {PASSWORD} do not belong together.", "Set both, the user in letters and digits.")
    return user, password


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where all files go.")
@click.option("--listen", multiple=True, required=True, metavar="PORT[:TOLD]", help="May be given more than once.")
@click.option("--until-eof", is_flag=True, help="Stop when standard input ends, so that no caller can leave it behind.")
def main(folder: Path, listen: tuple[str, ...], until_eof: bool) -> None:
    """Run a Kafka broker below a folder; who may use it is in FULLSPAN_KAFKA_USER and ..._PASSWORD, else everybody."""
    try:
        listeners = tuple(map(Listener.parse, listen))
        code = Kafka(folder.resolve(), listeners, _login(os.environ)).run(until_eof)
    except FullspanError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program of its own
        sys.exit(error.exit_code)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
