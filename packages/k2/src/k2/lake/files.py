"""The data files of a snapshot and what lies in each; a manifest is read once, however many snapshots share it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pyiceberg.conversions import from_bytes
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, ManifestEntry, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import PrimitiveType

from k2.errors import LakeDown

__all__ = ["LakeFile", "Manifests", "paths_of", "reading"]


@contextmanager
def reading(table: Table) -> Iterator[None]:
    """Raise LakeDown in place of what the warehouse raises when it does not give a file of a table."""
    try:
        yield
    except OSError as error:
        raise LakeDown(f"The files of {'.'.join(table.name())} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One data file; bounds are those of its time (microseconds since 1970, UTC) and of its symbols, both included.

    `sequence` grows with every commit: a file with a larger one came later.
    """

    path: str
    rows: int
    size_bytes: int
    first_us: int
    last_us: int
    first_symbol: str
    last_symbol: str
    sequence: int
    partition: tuple[Any, ...]
    data_file: DataFile

    def may_have(self, symbol: str | None, start_us: int | None, end_us: int | None) -> bool:
        """Tell whether rows of a symbol at or after `start_us` and before `end_us` can be in it; None is any."""
        return (
            (symbol is None or self.first_symbol <= symbol <= self.last_symbol)
            and (start_us is None or self.last_us >= start_us)
            and (end_us is None or self.first_us < end_us)
        )


class Manifests:
    """Reads the files of snapshots of one table; `time` is its time column."""

    def __init__(self, time: str) -> None:
        self._time: Final = time
        self._known: dict[str, tuple[LakeFile, ...]] = {}

    def files(self, table: Table, snapshot: Snapshot | None = None) -> tuple[LakeFile, ...]:
        """List the data files of a snapshot, or of the newest one; what no snapshot refers to any more is forgotten.

        Raises LakeDown when they cannot be read.
        """
        snapshot = snapshot or table.current_snapshot()
        if snapshot is None:
            return ()
        known: dict[str, tuple[LakeFile, ...]] = {}
        with reading(table):
            for manifest in snapshot.manifests(table.io):
                path = manifest.manifest_path
                known[path] = self._known.get(path) or tuple(self._read(table, manifest.fetch_manifest_entry(table.io)))
        self._known = known
        return tuple(file for files in known.values() for file in files)

    def _read(self, table: Table, entries: list[ManifestEntry]) -> Iterator[LakeFile]:
        schema = table.schema()
        time, symbol = (schema.find_field(name) for name in (self._time, "symbol"))
        for entry in entries:
            file = entry.data_file
            if entry.status == ManifestEntryStatus.DELETED or file.content != DataFileContent.DATA:
                continue
            yield LakeFile(
                path=file.file_path,
                rows=file.record_count,
                size_bytes=file.file_size_in_bytes,
                first_us=_bound(time.field_type, file.lower_bounds, time.field_id),
                last_us=_bound(time.field_type, file.upper_bounds, time.field_id),
                first_symbol=_bound(symbol.field_type, file.lower_bounds, symbol.field_id),
                last_symbol=_bound(symbol.field_type, file.upper_bounds, symbol.field_id),
                sequence=entry.sequence_number or 0,
                partition=tuple(file.partition[place] for place in range(len(table.spec().fields))),
                data_file=file,
            )


def _bound(kind: Any, bounds: dict[int, bytes], field: int) -> Any:
    assert isinstance(kind, PrimitiveType)  # noqa: S101 - both columns are
    return from_bytes(kind, bounds[field])


def paths_of(table: Table, io: FileIO) -> set[str]:
    """List every file that any snapshot of the table needs: its data, manifests, lists, and the metadata itself.

    Raises OSError when the warehouse does not give one of them.
    """
    found = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    manifests: set[str] = set()
    for snapshot in table.snapshots():
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(io):
            if manifest.manifest_path in manifests:
                continue
            manifests.add(manifest.manifest_path)
            found.update(entry.data_file.file_path for entry in manifest.fetch_manifest_entry(io))
    return found | manifests
