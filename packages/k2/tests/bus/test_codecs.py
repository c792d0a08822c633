"""What is written is read back to the last digit, in bulk as one by one; what is damaged is rejected, alone."""

import struct
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2.bus import Codec
from k2.errors import CodecError
from k2.schema import ASSET_CLASSES, QUOTE, SIDES, TRADE, Quote, Trade, trade_message_id

TRADES, QUOTES = Codec(TRADE), Codec(QUOTE)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
micros = st.integers(-(2**50), 2**52)
longs = st.integers(-(2**63), 2**63 - 1)
marks = st.lists(text, max_size=3).map(tuple)
vendor = st.dictionaries(text, text, max_size=3)


def decimals(precision):
    bound = 10**precision - 1
    return st.integers(-bound, bound).map(lambda number: Decimal(number).scaleb(-8))


trades = st.builds(
    Trade,
    *[text] * 4,
    st.sampled_from(ASSET_CLASSES),
    micros,
    decimals(18),
    decimals(28),
    text,
    st.sampled_from(SIDES),
    st.none() | longs,
    micros,
    longs,
    marks,
    vendor,
)
quotes = st.builds(
    Quote,
    *[text] * 4,
    st.sampled_from(ASSET_CLASSES),
    micros,
    decimals(18),
    decimals(28),
    decimals(18),
    decimals(28),
    text,
    st.none() | longs,
    micros,
    longs,
    marks,
    vendor,
)


def trade(number=1, **changes):
    made = Trade(
        trade_message_id("BINANCE", "BTCUSDT", number),
        f"BINANCE-{number}",
        "BTCUSDT",
        "BINANCE",
        "crypto",
        1723161255342000,
        Decimal("61837.63000000"),
        Decimal("0.02000000"),
        "USDT",
        "SELL",
        number,
        1723161255343001,
        7,
    )
    return replace(made, **changes)


def as_row(record):
    """The row that a record must become, made without the code that is tested."""
    row = asdict(record)
    for name in ("timestamp", "ingestion_timestamp"):
        row[name] = EPOCH + timedelta(microseconds=row[name])
    return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}


def rows(table):
    table.validate(full=True)
    return table.to_pylist(maps_as_pydicts="strict")


@settings(max_examples=60, deadline=None)
@given(st.lists(trades, max_size=12))
def test_trades_come_back_as_they_were(written):
    decoded = TRADES.decode([TRADES.encode(one) for one in written])
    assert decoded.rejected == ()
    assert decoded.table.schema == TRADE.arrow()
    assert rows(decoded.table) == [as_row(one) for one in written]


@settings(max_examples=30, deadline=None)
@given(st.lists(quotes, max_size=6))
def test_quotes_come_back_as_they_were(written):
    decoded = QUOTES.decode([QUOTES.encode(one) for one in written])
    assert decoded.rejected == ()
    assert rows(decoded.table) == [as_row(one) for one in written]


@settings(max_examples=150, deadline=None)
@given(st.lists(trades, min_size=1, max_size=4), st.data())
def test_a_damaged_value_is_rejected_alone_or_read_as_the_library_reads_it(written, data):
    values = [TRADES.encode(one) for one in written]
    victim = data.draw(st.integers(0, len(values) - 1))
    whole = values[victim]
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytes([whole[at] ^ 1 << at % 8])
    head, tail = whole[:at], whole[at + 1 :]
    damaged = data.draw(
        st.sampled_from([head, head + tail, head + b"\xff" + whole[at:], head + flipped + tail, whole + b"\0"])
    )
    values[victim] = damaged
    decoded = TRADES.decode(values)
    good = [as_row(one) for one in written]
    if decoded.rejected:
        assert [one.index for one in decoded.rejected] == [victim]
        del good[victim]
    else:
        good[victim] = TRADES.decode_one(damaged)
    assert rows(decoded.table) == good


def test_the_prefix_is_that_of_single_objects():
    # The fingerprint by its definition in the Avro specification, bit by bit.
    empty = 0xC15D213AA4D7A795
    crc = empty
    for byte in TRADES._canonical.encode():
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (empty & -(crc & 1))
    assert TRADES.encode(trade())[:10] == b"\xc3\x01" + struct.pack("<Q", crc)


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"price": Decimal("9999999999.99999999")}, True),
        ({"price": Decimal("10000000000")}, False),
        ({"price": Decimal("-9999999999.99999999")}, True),
        ({"price": Decimal("0.000000001")}, False),
        ({"price": Decimal("1E+30")}, False),
        ({"price": Decimal("NaN")}, False),
        ({"quantity": Decimal("99999999999999999999.99999999")}, True),
        ({"quantity": Decimal("100000000000000000000")}, False),
    ],
)
def test_a_number_fits_or_is_refused_never_rounded(changes, fits):
    if fits:
        assert rows(TRADES.decode([TRADES.encode(trade(**changes))]).table) == [as_row(trade(**changes))]
        return
    with pytest.raises(CodecError) as refused:
        TRADES.encode(trade(**changes))
    assert refused.value.reason == "precision"


