"""The tables of the lake: their columns, how they are partitioned and sorted, and what every one of them has set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    YearTransform,
)

from k2.schema import QUOTE, TRADE, Column, Kind, Record

__all__ = ["CANDLE", "FRAMES", "NAMESPACE", "QUOTES", "TABLES", "TRADES", "TableForm", "candles_form"]

NAMESPACE: Final = "market_data"
SYMBOL_BUCKETS: Final = 4
ROWS_OF_A_GROUP: Final = 8_192
"""Rows of a row group, so that a question for the newest hundred reads little of a large file."""

FRAMES: Final[Mapping[str, int]] = {"1m": 60, "5m": 300, "30m": 1800, "1h": 3600, "1d": 86400}
"""Lengths of candles in seconds, by their name."""

_PROPERTIES: Final[Mapping[str, str]] = {
    # The library's own retry would append a stale writer's batch a second time.
    "commit.retry.num-retries": "0",
    "write.metadata.previous-versions-max": "10",
    "write.metadata.delete-after-commit.enabled": "true",
    "commit.manifest-merge.enabled": "true",
    "write.parquet.row-group-limit": str(ROWS_OF_A_GROUP),
    "write.parquet.compression-codec": "zstd",
    # Bounds are kept of what is looked for; those of all columns would make each commit read and write them again.
    "write.metadata.metrics.default": "none",
}

CANDLE: Final = Record(
    "Candle",
    (
        Column("symbol", Kind.TEXT, "As the exchange writes it, in upper case."),
        Column("exchange", Kind.TEXT, "In upper case."),
        Column("window_start", Kind.MICROS, "The first moment of the window; it ends before the next one begins."),
        Column("window_end", Kind.MICROS, "The first moment after the window."),
        Column("open", Kind.DECIMAL, "Price of the first trade by time, then number.", precision=18, scale=8),
        Column("high", Kind.DECIMAL, "Highest price.", precision=18, scale=8),
        Column("low", Kind.DECIMAL, "Lowest price.", precision=18, scale=8),
        Column("close", Kind.DECIMAL, "Price of the last trade by time, then number.", precision=18, scale=8),
        Column("volume", Kind.DECIMAL, "Sum of the quantities.", precision=38, scale=8),
        Column("notional", Kind.DECIMAL, "Sum of price times quantity.", precision=38, scale=16),
        Column("vwap", Kind.DECIMAL, "Notional by volume, half to even.", precision=18, scale=8, nullable=True),
        Column("trade_count", Kind.LONG, "How many trades."),
    ),
)


@dataclass(frozen=True)
class TableForm:
    """How a table is made: `fed` when Kafka feeds it, so that its snapshots carry offsets; `time` is its time column.

    `numbered`: the exchange numbers its rows without holes, so that one which comes twice is known by its number.
    """

    name: str
    record: Record
    time: str
    partitions: tuple[tuple[str, Transform], ...]  # type: ignore[type-arg]
    sorted_by: tuple[str, ...]
    bounded: tuple[str, ...]
    fed: bool = False
    numbered: bool = False

    @property
    def identifier(self) -> str:
        """The full name."""
        return f"{NAMESPACE}.{self.name}"

    def spec(self) -> PartitionSpec:
        """Return how rows are spread over folders."""
        schema = self.record.iceberg()
        fields = [
            PartitionField(schema.find_field(column).field_id, 1000 + number, transform, f"{column}_{_word(transform)}")
            for number, (column, transform) in enumerate(self.partitions)
        ]
        return PartitionSpec(*fields)

    def order(self) -> SortOrder:
        """Return how rows are sorted within a file."""
        schema = self.record.iceberg()
        fields = [SortField(schema.find_field(name).field_id, transform=IdentityTransform()) for name in self.sorted_by]
        return SortOrder(*fields)

    def properties(self) -> dict[str, str]:
        """Return what the table has set."""
        bounds = {f"write.metadata.metrics.column.{name}": "full" for name in self.bounded}
        return {**_PROPERTIES, **bounds}


def _word(transform: Transform) -> str:  # type: ignore[type-arg]
    return str(transform).partition("[")[0]


def _fed_form(name: str, record: Record) -> TableForm:
    return TableForm(
        name=name,
        record=record,
        time="timestamp",
        partitions=(("timestamp", DayTransform()), ("symbol", BucketTransform(SYMBOL_BUCKETS))),
        sorted_by=("timestamp", "source_sequence"),
        bounded=("timestamp", "symbol", "exchange", "source_sequence"),
        fed=True,
        numbered=record is TRADE,
    )


def candles_form(frame: str) -> TableForm:
    """Return the table of the candles of a length; `frame` is a name of `FRAMES`."""
    transforms: dict[str, Transform] = {  # type: ignore[type-arg]
        "1h": MonthTransform(),
        "1d": YearTransform(),
    }
    return TableForm(
        name=f"ohlcv_{frame}",
        record=CANDLE,
        time="window_start",
        partitions=(("window_start", transforms.get(frame, DayTransform())),),
        sorted_by=("window_start", "symbol"),
        bounded=("window_start", "symbol", "exchange"),
    )


TRADES: Final = _fed_form("trades", TRADE)
QUOTES: Final = _fed_form("quotes", QUOTE)
TABLES: Final[Mapping[str, TableForm]] = {
    form.name: form for form in (TRADES, QUOTES, *(candles_form(frame) for frame in FRAMES))
}
"""Every table by its short name."""
