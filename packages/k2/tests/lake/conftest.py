"""A lake in a folder of its own, and trades for it: made by number, or the real ones of a capture where it lies."""

from decimal import Decimal

import pyarrow as pa
import pytest

from k2.lake import TRADES, LakeTable
from k2.lake.catalog import open_catalog
from k2.schema import trade_message_id
from k2.settings import LakeSettings

TOPIC = "market.crypto.trades.binance"
MIDNIGHT_US = 1_767_225_600_000_000  # 2026-01-01 00:00:00 UTC


def trade(number, *, symbol="BTCUSDT", at_us=None, price="100.00000001", quantity="0.50000000"):
    """One trade as a row; `number` is the exchange's own, a millisecond apart unless `at_us` says otherwise."""
    at_us = MIDNIGHT_US + number * 1000 if at_us is None else at_us
    return {
        "message_id": trade_message_id("BINANCE", symbol, number),
        "trade_id": f"BINANCE-{number}",
        "symbol": symbol,
        "exchange": "BINANCE",
        "asset_class": "crypto",
        "timestamp": at_us,
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "currency": "USDT",
        "side": "SELL" if number % 2 else "BUY",
        "source_sequence": number,
        "ingestion_timestamp": at_us + 500,
        "platform_sequence": number,
        "trade_conditions": [],
        "vendor_data": {},
    }


def table_of(rows):
    """Rows as the writer has them."""
    return pa.Table.from_pylist(list(rows), schema=TRADES.record.arrow())


class Filler:
    """Appends trades to a table as a writer would, offsets counting up in one partition."""

    def __init__(self, table):
        self.table = table

    def __call__(self, rows):
        rows = table_of(rows)
        start = self.table.offsets()
        kept, seen = self.table.seen().add(rows)
        reached = start[TOPIC, 0] or 0
        self.table.append(kept, start, start.after({(TOPIC, 0): reached + rows.num_rows}), seen)


@pytest.fixture
def settings(tmp_path):
    return LakeSettings(catalog_uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=str(tmp_path / "warehouse"))


@pytest.fixture
def catalog(settings):
    return open_catalog(settings)


@pytest.fixture
def trades(catalog):
    return LakeTable(catalog, TRADES)


@pytest.fixture
def fill(trades):
    return Filler(trades)


@pytest.fixture
def another(catalog):
    """The table as somebody else has it loaded."""
    return lambda: LakeTable(catalog, TRADES)


@pytest.fixture
def lake(one_kafka, tmp_path):
    """A topic and a lake, with the writer in between."""
    from .lake import Lake

    return Lake(one_kafka, tmp_path)