@pytest.mark.parametrize("number", [10**18, -(10**18), 2**63, 2**100, -(2**127), 2**200])
def test_a_number_of_another_writer_that_does_not_fit_is_rejected(number):
    whole = TRADES.encode(trade())
    price = (6183763000000).to_bytes(6, "big")
    foreign = number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)
    values = [whole, whole.replace(b"\x0c" + price, bytes([2 * len(foreign)]) + foreign), whole]
    assert len(values[1]) == len(whole) - len(price) + len(foreign)
    decoded = TRADES.decode(values)
    assert [(one.index, one.reason) for one in decoded.rejected] == [(1, "precision")]
    assert rows(decoded.table) == [as_row(trade())] * 2


def test_each_value_that_is_none_has_its_reason():
    good = TRADES.encode(trade())
    values = [good, None, b"", b"{}", b"\xc3\x01" + bytes(8) + b"x", b"\x00\x00\x00\x00\x07x", good[:-1], good]
    decoded = TRADES.decode(values)
    assert [(one.index, one.reason) for one in decoded.rejected] == [
        (1, "empty"), (2, "empty"), (3, "malformed"), (4, "unknown_schema"), (5, "unknown_schema"), (6, "malformed"),
    ]  # fmt: skip
    assert rows(decoded.table) == [as_row(trade())] * 2
    assert decoded.rejected[3].sentence == "A Trade has the unknown schema fingerprint 0000000000000000."


def test_nothing_is_an_empty_table():
    decoded = TRADES.decode([])
    assert (decoded.table.num_rows, decoded.table.schema, decoded.rejected) == (0, TRADE.arrow(), ())


class Numbers:
    """Schemas with numbers, in memory."""

    def __init__(self):
        self.schemas = []

    def register(self, subject, schema):
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1

    def schema(self, number):
        if not 0 < number <= len(self.schemas):
            raise CodecError("unknown_schema", f"There is no schema {number}.")
        return self.schemas[number - 1]


def older_schema():
    schema = TRADE.avro()
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "source_sequence"]
    return schema


def test_both_forms_and_older_schemas_are_read_in_one_batch_in_order():
    import json
    from io import BytesIO

    import fastavro

    registry = Numbers()
    number = registry.register("x", json.dumps(older_schema()))
    codec = Codec(TRADE, registry)
    framed = codec.encode(trade(2))
    assert framed[:5] == b"\x00" + (number + 1).to_bytes(4, "big")
    single = TRADES.encode(trade(3))
    out = BytesIO()
    row = {**asdict(trade(4)), "trade_conditions": []}
    del row["source_sequence"]
    fastavro.schemaless_writer(out, older_schema(), row)
    older = b"\x00" + number.to_bytes(4, "big") + out.getvalue()
    decoded = codec.decode([older, framed, single, b"\x00\x00\x00\x00\x63x", single, framed])
    # A column that the older schema lacks cannot be made up: Avro's rules ask for a default then.
    assert [(one.index, one.reason) for one in decoded.rejected] == [(0, "malformed"), (3, "unknown_schema")]
    assert rows(decoded.table) == [as_row(trade(one)) for one in (2, 3, 3, 2)]


def test_an_added_column_of_another_version_is_left_out():
    from io import BytesIO

    import fastavro

    newer = TRADE.avro()
    newer["fields"].append({"name": "venue", "type": "string"})
    codec = Codec(TRADE, older=[newer])
    out = BytesIO()
    fastavro.schemaless_writer(out, newer, {**asdict(trade(4)), "trade_conditions": [], "venue": "spot"})
    head = Codec(TRADE).prefix
    foreign = b"\xc3\x01" + next(iter(codec._older)) + out.getvalue()
    assert foreign[:10] != head
    values = [TRADES.encode(trade(1)), foreign, TRADES.encode(trade(2))]
    assert rows(codec.decode(values).table) == [as_row(trade(one)) for one in (1, 4, 2)]
    assert [one.reason for one in TRADES.decode(values).rejected] == ["unknown_schema"]
