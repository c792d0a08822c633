"""Candles: equal to golden ones where the capture lies, and to a plain calculation everywhere."""

import gzip
import json
import os
from collections import defaultdict
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path

import pytest

from k2.lake import CANDLE, FRAMES, LakeTable
from k2.lake.candle_runs import CandleRuns
from k2.lake.compaction import compact
from k2.lake.tables import candles_form

from .conftest import MIDNIGHT_US, trade

DATA = Path(os.environ.get("FULLSPAN_SHARED_DATA") or Path(__file__).parents[5] / "shared" / "data") / "market"
CAPTURE = DATA / "binance_spot_trades_20240808_BTCUSDT_ETHUSDT.ndjson.gz"
GOLDEN = {"1m": "candles_1m", "5m": "candles_5m", "1h": "candles_1h", "1d": "candles_1d"}


def stored(catalog, frame):
    rows = LakeTable(catalog, candles_form(frame)).iceberg.scan().to_arrow().to_pylist()
    return {(row["symbol"], row["window_start"]): row for row in rows}


def expected(rows, frame):
    """The candles of trades, computed the plain way."""
    windows = defaultdict(list)
    for row in rows:
        at_us = row["timestamp"]
        windows[row["symbol"], at_us - at_us % (FRAMES[frame] * 1_000_000)].append(row)
    found = {}
    with localcontext(prec=100):
        for (symbol, start_us), trades in windows.items():
            trades.sort(key=lambda each: (each["timestamp"], each["source_sequence"]))
            prices = [each["price"] for each in trades]
            volume = sum((each["quantity"] for each in trades), Decimal(0))
            notional = sum((each["price"] * each["quantity"] for each in trades), Decimal(0))
            vwap = (notional / volume).quantize(Decimal("1e-8"), ROUND_HALF_EVEN) if volume else None
            start = datetime.fromtimestamp(start_us / 1e6, UTC)
            sums = (volume, notional, vwap, len(trades))
            end = datetime.fromtimestamp(start_us / 1e6 + FRAMES[frame], UTC)
            found[symbol, start] = dict(
                zip(
                    (column.name for column in CANDLE.columns),
                    [symbol, "BINANCE", start, end, prices[0], max(prices), min(prices), prices[-1], *sums],
                    strict=True,
                )
            )
    return found


@pytest.mark.parametrize("frame", FRAMES)
def test_candles_are_those_of_a_plain_calculation_and_follow_late_trades(frame, settings, catalog, fill, trades):
    rows = [
        trade(
            number,
            symbol="ETHUSDT" if number % 3 else "BTCUSDT",
            at_us=MIDNIGHT_US - 3_600_000_000 + number * 41_000_000 // 3,
            price=f"{100 + number * 7 % 13}.{number % 97:08d}",
            quantity=f"{number * 31 % 17}.{number % 89:08d}",
        )
        for number in range(1, 500)
    ]
    # A price and a quantity whose product is as large as may be, in a window of its own.
    rows.append(
        trade(900, at_us=MIDNIGHT_US + 9 * 86_400_000_000, price="9999999999.99999999", quantity="1000000000000")
    )
    late = rows.pop(250)
    fill(rows[:200])
    fill(rows[200:])
    runs = CandleRuns(settings)
    assert runs.run(frame) == len(expected(rows, frame))
    assert stored(catalog, frame) == expected(rows, frame)
    assert runs.run(frame) == 0
    fill([late])
    assert 0 < runs.run(frame) <= 2
    assert stored(catalog, frame) == expected([*rows, late], frame)
    trades.reload()
    compact(trades)
    runs.run(frame)
    assert runs.run(frame, whole=True) == len(expected(rows, frame))
    assert stored(catalog, frame) == expected([*rows, late], frame)


@pytest.mark.skipif(not CAPTURE.exists(), reason="the capture is not here")
def test_candles_of_the_capture_are_the_golden_ones(settings, catalog, fill):
    rows = []
    for line in gzip.decompress(CAPTURE.read_bytes()).splitlines():
        data = json.loads(line.partition(b" ")[2])["data"]
        rows.append(trade(data["t"], symbol=data["s"], at_us=data["T"] * 1000, price=data["p"], quantity=data["q"]))
    fill(rows[::2])
    fill(rows[1::2])
    golden = json.loads((DATA / "golden_ohlcv.json").read_text())
    runs = CandleRuns(settings)
    for frame, name in GOLDEN.items():
        runs.run(frame)
        found = stored(catalog, frame)
        assert len(found) == sum(len(golden[symbol][name]) for symbol in ("BTCUSDT", "ETHUSDT"))
        for symbol in ("BTCUSDT", "ETHUSDT"):
            for candle in golden[symbol][name]:
                mine = found[symbol, datetime.fromisoformat(candle["start"])]
                told = [str(mine[each]) for each in ("open", "high", "low", "close", "volume", "vwap")]
                assert told == [candle[each] for each in ("o", "h", "l", "c", "volume", "vwap")]
                assert mine["trade_count"] == candle["trades"]
        assert sum(row["notional"] for key, row in found.items() if key[0] == "BTCUSDT") == Decimal(
            golden["BTCUSDT"]["sum_quote"]
        )
