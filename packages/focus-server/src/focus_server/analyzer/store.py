"""Jobs on disk: one file each, whole or not there, and the serial that never comes twice.

They outlive their process, whatever ends it. Nothing is forced through to the disk itself, which takes longer than all
else when a job is made while a recorder writes: when the machine fails, nobody is left who watches.
"""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import structlog
from pydantic import ValidationError

from focus_server.analyzer.job import JobRecord
from focus_server.errors import FocusError

_log = structlog.get_logger()

_SERIAL_FILE: Final = "serial"


class JobStore:
    """The files below `folder`. Its methods block, and only one thread at a time may make a job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise FocusError(f"The state folder {folder} cannot be made: {error.strerror}; choose another.") from None

    def next_serial(self) -> int:
        """Give a serial that was never given before."""
        path = self._folder / _SERIAL_FILE
        try:
            serial = int(path.read_text()) + 1
        except (FileNotFoundError, ValueError):
            serial = max((int(path.stem.partition("-")[2]) for path in self._files()), default=0) + 1
        self._write(path, str(serial))
        return serial

    def save(self, record: JobRecord) -> None:
        """Put a job on disk; when this returns, a new process finds it."""
        self._write(self._path(record.answer.job_id), record.model_dump_json(by_alias=True))

    def remove(self, job_id: str) -> None:
        """Forget a job."""
        self._path(job_id).unlink(missing_ok=True)

    def touch(self, job_ids: Iterable[str]) -> None:
        """Note that these jobs live now."""
        for job_id in job_ids:
            path = self._path(job_id)
            if path.exists():
                os.utime(path)

    def load(self, longest_absence_s: float) -> list[JobRecord]:
        """Read the jobs that an earlier process left; those it left too long ago are removed, as is what is broken."""
        records = []
        for path in self._files():
            record = self._read(path)
            if record is None or time.time() - path.stat().st_mtime > longest_absence_s:
                path.unlink()
            else:
                records.append(record)
        return sorted(records, key=lambda record: record.serial)

    def _read(self, path: Path) -> JobRecord | None:
        try:
            return JobRecord.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            _log.warning("job.unreadable", job=path.stem, file=path.name, cause=type(error).__name__)
            return None

    def _files(self) -> Iterator[Path]:
        return self._folder.glob("[0-9]*-[0-9]*.json")

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.json"

    def _write(self, path: Path, text: str) -> None:
        """Write a file that is either the old or the new one, whatever happens."""
        temporary = path.with_name(f".{path.name}.part")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            temporary.replace(path)
        except OSError as error:
            raise FocusError(f"{path.name} cannot be written to the state folder: {error.strerror}.") from None
