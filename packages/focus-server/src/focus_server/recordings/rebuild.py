"""What the catalogue missed is made up from the files themselves, which hold every field of their entries."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import structlog

from focus_server.errors import RecordingError
from focus_server.recordings.catalogue import Catalogue, KnownFile
from focus_server.recordings.entry import RecordingEntry
from focus_server.recordings.prodml import read_entry

__all__ = ["SETTLED_S", "Rebuilt", "Refused", "rebuild"]

_log = structlog.get_logger()

SETTLED_S: Final = 5.0
"""A younger file is left to the recorder, which enters it itself."""
_SUFFIXES: Final = frozenset({".h5", ".hdf5"})
_AT_A_TIME: Final = 50
"""Files read by one call of a thread, so that progress is told and a cancellation does not wait for all of them."""

Refused = dict[str, tuple[int, int]]
"""Files that are no recordings of ours, by path, as they were then: size, and time of the last change in ns."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was made up.

    `added` recordings were not entered, `closed` ones were entered as running, the file of `gone` ones is not there,
    that of `renewed` ones was written anew; `unrecognized` files are no recordings of ours, and `sentences` say why of
    those that were looked at now.
    """

    added: int
    closed: int
    unrecognized: int
    gone: int = 0
    sentences: tuple[str, ...] = ()
    renewed: int = 0

    @property
    def changed(self) -> bool:
        """True when the catalogue was changed."""
        return bool(self.added or self.closed or self.gone or self.renewed)


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int
    changed_ns: int

    @property
    def version(self) -> tuple[int, int]:
        return self.size, self.changed_ns

    def is_newer_than(self, known: KnownFile | None) -> bool:
        """Tell whether the file was written anew since it was entered, and nobody could say so."""
        return known is not None and known.changed_ns not in (None, self.changed_ns)


async def rebuild(
    catalogue: Catalogue,
    base_path: Path,
    settled_s: float = SETTLED_S,
    *,
    refused: Refused | None = None,
    restore: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Rebuilt:
    """Enter every whole file below `base_path` that the catalogue does not know as finished, or as it was before.

    Files younger than `settled_s` wait for the next time. `refused` remembers between calls which files need no second
    look. `restore` takes up deleted recordings whose files are there, otherwise those are about to be unlinked.
    `progress` is told how many of how many files were looked at. Raises `CatalogueDown`.
    """
    base_path = base_path.absolute()
    refused = {} if refused is None else refused
    await catalogue.base_path(base_path)
    files = await asyncio.to_thread(lambda: list(_files(base_path)))
    finished = await catalogue.finished_files(base_path)
    running = {uuid for uuid, ended in (await catalogue.known(base_path)).items() if not ended}
    present = {file.path for file in files}
    youngest_ns = time.time_ns() - int(settled_s * 1e9)
    _forget_changed(refused, files)
    renewed = {it.path for it in files if it.is_newer_than(finished.get(it.path))}
    known = (finished.keys() - renewed) | refused.keys()
    unknown = [it for it in files if it.path not in known and it.changed_ns < youngest_ns]
    unknown.sort(key=lambda it: it.path not in renewed)  # so that no copy takes the place of one

    added = closed = again = 0
    sentences: list[str] = []
    whole = {it.uuid for path, it in finished.items() if path in present - renewed}
    for begin in range(0, len(unknown), _AT_A_TIME):
        progress(begin, len(unknown))
        batch = unknown[begin : begin + _AT_A_TIME]
        found = await asyncio.to_thread(_read, base_path, batch)
        uuids = [it.uuid for it in found if isinstance(it, RecordingEntry)]
        leaving = set() if restore else await catalogue.deleted_among(base_path, uuids)
        for file, entry in zip(batch, found, strict=True):
            if isinstance(entry, RecordingEntry) and entry.uuid in whole:
                entry = f"{file.path} is a copy of recording {entry.uuid}, which the catalogue has."
            if isinstance(entry, str):
                refused[file.path] = file.version
                sentences.append(entry)
            elif entry is not None and entry.uuid not in leaving:
                await catalogue.finished(entry, file.changed_ns)
                whole.add(entry.uuid)
                again += file.path in renewed
                closed += entry.uuid in running
                added += file.path not in renewed and entry.uuid not in running
    progress(len(unknown), len(unknown))
    gone = await _remove_gone(catalogue, base_path, finished, present, whole)
    closed += await catalogue.close_stale()
    await catalogue.forget(base_path)
    await _note_unrecognized(catalogue, base_path, refused)
    return Rebuilt(added, closed, len(refused), gone, tuple(sentences), again)


def _files(base_path: Path) -> Iterator[_File]:
    """List what may be recordings; links are not followed, and what has a leading dot is being written."""
    for folder, subfolders, names in os.walk(base_path):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in _SUFFIXES or path.is_symlink():
                continue
            try:
                stat = path.stat()
            except OSError:
                continue  # deleted since it was listed
            yield _File(path.relative_to(base_path).as_posix(), stat.st_size, stat.st_mtime_ns)


def _read(base_path: Path, files: Iterable[_File]) -> list[RecordingEntry | str | None]:
    """Give each file's entry, a sentence why it has none, or None when it is gone by now."""
    found: list[RecordingEntry | str | None] = []
    for file in files:
        path = base_path / file.path
        try:
            found.append(read_entry(path, base_path))
        except RecordingError as error:
            found.append(f"{file.path}: {error}" if path.exists() else None)
    return found


def _forget_changed(refused: Refused, files: Iterable[_File]) -> None:
    versions = {file.path: file.version for file in files}
    for path in [path for path, version in refused.items() if versions.get(path) != version]:
        del refused[path]


async def _remove_gone(
    catalogue: Catalogue, base_path: Path, finished: dict[str, KnownFile], present: set[str], whole: set[str]
) -> int:
    """Note the finished recordings whose file is not there any more as deleted.

    A folder without any recording proves nothing: it may be the empty mount point of a disk that is away.
    """
    missing = {path: it.uuid for path, it in finished.items() if path not in present and it.uuid not in whole}
    if not missing or not present:
        return 0
    gone = await asyncio.to_thread(lambda: [uuid for path, uuid in missing.items() if not _is_there(base_path, path)])
    if not gone:
        return 0
    _log.warning("catalogue.files_gone", recordings=len(gone))
    return await catalogue.deleted(base_path, gone)


def _is_there(base_path: Path, path: str) -> bool:
    """Look again: a recording that was finished after the files were listed is there by now."""
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts and "\0" not in path and (base_path / parts).is_file()


async def _note_unrecognized(catalogue: Catalogue, base_path: Path, refused: Refused) -> None:
    counts = Counter(str(Path(path).parent) for path in refused)
    noted = await catalogue.unrecognized_folders(base_path)
    for folder in counts.keys() | noted.keys():
        if counts[folder] != noted.get(folder):
            await catalogue.unrecognized(base_path, folder, counts[folder])
