"""The folder of recordings: where each slot's file is, what it holds, and which files are too old."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from focus_server.errors import FocusError, RecordingError
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.prodml import (
    IMPORTED,
    gap_table,
    open_recording,
    raw_data,
    read_entry,
    write_recording,
)
from focus_server.recordings.recorder.coverage import Table, present_blocks, stored_table, to_gaps
from focus_server.recordings.recorder.fibre import RecordedFibre
from focus_server.recordings.recorder.slot import Slot

__all__ = ["OldFile", "Shelf", "Stored"]

_log = structlog.get_logger()

_PARTS: Final = ".*.h5.part"
_DAY: Final = re.compile(r"[0-9]{8}")


@dataclass(frozen=True, slots=True)
class Stored:
    """A slot that is on the disk: its entry, which blocks its file holds, and its size in bytes."""

    entry: RecordingEntry
    table: Table
    size: int


@dataclass(frozen=True, slots=True)
class OldFile:
    """A file to delete, and its recording's uuid when the file still tells it."""

    path: Path
    uuid: str | None


class Shelf:
    """The files of one site below a base path."""

    def __init__(self, base: Path, site: str) -> None:
        self.base: Final = base.absolute()
        self._folder = self.base / site
        self._pattern = re.compile(
            rf"{re.escape(site)}-([0-9]{{8}}T[0-9]{{6}}\.[0-9]{{3}})Z-[0-9]{{1,19}}(-[0-9a-f]{{8}})?\.h5"
        )

    def prepare(self) -> int:
        """Make the folder and delete what a former run did not finish; return how many files that were."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            parts = [it for it in self.base.rglob(_PARTS) if it.relative_to(self.base).parts[0] != IMPORTED]
            for part in parts:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise FocusError(
                f"The folder of recordings {self.base} cannot be used: {error.strerror}; choose another."
            ) from None
        return len(parts)

    def table(self, fibre: RecordedFibre, number: int) -> Table | None:
        """Return which blocks the file of a slot holds; None when there is no file, or none that can be read."""
        entry = self._find(fibre, number)
        if entry is None:
            return None
        try:
            with open_recording(entry.file()) as file:
                return stored_table(fibre, number, entry, gap_table(file))
        except RecordingError as error:
            _log.warning("recorder.unreadable", cause=str(error))
            return None

    def has_any_of(self, fibre: RecordedFibre) -> bool:
        """Tell whether any file holds samples of this fibre."""
        for path in self._folder.rglob("*.h5"):
            with suppress(RecordingError):
                if read_entry(path, self.base).grid_key == fibre.key:
                    return True
        return False

    def _find(self, fibre: RecordedFibre, number: int) -> RecordingEntry | None:
        uuid = fibre.uuid(number)
        for name in self._names(fibre, number):
            if (path := self.base / name).is_file():
                with suppress(RecordingError):
                    entry = read_entry(path, self.base)
                    if entry.uuid == uuid:
                        return entry
        return None

    def _names(self, fibre: RecordedFibre, number: int) -> tuple[str, str]:
        """Return a slot's name, and its other one for when a fibre of the same grid was recorded under the first."""
        return fibre.name(number), fibre.name(number, f"-{fibre.uuid(number)[:8]}")

    def _name_for(self, fibre: RecordedFibre, number: int) -> str:
        plain, special = self._names(fibre, number)
        try:
            other = read_entry(self.base / plain, self.base).uuid != fibre.uuid(number)
        except RecordingError:  # not there, or nothing that anybody can read
            other = False
        return special if other else plain

    def store(self, slot: Slot) -> Stored:
        """Write a slot, together with what its file holds already. Raises OSError when the disk does not take it."""
        fibre = slot.fibre
        table = slot.have.copy()
        found = self._find(fibre, slot.number)
        if found is not None:
            try:
                table |= self._fill_from(found, slot)
            except RecordingError as error:
                _log.warning("recorder.unreadable", cause=str(error))
        first, end = present_blocks(table)
        origin = slot.number * fibre.slot_blocks
        samples = fibre.grid.first_sample(origin + first), fibre.grid.first_sample(origin + end)
        gaps = to_gaps(fibre, slot.number, table)
        _blank(slot, gaps)
        running = fibre.entry(slot.number, str(self.base), *samples)
        entry = running.model_copy(
            update={
                "path": self._name_for(fibre, slot.number) if found is None else found.path,
                "end_ns": fibre.grid.time_ns(samples[1]),
                "gaps": bool(len(gaps)),
            }
        )
        data = slot.data[samples[0] - slot.first_sample : samples[1] - slot.first_sample]
        path = write_recording(entry, data, gaps, self.base)
        return Stored(entry, table, path.stat().st_size)

    def _fill_from(self, entry: RecordingEntry, slot: Slot) -> Table:
        """Copy from a slot's file what is not in memory; return which blocks the file holds."""
        with open_recording(entry.file()) as file:
            table = stored_table(slot.fibre, slot.number, entry, gap_table(file))
            data: NDArray[Any] = raw_data(file)[:]
        offset = entry.first_sample - slot.first_sample
        for index, group in np.argwhere(table & ~slot.have):
            rows, channels = slot.place(int(index), int(group))
            slot.data[rows, channels] = data[rows.start - offset : rows.stop - offset, channels]
        return table

    def old_files(self, before_ns: int) -> list[OldFile]:
        """Find the recordings that ended before `before_ns`, oldest first; other files are nobody's business."""
        return list(self._old_files(before_ns))

    def _old_files(self, before_ns: int) -> Iterator[OldFile]:
        for day in sorted(self._folder.iterdir()):
            if _DAY.fullmatch(day.name) and day.is_dir():
                for path in sorted(day.iterdir()):
                    start_ns = self._start_ns(path.name)
                    if start_ns is None:
                        continue
                    if start_ns >= before_ns:
                        return
                    yield from self._if_old(path, before_ns)

    def _start_ns(self, name: str) -> int | None:
        """Return the time that stands in a file's name, ns since 1970."""
        match = self._pattern.fullmatch(name)
        if match is None:
            return None
        try:
            start = datetime.strptime(match[1], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
        except ValueError:
            return None
        return round(start.timestamp() * 1000) * 1_000_000

    def _if_old(self, path: Path, before_ns: int) -> Iterator[OldFile]:
        try:
            entry = read_entry(path, self.base)
        except RecordingError as error:
            _log.warning("recorder.unreadable", cause=str(error))
            yield OldFile(path, None)
            return
        if entry.end_ns is not None and entry.end_ns < before_ns:
            yield OldFile(path, entry.uuid)

    def delete(self, old: OldFile) -> None:
        """Delete a file, and its day's folder when that was the last one."""
        old.path.unlink(missing_ok=True)
        with suppress(OSError):
            old.path.parent.rmdir()


def _blank(slot: Slot, gaps: NDArray[np.int64]) -> None:
    """Give what is missing its value: 0 for counts, NaN for physical values."""
    value = np.nan if slot.data.dtype.kind == "f" else 0
    for first_sample, end_sample, first_channel, last_channel in gaps:
        rows = slice(first_sample - slot.first_sample, end_sample - slot.first_sample)
        slot.data[rows, first_channel - 1 : last_channel] = value
