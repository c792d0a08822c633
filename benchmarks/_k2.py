"""What the benchmarks on K2 have in common: trades made in bulk, and a lake in a folder of its own."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from k2.lake import TRADES, LakeTable
from k2.lake.catalog import open_catalog
from k2.lake.offsets import Offsets
from k2.lake.seen import Seen
from k2.settings import LakeSettings

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
TOPIC = "market.crypto.trades.binance"
BEGIN_US = 1_767_225_600_000_000
STEP_US = 200
"""Time between two trades: 5,000 a second."""


def trades(first: int, count: int) -> pa.Table:
    """Make trades as the writer has them, `first` counting all symbols together, one after another in time."""
    place = np.arange(first, first + count)
    numbers = pa.array(place // len(SYMBOLS))
    texts = numbers.cast(pa.string())
    symbol = pa.array(SYMBOLS).take(pa.array(place % len(SYMBOLS)))
    at = pa.array(BEGIN_US + place * STEP_US)
    schema = TRADES.record.arrow()
    none = np.zeros(count, dtype=np.int64)

    def same(value: object, name: str) -> pa.Array:
        return pa.array([value], schema.field(name).type).take(pa.array(none))

    columns = {
        "message_id": pc.binary_join_element_wise(same("BINANCE", "exchange"), symbol, texts, ":"),
        "trade_id": pc.binary_join_element_wise(same("BINANCE", "exchange"), texts, "-"),
        "symbol": symbol,
        "exchange": same("BINANCE", "exchange"),
        "asset_class": same("crypto", "asset_class"),
        "timestamp": at.cast(schema.field("timestamp").type),
        "price": _decimals(6_183_763_000_000 + (place * 7919) % 50_000_000_000, 18),
        "quantity": _decimals(2_000_000 + (place * 104_729) % 900_000_000, 28),
        "currency": same("USDT", "currency"),
        "side": pa.array(["BUY", "SELL"]).take(pa.array(place % 2)),
        "source_sequence": numbers,
        "ingestion_timestamp": pc.add(at, 1500).cast(schema.field("ingestion_timestamp").type),
        "platform_sequence": pa.array(place),
        "trade_conditions": same([], "trade_conditions"),
        "vendor_data": same([("best_match", "true")], "vendor_data"),
    }
    return pa.Table.from_pydict(columns, schema=schema)


def _decimals(units: np.ndarray, precision: int) -> pa.Array:
    """Make decimals of units of 1e-8."""
    low = np.stack([units.astype(np.int64), np.zeros(len(units), dtype=np.int64)], axis=1)
    return pa.Array.from_buffers(pa.decimal128(precision, 8), len(units), [None, pa.py_buffer(low.tobytes())])


class Lake:
    """A lake in a folder, and its trades appended as the writer does it."""

    def __init__(self, folder: Path) -> None:
        self.settings = LakeSettings(catalog_uri=f"sqlite:///{folder}/catalog.db", warehouse=str(folder / "warehouse"))
        self.table = LakeTable(open_catalog(self.settings), TRADES)
        self.offsets, self.seen, self.rows = Offsets(), Seen(), 0

    def append(self, count: int) -> pa.Table:
        """Make and commit the next trades; returns them."""
        rows = trades(self.rows, count)
        self.commit(rows)
        return rows

    def commit(self, rows: pa.Table) -> None:
        """Commit the next trades."""
        self.rows += rows.num_rows
        kept, seen = self.seen.add(rows)
        end = self.offsets.after({(TOPIC, 0): self.rows})
        self.table.append(kept, self.offsets, end, seen)
        self.offsets, self.seen = end, seen
