"""What a writer has read and not committed yet: good rows, records for the dead letters, and how far it goes."""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Message

from k2.bus.codecs import Codec
from k2.lake.source import Read

__all__ = ["Batch", "Unusable"]

_MOST_NOTIONAL: Final = 10**22
"""Price times quantity of decimal(38,16) must be below it."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A record that is no row: the message, the reason in one word, and the sentence for a person."""

    message: Message
    reason: str
    sentence: str


class Batch:
    """Grows by what is read."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []
        self.unusable: list[Unusable] = []
        self.next_offsets: dict[tuple[str, int], int] = {}
        self.records = 0
        self._since_s: float | None = None

    @property
    def age_s(self) -> float:
        """How long the first record has waited; 0 without one."""
        return 0.0 if self._since_s is None else time.monotonic() - self._since_s

    def add(self, read: Read, codec: Codec) -> None:
        """Take what was read. Raises BusError when the schema registry is needed and away."""
        if not read.messages:
            return
        self._since_s = self._since_s or time.monotonic()
        decoded = codec.decode([message.value() for message in read.messages])
        self.unusable.extend(Unusable(read.messages[bad.index], bad.reason, bad.sentence) for bad in decoded.rejected)
        rows = decoded.table
        if "price" in rows.column_names and (over := _too_large(rows)).any():
            taken = np.delete(np.arange(len(read.messages)), [bad.index for bad in decoded.rejected])
            sentence = "Price times quantity does not fit decimal(38,16)."
            self.unusable.extend(Unusable(read.messages[place], "precision", sentence) for place in taken[over])
            rows = rows.filter(pa.array(~over))
        self._tables.append(rows)
        self.next_offsets.update(read.next_offsets)
        self.records += len(read.messages)

    def rows(self, schema: pa.Schema) -> pa.Table:
        """Return the good rows in the order in which they were read."""
        return pa.concat_tables(self._tables) if self._tables else schema.empty_table()


def _too_large(rows: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell for each row whether its notional does not fit; exact where a float is not sure."""
    price, quantity = (rows.column(name).cast(pa.float64()).to_numpy() for name in ("price", "quantity"))
    maybe = np.asarray(np.abs(price * quantity) > 0.999 * _MOST_NOTIONAL)
    for place in np.flatnonzero(maybe):
        exact = rows.column("price")[place].as_py() * rows.column("quantity")[place].as_py()
        maybe[place] = abs(exact) >= _MOST_NOTIONAL
    return maybe


def newest_us(rows: pa.Table) -> int:
    """Return the newest time of some rows, at least one, in microseconds since 1970, UTC."""
    return int(pc.max(rows.column("timestamp").cast(pa.int64())).as_py())
