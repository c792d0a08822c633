"""A frame is a record with every field as it came, a notice, or an error with its reason; never half of anything."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2.errors import CodecError
from k2.feed.exchange.capture import read_capture
from k2.feed.exchange.event import Quoted, Traded
from k2.feed.exchange.mischief import MALFORMED
from k2.feed.frames import Notice, read_frame
from k2.schema import Quote, Trade

DATA = {
    "e": "trade", "E": 1723161255343, "s": "BTCUSDT", "t": 3735683259, "p": "61837.63000000", "q": "0.02000000",
    "T": 1723161255342, "m": True, "M": True,
}  # fmt: skip


REASON_WORDS = {"malformed", "missing", "value", "precision", "unknown_event"}
simple = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(simple, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


def refusal(content):
    """The error that a frame gives, None when it gives a record or a notice."""
    try:
        read(content)
    except CodecError as refused:
        return refused
    return None


def read(content):
    return read_frame(content if isinstance(content, (str, bytes)) else json.dumps(content), 1_700_000_000_000_001, 7)


def test_every_field_of_a_trade():
    expected = Trade(
        message_id="BINANCE:BTCUSDT:3735683259", trade_id="BINANCE-3735683259", symbol="BTCUSDT", exchange="BINANCE",
        asset_class="crypto", timestamp=1723161255342000, price=Decimal("61837.63000000"),
        quantity=Decimal("0.02000000"), currency="USDT", side="SELL", source_sequence=3735683259,
        ingestion_timestamp=1_700_000_000_000_001, platform_sequence=7, trade_conditions=(),
        vendor_data={"event_time": "1723161255343", "best_match": "true"},
    )  # fmt: skip
    assert read(DATA) == expected
    assert read({"stream": "btcusdt@trade", "data": DATA}) == expected
    assert str(expected.price) == "61837.63000000"


@pytest.mark.parametrize(("maker", "side"), [(True, "SELL"), (False, "BUY"), (None, "UNKNOWN")])
def test_the_side_is_the_takers(maker, side):
    assert read({**DATA, "m": maker}).side == side


def test_optional_fields_are_kept():
    assert read({**DATA, "b": 88, "a": 50}).vendor_data == {
        "event_time": "1723161255343", "buyer_order_id": "88", "seller_order_id": "50", "best_match": "true",
    }  # fmt: skip
    assert read({name: value for name, value in DATA.items() if name not in "EmM"}).vendor_data == {}


def test_every_field_of_a_quote():
    data = {"u": 50093239212, "s": "BTCUSDT", "b": "61837.63000000", "B": "3.78826000", "a": "61837.64", "A": "1.5"}
    expected = Quote(
        message_id="BINANCE:BTCUSDT:quote:50093239212", quote_id="BINANCE-50093239212", symbol="BTCUSDT",
        exchange="BINANCE", asset_class="crypto", timestamp=1_700_000_000_000_001, bid_price=Decimal("61837.63000000"),
        bid_quantity=Decimal("3.78826000"), ask_price=Decimal("61837.64"), ask_quantity=Decimal("1.5"),
        currency="USDT", source_sequence=50093239212, ingestion_timestamp=1_700_000_000_000_001, platform_sequence=7,
    )  # fmt: skip
    assert read({"stream": "btcusdt@bookTicker", "data": data}) == expected
    assert read(data) == expected


@pytest.mark.parametrize("content", ['{"result":null,"id":1}', '{"result":["btcusdt@trade"],"id":2}',
                                     '{"e":"serverShutdown","E":1770123456789}'])  # fmt: skip
def test_what_is_no_record_and_no_error_is_a_notice(content):
    assert not read(content).refused


def test_a_refusal_is_a_notice():
    assert read('{"error":{"code":2,"msg":"Invalid request"},"id":1}').refused
    assert isinstance(read('{"code":-1003,"msg":"Too many requests"}'), Notice)


REASONS = {
    "cut off": "malformed", "no json": "malformed", "not unicode": "malformed", "empty": "malformed",
    "null": "malformed", "list": "malformed", "text": "malformed", "no data": "malformed",
    "unknown event": "unknown_event", "no price": "missing", "no number": "missing", "price as number": "value",
    "price in words": "value", "price not a number": "value", "price below zero": "value", "too exact": "precision",
    "too large": "precision", "number in words": "value", "time far away": "value", "maker in words": "value",
    "symbol empty": "value",
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_every_malformed_frame_has_its_reason(name):
    with pytest.raises(CodecError) as refused:
        read(MALFORMED[name])
    assert refused.value.reason == REASONS[name]


@settings(max_examples=100, deadline=None)
@given(anything, st.sampled_from(sorted(DATA)))
def test_any_value_in_any_field_is_read_as_it_is_or_refused(value, field):
    if (refused := refusal({**DATA, field: value})) is not None:
        assert refused.reason in REASON_WORDS
        return
    trade = read({**DATA, field: value})
    if field in ("p", "q"):
        assert (trade.price if field == "p" else trade.quantity) == Decimal(value)
    elif field == "t":
        assert trade.source_sequence == value
    elif field == "e":
        assert value in (None, "trade")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_are_refused_with_a_sentence(content):
    refused = refusal(content)
    assert isinstance(read(content), Notice) if refused is None else str(refused).endswith(".")


@settings(max_examples=100, deadline=None)
@given(st.decimals(0, 10**10 - 1, places=8))
def test_prices_keep_every_digit(price):
    assert read({**DATA, "p": f"{price:f}"}).price == price


def shared_data():
    told = os.environ.get("FULLSPAN_SHARED_DATA")
    places = [Path(told)] if told else [folder.parent / "shared/data" for folder in Path(__file__).parents]
    return next((place for place in places if (place / "market").is_dir()), None)


@pytest.mark.skipif(shared_data() is None, reason="needs the folder of real captures")
def test_odd_symbols_and_prices_of_real_frames():
    path = shared_data() / "market/cryptofeed_binance_aggtrade_frames.txt"
    seen = 0
    for line in path.read_text().splitlines():
        _, _, frame = line.partition(": ")
        data = json.loads(frame)["data"]
        with pytest.raises(CodecError, match="aggTrade") as refused:
            read(frame)
        assert refused.value.reason == "unknown_event"
        trade = read({**data, "e": "trade", "t": data["a"], "a": None})
        assert (str(trade.price), str(trade.quantity), trade.symbol) == (data["p"], data["q"], data["s"])
        assert trade.currency != "UNKNOWN"
        seen += 1
    assert seen > 90


@pytest.mark.skipif(shared_data() is None, reason="needs the folder of real captures")
def test_a_real_capture_is_read_to_the_last_digit():
    market = shared_data() / "market"
    for name in ("trades_20240808_BTCUSDT_ETHUSDT", "bookTicker_20240808_first20k"):
        for place, (_, event) in enumerate(read_capture(market / f"binance_spot_{name}.ndjson.gz")):
            if place % 10:
                continue
            record = read(f'{{"stream":"{event.stream}","data":{event.payload()}}}')
            if isinstance(event, Traded):
                assert (str(record.price), str(record.quantity)) == (event.price, event.quantity)
                assert (record.timestamp, record.source_sequence) == (event.time * 1000, event.number)
                assert record.side == ("SELL" if event.maker else "BUY")
            else:
                assert isinstance(event, Quoted)
                assert (str(record.bid_price), str(record.ask_quantity)) == (event.bid, event.ask_quantity)
