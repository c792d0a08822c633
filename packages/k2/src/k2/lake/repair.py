"""A table whose newest snapshot does not say how far its rows go: find out, then say so in a new one."""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from pyiceberg.table.snapshots import Snapshot

from k2.errors import LakeError
from k2.lake.compaction import rows_of
from k2.lake.files import Manifests
from k2.lake.offsets import OFFSETS_PROPERTY, SEEN_PROPERTY, Offsets
from k2.lake.seen import Seen
from k2.lake.table import LakeTable

__all__ = ["Finding", "find", "mend"]

_FILES_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of a table: the newest snapshot that says how far its rows go, and how many came after it."""

    snapshot: int | None
    offsets: Offsets
    later: int

    @property
    def whole(self) -> bool:
        """True when there is nothing to mend."""
        return self.later == 0


def find(table: LakeTable) -> Finding:
    """Look for the newest snapshot of the current line that has its offsets."""
    later = 0
    snapshot = table.iceberg.current_snapshot()
    while snapshot is not None:
        text = _property(snapshot, OFFSETS_PROPERTY)
        if text is not None and _property(snapshot, SEEN_PROPERTY) is not None:
            return Finding(snapshot.snapshot_id, Offsets.read(text), later)
        later += 1
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.iceberg.snapshot_by_id(parent)
    return Finding(None, Offsets(), later)


def mend(table: LakeTable, offsets: Offsets) -> None:
    """Say in a new snapshot that the rows go up to these offsets; which numbers are stored is read from the rows.

    Offsets that lie too early are safe for trades: what is stored already is known by its number.
    Raises NotCommitted, and LakeError for a table that Kafka does not feed.
    """
    if not table.form.fed:
        raise LakeError(f"{table.form.identifier} is made from trades; `k2 candles --whole` makes it anew.")
    table.note({OFFSETS_PROPERTY: offsets.text(), SEEN_PROPERTY: _stored(table).text()})


def _stored(table: LakeTable) -> Seen:
    if not table.form.numbered:
        return Seen()
    files = Manifests(table.form.time).files(table.iceberg)
    parts = (files[place : place + _FILES_AT_ONCE] for place in range(0, len(files), _FILES_AT_ONCE))
    return Seen().join(Seen.of(_numbers(rows_of(table, part))) for part in parts)


def _numbers(rows: pa.Table) -> pa.Table:
    return rows.select(["exchange", "symbol", "source_sequence"])


def _property(snapshot: Snapshot, name: str) -> str | None:
    return None if snapshot.summary is None else snapshot.summary.additional_properties.get(name)
