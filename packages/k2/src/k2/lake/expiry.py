"""Old snapshots leave a table's list, and files that no snapshot needs any more leave the disk, some time later."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pyarrow.fs import FileSelector, FileSystem, FileType
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

from k2.lake.files import paths_of, reading
from k2.lake.table import LakeTable

__all__ = ["Swept", "expire", "sweep"]

_MILLION: Final = 1_000_000
_PROGRESS_FILES: Final = 1000


@dataclass(frozen=True, slots=True)
class Swept:
    """What was deleted: how many files, and their size in bytes."""

    files: int = 0
    size_bytes: int = 0


def expire(table: LakeTable, keep_s: float, keep: int) -> int:
    """Take off the list what is older than `keep_s` seconds, and all but the newest `keep`; returns how many.

    The newest snapshot always stays. Raises NotCommitted.
    """
    now_ms = time.time() * 1000
    newest_first = sorted(table.iceberg.snapshots(), key=lambda each: each.sequence_number or 0, reverse=True)
    old = [
        snapshot.snapshot_id
        for place, snapshot in enumerate(newest_first)
        if place and (place >= keep or now_ms - snapshot.timestamp_ms > keep_s * 1000)
    ]
    if old:
        table.forget(old)
        table.crash()
    return len(old)


def sweep(
    table: LakeTable,
    older_s: float,
    progress: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> Swept:
    """Delete files below the table's folder that no snapshot needs and that are older than `older_s` seconds.

    A writer may have written files for a commit that is still to come. Whatever is deleted here is also older than the
    newest snapshot: its writer began before that one, so its commit fails anyway. `progress` is told how many files
    were looked at. It ends early when it is told to stop. Raises LakeDown when the warehouse does not answer.
    """
    iceberg = table.iceberg
    newest = iceberg.current_snapshot()
    if newest is None:
        return Swept()
    files = size_bytes = 0
    with reading(iceberg):
        needed = {_plain(path) for path in paths_of(iceberg, iceberg.io)}
        before_ns = min(time.time_ns() - int(older_s * 1e9), newest.timestamp_ms * _MILLION)
        for number, (path, size, modified_ns) in enumerate(_all_files(iceberg)):
            if stop is not None and stop.is_set():
                break
            if progress is not None and number % _PROGRESS_FILES == 0:
                progress(number)
            if modified_ns < before_ns and _plain(path) not in needed:
                iceberg.io.delete(_location(iceberg, path))
                files += 1
                size_bytes += size
    return Swept(files, size_bytes)


def _all_files(table: Table) -> Iterator[tuple[str, int, int]]:
    """Give path, size in bytes and time of the last change in ns of every file of a table."""
    io = table.io
    assert isinstance(io, PyArrowFileIO)  # noqa: S101 - the one that is installed
    scheme, netloc, path = io.parse_location(table.location())
    filesystem: FileSystem = io.fs_by_scheme(scheme, netloc)
    for info in filesystem.get_file_info(FileSelector(path, recursive=True, allow_not_found=True)):
        if info.type == FileType.File:
            yield info.path, info.size, info.mtime_ns


def _plain(location: str) -> str:
    """Return a location without its scheme, as file systems list it."""
    if "://" not in location:
        return location
    parts = urlsplit(location)
    return f"{parts.netloc}{parts.path}"


def _location(table: Table, path: str) -> str:
    scheme = urlsplit(table.location()).scheme
    return f"{scheme}://{path}" if scheme else path
