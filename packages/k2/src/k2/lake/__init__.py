"""The lake: Iceberg tables that say how far they go, and the writer that fills them exactly once."""

from k2.lake.table import LakeTable
from k2.lake.tables import CANDLE, FRAMES, QUOTES, TABLES, TRADES, TableForm

__all__ = ["CANDLE", "FRAMES", "QUOTES", "TABLES", "TRADES", "LakeTable", "TableForm"]
