"""Sources as rolling files in the folder of recordings, in a corner where the recorder deletes nothing."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from focus_server.errors import FocusError, RecordingError
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.export import Progress
from focus_server.recordings.new_file import free_bytes
from focus_server.recordings.prodml import IMPORTED, read_entry, write_recording
from focus_server.recordings.source import Gaps, RecordedSource, Source, part_of

__all__ = ["ImportStore"]


_SITE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class ImportStore:
    """The imported files below the folder `base`, each of `recording_s` seconds; `min_free_bytes` stay free."""

    def __init__(self, base: Path, recording_s: int, min_free_bytes: int) -> None:
        self.base: Final = base.absolute()
        self._recording_s = recording_s
        self._min_free = min_free_bytes

    def prepare(self) -> None:
        """Delete what a killed import left; whoever calls this is the only one who imports."""
        for part in (self.base / IMPORTED).rglob(".*.part"):
            part.unlink(missing_ok=True)

    def store(self, source: Source, progress: Progress = lambda done, total: None) -> tuple[list[RecordingEntry], int]:
        """Write a source, all of it or nothing; gives the entries of all its files, and how many of those are new.

        Raises `RecordingError` when it cannot be read or is not what is there under its name, and `FocusError` when
        the disk does not take it.
        """
        whole = source.entry
        if not _SITE.fullmatch(whole.site):
            raise RecordingError(f"The site {whole.site!r} is no name for a folder; choose one with --site.")
        self._check_room(source)
        entries: list[RecordingEntry] = []
        new: list[Path] = []
        try:
            for begin, end in self._pieces(whole):
                entry, path = self._store(source, begin, end)
                entries.append(entry)
                if path is not None:
                    new.append(path)
                progress(end - whole.first_sample, whole.samples)
        except BaseException as error:
            for path in new:
                with suppress(OSError):
                    path.unlink()
            if isinstance(error, OSError):
                raise FocusError(
                    f"The recordings folder {self.base} does not take the file: {error.strerror or error}."
                ) from None
            raise
        return entries, len(new)

    def _pieces(self, whole: RecordingEntry) -> Iterator[tuple[int, int]]:
        step = max(1, round(whole.fs * self._recording_s))
        for begin in range(whole.first_sample, whole.end_sample, step):
            yield begin, min(whole.end_sample, begin + step)

    def _store(self, source: Source, begin: int, end: int) -> tuple[RecordingEntry, Path | None]:
        """Write one file; no path when it is there already."""
        channels = source.entry.channels
        gaps = _clipped(source.gaps, begin, end)
        part = part_of(source.entry, begin, end, 1, channels)
        entry = part.model_copy(
            update={
                "base_path": str(self.base),
                "path": _name(part),
                "gaps": bool(len(gaps)),
                "deleted": False,
            }
        )
        samples = source.read(begin, end, 1, channels)
        if entry.file().exists():
            there = RecordedSource(read_entry(entry.file(), self.base))
            same = np.asarray(there.read(begin, end, 1, channels)).tobytes() == np.asarray(samples).tobytes()
            if there.entry != entry or not same or not np.array_equal(there.gaps, gaps):
                raise RecordingError(
                    f"Other samples of the same times are there already ({entry.path}); choose another --site."
                )
            return entry, None
        return entry, write_recording(entry, np.ascontiguousarray(samples), gaps, self.base)

    def _check_room(self, source: Source) -> None:
        entry = source.entry
        needed = entry.samples * (entry.channels * np.dtype(entry.dtype).itemsize + 8)
        free = free_bytes(self.base)
        if free - needed < self._min_free:
            raise FocusError(
                f"The import needs {needed} bytes, {free} are free and {self._min_free} must stay so "
                "(min_free_bytes); make room."
            )


def _clipped(gaps: Gaps, begin: int, end: int) -> Gaps:
    rows = gaps[(gaps[:, 0] < end) & (gaps[:, 1] > begin)].copy()
    rows[:, :2] = np.clip(rows[:, :2], begin, end)
    return rows


def _name(entry: RecordingEntry) -> str:
    start = np.datetime64(entry.start_ns // 1_000_000, "ms").item()
    stamp = f"{start:%Y%m%dT%H%M%S}.{start.microsecond // 1000:03d}Z"
    return f"{IMPORTED}/{entry.site}/{start:%Y%m%d}/{stamp}-{entry.uuid}.h5"
