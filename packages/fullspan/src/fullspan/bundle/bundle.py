"""One run on disk: everything that a report or a publisher is made of, written while the run goes on."""

import re
import time
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self, TypeVar

from pydantic import ValidationError

from fullspan.bundle.records import Attachment, ResultsRecord, RunRecord
from fullspan.bundle.violations import ViolationsRecord
from fullspan.errors import UsageError
from fullspan.redaction import Redaction
from fullspan.timeline import Timeline

__all__ = ["Bundle", "newest_bundle"]

REPORT: Final = "report.html"
VIOLATIONS: Final = "violations.json"
LONGEST: Final = 150  # of a file name made from a test's; file systems take 255

AnyRecord = TypeVar("AnyRecord", RunRecord, ResultsRecord, ViolationsRecord)


class Bundle:
    """A folder with `run.json`, `results.json`, `timeline.jsonl`, `observations/`, `journeys/`, `artifacts/`, `logs/`.

    Whatever is written through it has the known secrets taken out.
    """

    def __init__(self, path: Path, secrets: Iterable[str] = ()) -> None:
        self.path = path
        self.redact = Redaction(secrets)
        self.timeline = Timeline(path / "timeline.jsonl", self.redact)

    @classmethod
    def create(cls, folder: Path, name: str, secrets: Iterable[str] = ()) -> Self:
        """Make a bundle `<UTC time>-<name>` in a folder; two in one second get different names."""
        stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{_plain(name)}"
        number = 1
        while True:
            path = folder / (stem if number == 1 else f"{stem}-{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                number += 1
                continue
            return cls(path, secrets)

    @classmethod
    def open(cls, path: Path, secrets: Iterable[str] = ()) -> Self:
        """Open a bundle that exists; raises UsageError when the folder holds none, or one of the previous form."""
        if not (path / "run.json").is_file():
            raise UsageError(f"{path} holds no bundle: run.json is missing.", "Give the folder that a run has written.")
        if next((path / "observations").rglob("*.jsonl"), None) is not None:
            raise UsageError(
                f"{path} holds a bundle of the previous form: its observations are lines of JSON, and this fullspan"
                " reads Parquet.",
                "Look at its own report.html, or run the suite again: a new run writes a bundle of today's form.",
            )
        return cls(path, secrets)

    @property
    def id(self) -> str:
        """Return the bundle's name: when it began and what it ran."""
        return self.path.name

    @property
    def report(self) -> Path:
        """Return where the report is, or will be."""
        return self.path / REPORT

    @property
    def observations(self) -> Path:
        """Return the folder of the ledgers, which has one folder per test."""
        return self.path / "observations"

    def observations_of(self, nodeid: str) -> Path:
        """Return the folder of one test's ledger."""
        return self.observations / _plain(nodeid)

    def journeys_of(self, nodeid: str) -> Path:
        """Return where the journeys that one test asked for are, or will be."""
        return self.path / "journeys" / f"{_plain(nodeid)}.parquet"

    def write_violations(self, violations: ViolationsRecord) -> None:
        """Write violations.json beside the observations of its test."""
        folder = self.observations_of(violations.test)
        folder.mkdir(parents=True, exist_ok=True)
        self._write(
            str(folder.relative_to(self.path) / VIOLATIONS), violations.model_dump_json(by_alias=True, indent=1)
        )

    def violations(self, nodeid: str) -> ViolationsRecord:
        """Read what went wrong in one test, nothing when nothing did; raises UsageError when it cannot be read."""
        path = self.observations_of(nodeid) / VIOLATIONS
        return _read(ViolationsRecord, path) if path.exists() else ViolationsRecord(test=nodeid)

    def write_run(self, run: RunRecord) -> None:
        """Write run.json."""
        self._write("run.json", run.model_dump_json(by_alias=True, indent=1))

    @property
    def has_run(self) -> bool:
        """Whether a run has begun to write here."""
        return (self.path / "run.json").is_file()

    def run(self) -> RunRecord:
        """Read run.json; raises UsageError when it cannot be read."""
        return _read(RunRecord, self.path / "run.json")

    def write_results(self, results: ResultsRecord) -> None:
        """Write results.json."""
        self._write("results.json", results.model_dump_json(by_alias=True, indent=1))

    def results(self) -> ResultsRecord:
        """Read results.json; no tests when there is none yet."""
        path = self.path / "results.json"
        return _read(ResultsRecord, path) if path.exists() else ResultsRecord()

    def attach(self, name: str, data: bytes | str) -> Attachment:
        """Store a file below `artifacts/` and return its record; a name that is taken gets a number."""
        folder = self.path / "artifacts"
        folder.mkdir(exist_ok=True)
        plain = Path(_plain(name))
        path, number = folder / plain, 2
        while True:
            try:
                file = path.open("xb")  # of two processes that want one name, one gets it
            except FileExistsError:
                path, number = folder / f"{plain.stem}-{number}{plain.suffix}", number + 1
                continue
            with file:
                file.write(self.redact.bytes(data if isinstance(data, bytes) else data.encode()))
            return Attachment(name=name, path=str(path.relative_to(self.path)))

    def add_log(self, component: str, source: Path) -> Path:
        """Copy a component's log to `logs/`, line by line."""
        folder = self.path / "logs"
        folder.mkdir(exist_ok=True)
        target = folder / f"{_plain(component)}.log"
        with source.open(encoding="utf-8", errors="replace") as lines, target.open("w", encoding="utf-8") as out:
            out.writelines(map(self.redact, lines))
        return target

    def add_log_slice(
        self, nodeid: str, component: str, source: Path, begin: int, end: int, *, limit: int = 1024 * 1024
    ) -> Path:
        """Copy bytes `begin` to `end` of a component's log to `slices/TEST/`; of more than `limit` the last ones."""
        folder = self.path / "slices" / _plain(nodeid)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{_plain(component)}.log"
        first = max(begin, end - limit)
        with source.open("rb") as file:
            file.seek(first)
            data = file.read(end - first)
        if first > begin:
            data = f"[{first - begin} bytes before are left out]\n".encode() + data.partition(b"\n")[2]
        target.write_bytes(self.redact.bytes(data))
        return target

    def logs(self) -> dict[str, Path]:
        """Return the logs by component."""
        return {path.stem: path for path in sorted((self.path / "logs").glob("*.log"))}

    def _write(self, name: str, text: str) -> None:
        """Replace a file as a whole, so that a reader never sees half of it."""
        part = self.path / f".{Path(name).name}.{time.monotonic_ns()}.part"
        part.write_text(self.redact(text) + "\n", encoding="utf-8")
        part.replace(self.path / name)


def newest_bundle(folder: Path) -> Path:
    """Return the newest bundle of a folder: the one whose run began last; raises UsageError when there is none."""
    found = [path.parent for path in folder.glob("*/run.json")]
    if not found:
        raise UsageError(f"There is no run in {folder} yet.", "`fullspan run` makes one, or name one with --bundle.")
    return max(found, key=lambda path: (path.name.partition("-")[0], path.stat().st_mtime_ns))


def _plain(name: str) -> str:
    """Return a name that is one file name on any system."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "unnamed"
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}-{zlib.crc32(name.encode()):08x}"


def _read(kind: type[AnyRecord], path: Path) -> AnyRecord:
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        message = f"{path} cannot be read: {where or 'the file'}: {error.errors()[0]['msg']}."
        raise UsageError(message, "It was written by another version of fullspan, or by something else.") from error
