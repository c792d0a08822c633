"""What a trade must look like at each hop, told from the exchange's own frame; nothing here knows the pipeline's code.

A trade is compared by one text of all its fields, exact to the last digit: whoever carries the same trade has the same
text. Schemas are the published ones, `trade.avsc` and `quote.avsc`.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa

from fullspan.clients import Trade
from fullspan.ledger import Moment, Observation
from fullspan.ledger.hops import KafkaRecord

EXCHANGE = "BINANCE"
CURRENCIES = ("USDT", "USDC", "BUSD", "BTC", "ETH")
PLAIN_DECIMAL = re.compile(r"\d{1,10}(\.\d{1,8})?")
LATEST_MS = 4_102_444_800_000
"""The year 2100."""
SINGLE_OBJECT = b"\xc3\x01"
REGISTERED = b"\x00"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

COLUMNS = (
    "message_id", "trade_id", "symbol", "exchange", "asset_class", "timestamp", "price", "quantity", "currency", "side",
    "source_sequence",
)  # fmt: skip
"""The columns of a trade that the exchange alone decides."""

EXACT_TYPES = {
    "timestamp": pa.timestamp("us", tz="UTC"),
    "ingestion_timestamp": pa.timestamp("us", tz="UTC"),
    "price": pa.decimal128(18, 8),
    "quantity": pa.decimal128(28, 8),
    "source_sequence": pa.int64(),
    "platform_sequence": pa.int64(),
}
"""What must not become anything less exact on its way."""

TRADE_SCHEMA = fastavro.parse_schema(json.loads((Path(__file__).parent / "trade.avsc").read_text(encoding="utf-8")))


def key_of(symbol: str, number: int) -> str:
    """Name a trade in the ledger."""
    return f"{EXCHANGE}/{symbol}/{number}"


def content(row: Mapping[str, Any]) -> str:
    """Write all that is compared of a trade as one text; `timestamp` is aware, decimals are exact."""
    return "|".join([exact(row[name]) for name in COLUMNS])


def exact(value: object) -> str:
    """Write a value so that equal ones have equal texts and different ones different ones."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def currency_of(symbol: str) -> str:
    """Tell in what a symbol is priced."""
    return next(currency for currency in CURRENCIES if symbol.endswith(currency))


def trade_of(frame: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row that a trade's frame must become."""
    number, symbol = int(frame["t"]), str(frame["s"])
    return {
        "message_id": f"{EXCHANGE}:{symbol}:{number}",
        "trade_id": f"{EXCHANGE}-{number}",
        "symbol": symbol,
        "exchange": EXCHANGE,
        "asset_class": "crypto",
        "timestamp": datetime.fromtimestamp(int(frame["T"]) // 1000, UTC).replace(
            microsecond=int(frame["T"]) % 1000 * 1000
        ),
        "price": Decimal(frame["p"]),
        "quantity": Decimal(frame["q"]),
        "currency": currency_of(symbol),
        "side": "SELL" if frame["m"] else "BUY",
        "source_sequence": number,
    }


def observed(hop: str, row: Mapping[str, Any], moment: Moment, not_before_ns: int | None = None) -> Observation:
    """Note a trade at a hop."""
    number = int(row["source_sequence"])
    attributes = {} if not_before_ns is None else {"not_before_ns": not_before_ns}
    return Observation(
        hop=hop,
        key=key_of(row["symbol"], number),
        sequence=number,
        event_ns=(row["timestamp"] - EPOCH) // MICROSECOND * 1_000,
        seen_ns=moment.mono_ns,
        seen_wall_ns=moment.wall_ns,
        digest=content(row),
        attributes=attributes,
    )


def frames_seen(frame: bytes | str, moment: Moment) -> Iterator[Observation]:
    """Note the trade of an exchange's frame; what is no trade, or broken on purpose, is not a trade."""
    found = trade_frame(frame)
    if found is not None:
        yield observed("exchange", trade_of(found), moment)


def trade_frame(frame: bytes | str) -> Mapping[str, Any] | None:
    """Return the trade's own document of a frame, wrapped or bare; None when it is none."""
    try:
        document = json.loads(frame)
    except ValueError:
        return None
    document = document.get("data", document) if isinstance(document, dict) else None
    if not isinstance(document, dict) or document.get("e") != "trade":
        return None
    texts = all(isinstance(document.get(name), str) for name in "spq")
    numbers = all(type(document.get(name)) is int for name in "tT")
    if not (texts and numbers and isinstance(document.get("m"), bool)):
        return None
    exact = all(PLAIN_DECIMAL.fullmatch(document[name]) for name in "pq")
    return document if exact and document["s"].isalnum() and document["T"] < LATEST_MS else None


def kafka_seen(records: Sequence[KafkaRecord], moment: Moment) -> Iterator[Observation]:
    """Note the trades of Kafka's records; one that is none is not a trade, and a trade that became one is missing."""
    for record in records:
        try:
            row = decoded(record.value or b"")
        except ValueError:
            continue
        if record.key != row["symbol"].encode():
            raise ValueError(f"offset {record.offset} of {record.topic}: the key is {record.key!r}, not the symbol")
        yield observed("kafka", row, moment)


def decoded(value: bytes) -> Mapping[str, Any]:
    """Read an Avro value: a single object, or with the number of a registered schema. Raises ValueError."""
    header = 10 if value[:2] == SINGLE_OBJECT else 5 if value[:1] == REGISTERED else 0
    if not header:
        raise ValueError(f"a value begins with {value[:2]!r}, which is neither of the two forms")
    body = io.BytesIO(value[header:])
    try:
        row: Any = fastavro.schemaless_reader(body, TRADE_SCHEMA, None)
    except (EOFError, IndexError, KeyError, OverflowError) as error:
        raise ValueError(f"a value is not of the published schema ({type(error).__name__}: {error})") from error
    if body.read(1):
        raise ValueError("a value is longer than its schema says")
    found: Mapping[str, Any] = row
    return found


def rows_seen(rows: pa.Table, moment: Moment) -> Iterator[Observation]:
    """Note the rows of the Iceberg table."""
    for row in rows.to_pylist():
        yield observed("iceberg", row, moment)


def answers_seen(trades: Iterable[Trade], moment: Moment) -> Iterator[Observation]:
    """Note the rows of the API."""
    for trade in trades:
        yield observed("api", row_of(trade), moment)


def answer_seen(trade: Trade, moment: Moment, not_before_ns: int | None) -> Observation:
    """Note a row of the API's newest ones, and until when it was not there."""
    return observed("api", row_of(trade), moment, not_before_ns)


def row_of(trade: Trade) -> dict[str, Any]:
    """Return an API's trade as a row, the typed fields where there are some."""
    typed = {"timestamp": trade.timestamp, "price": trade.price, "quantity": trade.quantity}
    return {**{name: trade.document[name] for name in COLUMNS}, **typed}
