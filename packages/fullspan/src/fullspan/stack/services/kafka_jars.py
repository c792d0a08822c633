"""Fetching Kafka once: `python -m fullspan.stack.services.kafka_jars --var var`, what `make kafka` does.

Maven fetches the jars and checks them by their checksums; afterwards no network is needed. A broker is then run for a
moment, so that its classes lie in an archive from which the next ones start in half the time.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click

from fullspan.errors import FullspanError, StackError
from fullspan.stack.ports import hold_free_port
from fullspan.stack.services.executables import Executable
from fullspan.stack.services.kafka import Kafka, Listener, environment
from fullspan.stack.services.kafka_home import JAVA, KafkaHome

__all__ = ["MAVEN", "fetch", "main"]

MAVEN: Final = Executable("Maven", "FULLSPAN_MAVEN_EXECUTABLE", (), ("mvn",), "maven", "--version")
_POM: Final = Path(__file__).with_name("kafka.pom.xml")
_FETCH_S: Final = 900.0
_START_S: Final = 90.0


def fetch(var: Path) -> KafkaHome:
    """Fetch the jars below a folder, unless they are there; either all of them are there afterwards or none.

    Raises StackError.
    """
    home = KafkaHome.fetched(var)
    if home.complete:
        return home
    JAVA.find()
    maven = MAVEN.find()
    folder = home.jars.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        jars = Path(place, "libs")
        shutil.copy(_POM, Path(place, "pom.xml"))
        argv = [
            maven, "--batch-mode", "--quiet", "--strict-checksums", f"-Dmaven.repo.local={place}/repository",
            "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}",
        ]  # fmt: skip
        done = subprocess.run(argv, cwd=place, capture_output=True, text=True, timeout=_FETCH_S, check=False)
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise StackError(f"Maven could not fetch Kafka:\n{said}", "Look at the network, then run it again.")
        jars.replace(home.jars)
    return home


def archive(home: KafkaHome) -> bool:
    """Run a broker for a moment and keep its classes in an archive; False when that did not work, which is no harm."""
    home.archive.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=home.jars.parent) as place:
        made = Path(place, "kafka.jsa")
        kafka = Kafka(Path(place, "broker"), (Listener(port := hold_free_port().release(), port),))
        kafka.write_properties()
        kafka.format(home)
        argv = home.command("kafka.Kafka", str(kafka.properties), options=[f"-XX:ArchiveClassesAtExit={made}"])
        log = Path(place, "log")
        with (
            log.open("wb") as output,
            subprocess.Popen(argv, env=environment(), stdout=output, stderr=output) as broker,
        ):
            try:
                deadline = time.monotonic() + _START_S
                while b"started" not in log.read_bytes().lower():
                    if broker.poll() is not None or time.monotonic() > deadline:
                        return False
                    time.sleep(0.1)
                broker.terminate()
                broker.wait(_START_S)
            except subprocess.TimeoutExpired:
                return False
            finally:
                broker.kill()
        if not made.is_file():
            return False
        made.replace(home.archive)
    return True


@click.command()
@click.option(
    "--var",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: os.environ.get("FULLSPAN_VAR") or "var",
    help="Where run-time state lies; the jars go to kafka/ in it.",
)
def main(var: Path) -> None:
    """Fetch Kafka's jars from Maven Central into a folder, once (45 MB)."""
    try:
        home = KafkaHome.fetched(var.absolute())
        if not home.complete:
            click.echo("kafka: fetching the broker's jars from Maven Central (45 MB, about a minute)")
            fetch(var.absolute())
        if not home.archive.is_file():
            click.echo("kafka: running it once, so that it starts faster from now on")
            if not archive(home):
                click.echo("kafka: there is no archive of classes; it only starts slower")
    except FullspanError as error:
        click.echo(f"kafka: {error}", err=True)
        sys.exit(error.exit_code)
    except subprocess.TimeoutExpired:
        click.echo(f"kafka: Maven did not end within {_FETCH_S:g} s; look at the network, then run it again.", err=True)
        sys.exit(3)
    click.echo(f"kafka: ready in {home.jars}")


if __name__ == "__main__":
    main()
