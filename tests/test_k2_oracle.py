"""The K2 suites' own instruments: the oracle against golden candles, and that it tells one wrong digit."""

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import fastavro
import pytest

from fullspan.ledger import Moment
from suites.k2.candles import FRAMES, Candle, candles
from suites.k2.capture import trades_of
from suites.k2.records import content, decoded, exact, frames_seen, trade_frame, trade_of

DATA = Path(os.environ.get("FULLSPAN_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data") / "market"
CAPTURE = DATA / "binance_spot_trades_20240808_BTCUSDT_ETHUSDT.ndjson.gz"
GOLDEN = {"1m": "candles_1m", "5m": "candles_5m", "1h": "candles_1h", "1d": "candles_1d"}
FRAME = {
    "e": "trade", "E": 1723161255343, "s": "BTCUSDT", "t": 3735683259, "p": "61837.63000000", "q": "0.02000000",
    "T": 1723161255342, "m": True, "M": True,
}  # fmt: skip
NOW = Moment(1, 2)


def told(**changes: object) -> str:
    return content(trade_of({**FRAME, **changes}))


def test_a_trade_is_told_by_all_its_fields():
    assert told() == (
        "BINANCE:BTCUSDT:3735683259|BINANCE-3735683259|BTCUSDT|BINANCE|crypto|2024-08-08T23:54:15.342000+00:00|"
        "61837.63|0.02|USDT|SELL|3735683259"
    )
    changed = [
        told(p="61837.63000001"), told(q="0.02000001"), told(T=1723161255343), told(m=False), told(t=1),
        told(s="ETHUSDT"),
    ]  # fmt: skip
    assert len({told(), *changed}) == 7
    assert told(p="61837.63") == told()


def test_exact_tells_no_two_numbers_alike():
    texts = ["0.1", "0.10000001", "100", "1E+2", "0.00000001", "99999999999999999999.99999999"]
    assert [exact(Decimal(text)) for text in texts] == [
        "0.1", "0.10000001", "100", "100", "0.00000001", "99999999999999999999.99999999",
    ]  # fmt: skip


BROKEN = [
    {"e": "aggTrade"}, {"p": 1.5}, {"p": "1.000000001"}, {"q": "NaN"}, {"s": ""}, {"T": 99999999999999999},
    {"m": "yes"}, {"t": "1"},
]  # fmt: skip


@pytest.mark.parametrize(
    "frame",
    ["{", "[]", "1", '{"result": null, "id": 1}', *(json.dumps({**FRAME, **broken}) for broken in BROKEN)],
)
def test_what_is_no_trade_is_none(frame):
    assert trade_frame(frame) is None
    assert list(frames_seen(frame, NOW)) == []


def test_wrapped_and_bare_frames_are_the_same_trade():
    wrapped = json.dumps({"stream": "btcusdt@trade", "data": FRAME})
    (one,), (other,) = (list(frames_seen(frame, NOW)) for frame in (wrapped, json.dumps(FRAME).encode()))
    assert one == other
    assert (one.key, one.sequence, one.event_ns) == ("BINANCE/BTCUSDT/3735683259", 3735683259, 1723161255342_000_000)
    assert one.digest == told()


def test_a_value_of_neither_form_is_refused():
    with pytest.raises(ValueError, match="neither of the two forms"):
        decoded(b"\xc4\x01rest")


def test_published_schemas_are_the_programs_own():
    from k2.schema import QUOTE, TRADE

    for name, record in (("trade", TRADE), ("quote", QUOTE)):
        published = json.loads((Path(__file__).parents[1] / "suites" / "k2" / f"{name}.avsc").read_text())
        assert published == record.avro()
        assert fastavro.parse_schema(published)["name"].endswith(name.title())


def test_candles_of_a_few_trades():
    minute = 60_000
    rows = [
        trade_of({**FRAME, "t": number, "T": time, "p": price, "q": quantity})
        for number, time, price, quantity in [
            (3, minute + 5, "3", "1"), (2, minute + 5, "2", "3"), (1, minute, "9", "1"), (4, 3 * minute, "1", "3"),
        ]
    ]  # fmt: skip
    first, second = candles(rows, "1m")
    assert first == Candle(
        datetime(1970, 1, 1, 0, 1, tzinfo=UTC), *map(Decimal, ("9", "9", "2", "3", "5")), 3, Decimal("3.60000000")
    )
    assert (second.start.minute, second.trades, second.vwap) == (3, 1, Decimal("1.00000000"))
    assert [len(candles(rows, frame)) for frame in FRAMES] == [2, 1, 1, 1, 1]


@pytest.mark.skipif(not CAPTURE.exists(), reason="the folder of shared data is not there")
def test_candles_of_a_capture_equal_golden_ones():
    golden = json.loads((DATA / "golden_ohlcv.json").read_text())
    trades = list(trades_of(CAPTURE))
    assert len(trades) == 34_419
    for symbol, wanted in golden.items():
        of_symbol = [trade for trade in trades if trade["symbol"] == symbol]
        assert len(of_symbol) == wanted["trades"]
        for frame, name in GOLDEN.items():
            assert candles(of_symbol, frame) == [Candle.read_golden(candle) for candle in wanted[name]], (symbol, frame)
