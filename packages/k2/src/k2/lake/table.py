"""A table of the lake with every operation that K2 does on it: each carries the offsets, none is ever repeated blindly.

A commit is made against the snapshot that was looked at, and fails when the table has another one meanwhile. Whoever
wrote for a snapshot that is not the newest any more, because it was stopped and its successor went on, commits nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update.snapshot import UpdateSnapshot

from k2.errors import LakeError, NotCommitted
from k2.lake.catalog import open_table
from k2.lake.crash import Crashes
from k2.lake.offsets import OFFSETS_PROPERTY, SEEN_PROPERTY, Offsets, offsets_of, property_of
from k2.lake.seen import Seen
from k2.lake.tables import TableForm

__all__ = ["LakeTable"]


class _Staged(Transaction):
    """A transaction that works out what its table becomes once per change.

    The library does so at every look, and copies all snapshots deeply: at a hundred snapshots that was four fifths of
    the time of a commit.
    """

    _worked_out: tuple[object, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        if not self._updates:
            return self._table.metadata
        if self._worked_out is None or self._worked_out[0] is not self._updates:
            self._worked_out = (self._updates, super().table_metadata)
        return self._worked_out[1]


class LakeTable:
    """One table as it was when it was last loaded or committed to.

    Every operation raises NotCommitted when nothing was committed or nobody knows; load it anew after that.
    """

    def __init__(self, catalog: Catalog, form: TableForm, crashes: Crashes | None = None) -> None:
        self.form: Final = form
        self._catalog: Final = catalog
        self._crashes: Final = crashes or Crashes()
        self._loose: list[str] = []
        self._table = open_table(catalog, form)

    def reload(self) -> None:
        """Look at the table anew. Raises LakeDown when it cannot be loaded."""
        self._table = open_table(self._catalog, self.form)

    @property
    def iceberg(self) -> Table:
        """The library's table, to read."""
        return self._table

    def offsets(self) -> Offsets:
        """Return how far the rows go. Raises LakeError when the newest snapshot does not say."""
        return offsets_of(self._table)

    def seen(self) -> Seen:
        """Return which numbers are stored. Raises LakeError when the newest snapshot does not say."""
        snapshot = self._table.current_snapshot()
        return Seen() if snapshot is None else Seen.read(property_of(self._table, snapshot, SEEN_PROPERTY))

    def carried(self) -> dict[str, str]:
        """Return the properties that the next snapshot must have as the newest has them.

        Raises LakeError when the newest snapshot of a table that Kafka feeds lacks its offsets.
        """
        if not self.form.fed:
            return {}
        return {OFFSETS_PROPERTY: self.offsets().text(), SEEN_PROPERTY: self.seen().text()}

    def append(self, rows: pa.Table, start: Offsets, end: Offsets, seen: Seen) -> None:
        """Add rows that were read from `start` to `end`; `seen` is what is stored with them.

        Raises NotCommitted, also when the table's rows do not end at `start`: somebody else has gone on.
        """
        if self.offsets() != start:
            raise NotCommitted("conflict", f"{self.form.identifier} has gone on to {self.offsets().text()} meanwhile.")
        self._crashes.at("before-write")
        with self._changed({OFFSETS_PROPERTY: end.text(), SEEN_PROPERTY: seen.text()}) as (transaction, update):
            added = self._write(rows, transaction)
            self._crashes.at("after-data-files")
            with update.merge_append() as change:
                for file in added:
                    change.append_data_file(file)
            self._crashes.at("before-commit")
        self._crashes.at("after-commit")

    def replace(self, removed: Sequence[DataFile], rows: pa.Table, properties: Mapping[str, str] | None = None) -> None:
        """Put rows in the place of those of some files, in one snapshot that carries the offsets as they are.

        Raises NotCommitted.
        """
        with self._changed({**self.carried(), **(properties or {})}) as (transaction, update):
            added = self._write(rows, transaction)
            with update.overwrite() as change:
                for file in removed:
                    change.delete_data_file(file)
                for file in added:
                    change.append_data_file(file)

    def note(self, properties: Mapping[str, str]) -> None:
        """Make a snapshot of the same rows with other properties. Raises NotCommitted."""
        with self._changed(properties) as (_, update), update.fast_append():
            pass

    def forget(self, snapshots: Iterable[int]) -> None:
        """Take snapshots off the table's list; their files stay until they are swept. Raises NotCommitted."""
        chosen = list(snapshots)
        try:
            with self._table.maintenance.expire_snapshots() as expiry:
                expiry.by_ids(chosen)
        except CommitFailedException as error:
            raise NotCommitted("conflict", f"{self.form.identifier} was changed meanwhile: {error}") from error
        except Exception as error:
            raise self._unknown(error) from error

    def crash(self) -> None:
        """Pass the point within an expiry at which a test may end this process."""
        self._crashes.at("during-expiry")

    def _write(self, rows: pa.Table, transaction: Transaction) -> list[DataFile]:
        """Write rows, sorted, as data files that belong to no snapshot yet."""
        if not rows.num_rows:
            return []
        ordered = rows.sort_by([(name, "ascending") for name in self.form.sorted_by])
        files = list(_dataframe_to_data_files(transaction.table_metadata, ordered, self._table.io))
        self._loose.extend(file.file_path for file in files)
        return files

    @contextmanager
    def _changed(self, properties: Mapping[str, str]) -> Iterator[tuple[Transaction, UpdateSnapshot]]:
        """Commit what is done within, as one snapshot with these properties, on the snapshot that is known here."""
        try:
            transaction = _Staged(self._table)
            yield transaction, transaction.update_snapshot(snapshot_properties=dict(properties))
            transaction.commit_transaction()
        except CommitFailedException as error:
            self._delete_loose()
            raise NotCommitted("conflict", f"{self.form.identifier} was changed meanwhile: {error}") from error
        except LakeError:
            raise
        except Exception as error:
            raise self._unknown(error) from error
        finally:
            self._loose.clear()  # where nobody knows they may be the table's; the sweep finds out later

    def _delete_loose(self) -> None:
        for path in self._loose:
            with suppress(Exception):  # the sweep takes what stays
                self._table.io.delete(path)

    def _unknown(self, error: Exception) -> NotCommitted:
        what = (str(error) or type(error).__name__).partition("\n")[0]
        return NotCommitted("unknown", f"Nobody knows whether {self.form.identifier} was changed: {what}")
