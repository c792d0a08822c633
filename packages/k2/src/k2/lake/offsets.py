"""How far the rows of a snapshot go: the next offset to read of every partition, kept with the rows themselves.

A snapshot of a table that Kafka feeds says in its properties, for every partition of the topic, which offset comes
after the last one whose row it holds. That makes the commit of rows and the commit of offsets one and the same.
"""

import json
from collections.abc import Mapping
from typing import Final, Self

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from k2.errors import LakeError

__all__ = ["OFFSETS_PROPERTY", "SEEN_PROPERTY", "Offsets", "offsets_of"]

OFFSETS_PROPERTY: Final = "k2.offsets"
"""Snapshot property: `{"TOPIC": {"PARTITION": next offset}}` as JSON."""
SEEN_PROPERTY: Final = "k2.seen"
"""Snapshot property: the exchange's own numbers that are stored, see `k2.lake.seen`."""


class Offsets:
    """Next offset by topic and partition; a partition that is not named has not been read yet. Never changes."""

    __slots__ = ("_next",)

    def __init__(self, next_offsets: Mapping[tuple[str, int], int] | None = None) -> None:
        self._next: Final = dict(next_offsets or {})

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the map from its text. Raises LakeError for a text that is none."""
        try:
            document = json.loads(text)
            found = {
                (str(topic), int(partition)): int(offset)
                for topic, partitions in document.items()
                for partition, offset in partitions.items()
            }
        except (ValueError, AttributeError, TypeError):
            raise LakeError(f"{OFFSETS_PROPERTY} is {text!r}, which is no map of offsets; `k2 repair` helps.") from None
        return cls(found)

    def __getitem__(self, partition: tuple[str, int]) -> int | None:
        return self._next.get(partition)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Offsets) and self._next == other._next

    def __hash__(self) -> int:
        return hash(frozenset(self._next.items()))

    def __repr__(self) -> str:
        return f"Offsets({self.text()})"

    def items(self) -> dict[tuple[str, int], int]:
        """Give the whole map, as a copy."""
        return dict(self._next)

    def after(self, read: Mapping[tuple[str, int], int]) -> "Offsets":
        """Return the map after a batch; `read` has the next offset of every partition that the batch has rows of."""
        return Offsets(self._next | dict(read))

    def text(self) -> str:
        """Write the map as the property holds it, always in the same order."""
        document: dict[str, dict[str, int]] = {}
        for (topic, partition), offset in sorted(self._next.items()):
            document.setdefault(topic, {})[str(partition)] = offset
        return json.dumps(document, separators=(",", ":"))


def offsets_of(table: Table) -> Offsets:
    """Return how far the newest snapshot goes; a table without a snapshot has read nothing.

    Raises LakeError when the newest snapshot does not say: something else than K2 wrote to the table.
    """
    snapshot = table.current_snapshot()
    return Offsets() if snapshot is None else Offsets.read(property_of(table, snapshot, OFFSETS_PROPERTY))


def property_of(table: Table, snapshot: Snapshot, name: str) -> str:
    """Return a property of a snapshot. Raises LakeError, which names the command that helps, when it has none."""
    summary = snapshot.summary
    value = None if summary is None else summary.additional_properties.get(name)
    if value is None:
        full = ".".join(table.name())
        raise LakeError(
            f"The newest snapshot {snapshot.snapshot_id} of {full} does not say up to which offset its rows go, so "
            f"something else than K2 wrote it and going on could lose or double rows; look at it, then run "
            f"`k2 repair {table.name()[-1]}`."
        )
    return value
