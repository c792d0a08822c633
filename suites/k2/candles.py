"""Candles, computed from trades with exact decimals: the oracle of what the API must say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from fullspan.clients.k2_calls import Frame

FRAMES: Mapping[Frame, int] = {"1m": 60, "5m": 300, "30m": 1800, "1h": 3600, "1d": 86400}
"""Lengths in seconds."""
EXACT = Context(prec=60)
VWAP_DIGITS = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle; prices in the currency, `volume` in units, `vwap` rounded half to even to eight digits."""

    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    vwap: Decimal

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Candle":
        """Read one from the API's answer, where numbers are text."""
        return cls(
            start=datetime.fromisoformat(document["window_start"]),
            open=Decimal(document["open"]),
            high=Decimal(document["high"]),
            low=Decimal(document["low"]),
            close=Decimal(document["close"]),
            volume=Decimal(document["volume"]),
            trades=int(document["trade_count"]),
            vwap=Decimal(document["vwap"]),
        )

    @classmethod
    def read_golden(cls, document: Mapping[str, Any]) -> "Candle":
        """Read one from a file of golden candles."""
        first, high, low, last, volume = (Decimal(document[name]) for name in ("o", "h", "l", "c", "volume"))
        start, count, mean = document["start"], int(document["trades"]), Decimal(document["vwap"])
        return cls(datetime.fromisoformat(start), first, high, low, last, volume, count, mean)


def candles(trades: Iterable[Mapping[str, Any]], frame: Frame) -> list[Candle]:
    """Make the candles of one symbol's trades (rows of `records.trade_of`); ordered by time, then number."""
    windows: dict[int, list[Mapping[str, Any]]] = {}
    for trade in sorted(trades, key=lambda row: (row["timestamp"], row["source_sequence"])):
        windows.setdefault(int(trade["timestamp"].timestamp()) // FRAMES[frame], []).append(trade)
    return [_candle(number * FRAMES[frame], rows) for number, rows in sorted(windows.items())]


def _candle(start_s: int, rows: list[Mapping[str, Any]]) -> Candle:
    prices = [row["price"] for row in rows]
    volume = notional = Decimal(0)
    for row in rows:
        volume = EXACT.add(volume, row["quantity"])
        notional = EXACT.add(notional, EXACT.multiply(row["price"], row["quantity"]))
    mean = EXACT.divide(notional, volume).quantize(VWAP_DIGITS, rounding=ROUND_HALF_EVEN)
    start = datetime.fromtimestamp(start_s, UTC)
    return Candle(start, prices[0], max(prices), min(prices), prices[-1], volume, len(rows), mean)
