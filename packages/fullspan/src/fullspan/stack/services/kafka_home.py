"""Where Kafka's jars and Java are on this machine, and the command that runs one of Kafka's programs."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fullspan.errors import StackError
from fullspan.stack.services.executables import Executable

__all__ = ["JAVA", "KafkaHome"]

JAVA: Final = Executable("Java 17", "FULLSPAN_JAVA_EXECUTABLE", (), ("java",), "openjdk-17-jre-headless")
_HOME: Final = "KAFKA_HOME"
_ARCHIVE: Final = "kafka.jsa"
_FETCHED: Final = "kafka"
# One process with two processors for it: the quick compiler saves more at the start than the slow one ever gains.
_JAVA_OPTIONS: Final = (
    "-Xms128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
    # Says when the broker has started and when it ends.
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Duser.timezone=UTC",
    "-Djava.awt.headless=true",
)


@dataclass(frozen=True, slots=True)
class KafkaHome:
    """A folder with Kafka's jars, and perhaps with an archive of their classes, which halves the time of a start."""

    jars: Path

    @classmethod
    def fetched(cls, var: Path) -> "KafkaHome":
        """Return where `kafka_jars` puts them below a folder for run-time state."""
        return cls(var / _FETCHED / "libs")

    @classmethod
    def find(cls) -> "KafkaHome":
        """Return $KAFKA_HOME, an installed Kafka on PATH, or what was fetched; a StackError says what to do."""
        if home := os.environ.get(_HOME):
            found = cls(Path(home, "libs"))
            if not found.complete:
                raise StackError(
                    f"{_HOME} is {home!r}, where there are no Kafka jars in libs/.", "Correct or unset it."
                )
            return found
        if program := shutil.which("kafka-server-start.sh") or shutil.which("kafka-server-start"):
            found = cls(Path(program).resolve().parent.parent / "libs")
            if found.complete:
                return found
        for var in _state_folders():
            if (found := cls.fetched(var)).complete:
                return found
        raise StackError(
            "Kafka is not installed: neither KAFKA_HOME, nor kafka-server-start.sh on PATH, nor jars in var/kafka.",
            "`make kafka` fetches them once (45 MB); or give the endpoint of a running broker.",
        )

    @property
    def complete(self) -> bool:
        """Whether the broker itself is there."""
        return any(self.jars.glob("kafka_2.1*-*.jar"))

    @property
    def archive(self) -> Path:
        """Where the archive of classes is when there is one."""
        return self.jars.parent / _ARCHIVE

    def command(self, program: str, *arguments: str, options: Sequence[str] = (), heap: str = "512m") -> list[str]:
        """Return the argv of a Java program of Kafka, `kafka.Kafka` for one."""
        shared = [f"-XX:SharedArchiveFile={self.archive}", "-Xshare:auto", "-Xlog:cds=off", "-Xlog:class+path=off"]
        archived = shared if self.archive.is_file() and not options else []
        path = f"{self.jars}{os.sep}*"
        return [JAVA.find(), f"-Xmx{heap}", *_JAVA_OPTIONS, *archived, *options, "-cp", path, program, *arguments]


def _state_folders() -> list[Path]:
    """Return where run-time state may lie: as told, else in or above the current folder; a component's lies in it."""
    told = os.environ.get("FULLSPAN_VAR")
    here = Path.cwd()
    above = [place for folder in (here, *here.parents) for place in (folder, folder / "var")]
    return [*([Path(told).absolute()] if told else []), *above]
