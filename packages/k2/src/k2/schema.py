"""Trade and quote, once: what Kafka (Avro), memory (Arrow) and the lake (Iceberg) hold derives from these two.

Times are microseconds since 1970 in UTC. Decimals never pass through a float: prices are decimal(18,8), quantities
decimal(28,8), so that a notional is decimal(38,16).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.schema import Schema as IcebergSchema

__all__ = [
    "ASSET_CLASSES",
    "QUOTE",
    "SIDES",
    "TRADE",
    "Column",
    "Kind",
    "Quote",
    "Record",
    "Trade",
    "quote_message_id",
    "trade_message_id",
]

ASSET_CLASSES: Final = ("equities", "crypto", "futures", "options")
SIDES: Final = ("BUY", "SELL", "SELL_SHORT", "UNKNOWN")


class Kind(StrEnum):
    """What a column holds, whatever the form."""

    TEXT = "text"
    CHOICE = "choice"
    MICROS = "micros"
    DECIMAL = "decimal"
    LONG = "long"
    TEXTS = "texts"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, kind and meaning; a `nullable` one may be without a value."""

    name: str
    kind: Kind
    doc: str
    nullable: bool = False
    precision: int = 0
    scale: int = 0
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """A kind of record: its columns in order, and its three forms."""

    name: str
    columns: tuple[Column, ...]

    def avro(self) -> dict[str, Any]:
        """Return the Avro schema."""
        made = [{"name": column.name, "type": _avro_type(column), "doc": column.doc} for column in self.columns]
        return {"type": "record", "name": self.name, "namespace": "k2", "fields": made}

    def arrow(self) -> pa.Schema:
        """Return the Arrow schema; what is not nullable is so there too."""
        return _arrow_schema(self)

    def iceberg(self) -> IcebergSchema:
        """Return the Iceberg schema, its field ids counted from 1 in the order of the columns."""
        return _iceberg_schema(self)


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade. `timestamp` is the exchange's time; both times are microseconds since 1970, UTC."""

    message_id: str
    trade_id: str
    symbol: str
    exchange: str
    asset_class: str
    timestamp: int
    price: Decimal
    quantity: Decimal
    currency: str
    side: str
    source_sequence: int | None
    ingestion_timestamp: int
    platform_sequence: int
    trade_conditions: tuple[str, ...] = ()
    vendor_data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quote:
    """The best bid and ask of a symbol; both times are microseconds since 1970, UTC."""

    message_id: str
    quote_id: str
    symbol: str
    exchange: str
    asset_class: str
    timestamp: int
    bid_price: Decimal
    bid_quantity: Decimal
    ask_price: Decimal
    ask_quantity: Decimal
    currency: str
    source_sequence: int | None
    ingestion_timestamp: int
    platform_sequence: int
    quote_conditions: tuple[str, ...] = ()
    vendor_data: Mapping[str, str] = field(default_factory=dict)


def trade_message_id(exchange: str, symbol: str, trade_id: int) -> str:
    """Return the id of a trade's message: the same trade has the same one, whoever reads it how often."""
    return f"{exchange}:{symbol}:{trade_id}"


def quote_message_id(exchange: str, symbol: str, update_id: int) -> str:
    """Return the id of a quote's message."""
    return f"{exchange}:{symbol}:quote:{update_id}"


def _text(name: str, doc: str) -> Column:
    return Column(name, Kind.TEXT, doc)


def _price(name: str, doc: str) -> Column:
    return Column(name, Kind.DECIMAL, doc, precision=18, scale=8)


def _quantity(name: str, doc: str) -> Column:
    return Column(name, Kind.DECIMAL, doc, precision=28, scale=8)


_WHERE: Final = (
    _text("symbol", "As the exchange writes it, in upper case."),
    _text("exchange", "In upper case."),
    Column("asset_class", Kind.CHOICE, "What is traded.", choices=ASSET_CLASSES),
)
_ORIGIN: Final = (
    Column("source_sequence", Kind.LONG, "The exchange's own number.", nullable=True),
    Column("ingestion_timestamp", Kind.MICROS, "When the feed received it, by the feed's clock."),
    Column("platform_sequence", Kind.LONG, "The feed's own number; grows with each record of one feed."),
)
_VENDOR: Final = Column("vendor_data", Kind.MAP, "What only this exchange says.")

TRADE: Final = Record(
    "Trade",
    (
        _text("message_id", "EXCHANGE:SYMBOL:ID; the same for the same trade."),
        _text("trade_id", "EXCHANGE-ID."),
        *_WHERE,
        Column("timestamp", Kind.MICROS, "When the exchange says that it was traded."),
        _price("price", "In units of the currency."),
        _quantity("quantity", "In units of what is traded."),
        _text("currency", "Of the price."),
        Column("side", Kind.CHOICE, "Of the taker.", choices=SIDES),
        *_ORIGIN,
        Column("trade_conditions", Kind.TEXTS, "The exchange's marks, mostly none."),
        _VENDOR,
    ),
)
QUOTE: Final = Record(
    "Quote",
    (
        _text("message_id", "EXCHANGE:SYMBOL:quote:ID; the same for the same quote."),
        _text("quote_id", "EXCHANGE-ID."),
        *_WHERE,
        Column("timestamp", Kind.MICROS, "When the exchange says that it held; without a word of it, when it came."),
        _price("bid_price", "In units of the currency."),
        _quantity("bid_quantity", "In units of what is traded."),
        _price("ask_price", "In units of the currency."),
        _quantity("ask_quantity", "In units of what is traded."),
        _text("currency", "Of the prices."),
        *_ORIGIN,
        Column("quote_conditions", Kind.TEXTS, "The exchange's marks, mostly none."),
        _VENDOR,
    ),
)


def _check(record: Record, form: type) -> None:
    assert tuple(entry.name for entry in dataclass_fields(form)) == tuple(  # noqa: S101 - a programming error
        column.name for column in record.columns
    )


_check(TRADE, Trade)
_check(QUOTE, Quote)


def _avro_type(column: Column) -> Any:
    match column.kind:
        case Kind.TEXT:
            made: Any = "string"
        case Kind.CHOICE:
            made = {"type": "enum", "name": column.name, "symbols": list(column.choices)}
        case Kind.MICROS:
            made = {"type": "long", "logicalType": "timestamp-micros"}
        case Kind.DECIMAL:
            made = {"type": "bytes", "logicalType": "decimal", "precision": column.precision, "scale": column.scale}
        case Kind.LONG:
            made = "long"
        case Kind.TEXTS:
            made = {"type": "array", "items": "string"}
        case Kind.MAP:
            made = {"type": "map", "values": "string"}
    return ["null", made] if column.nullable else made


@cache
def _arrow_schema(record: Record) -> pa.Schema:
    import pyarrow as pa

    def form(column: Column) -> pa.DataType:
        match column.kind:
            case Kind.TEXT | Kind.CHOICE:
                return pa.string()
            case Kind.MICROS:
                return pa.timestamp("us", tz="UTC")
            case Kind.DECIMAL:
                return pa.decimal128(column.precision, column.scale)
            case Kind.LONG:
                return pa.int64()
            case Kind.TEXTS:
                return pa.list_(pa.field("element", pa.string(), nullable=False))
            case Kind.MAP:
                return pa.map_(pa.string(), pa.field("value", pa.string(), nullable=False))

    return pa.schema([pa.field(column.name, form(column), nullable=column.nullable) for column in record.columns])


@cache
def _iceberg_schema(record: Record) -> IcebergSchema:
    from pyiceberg import types
    from pyiceberg.schema import Schema as IcebergSchema

    inner = iter(range(len(record.columns) + 1, 10_000))  # ids of what lies inside lists and maps

    def form(column: Column) -> types.IcebergType:
        match column.kind:
            case Kind.TEXT | Kind.CHOICE:
                return types.StringType()
            case Kind.MICROS:
                return types.TimestamptzType()
            case Kind.DECIMAL:
                return types.DecimalType(column.precision, column.scale)
            case Kind.LONG:
                return types.LongType()
            case Kind.TEXTS:
                return types.ListType(element_id=next(inner), element=types.StringType(), element_required=True)
            case Kind.MAP:
                return types.MapType(
                    key_id=next(inner),
                    key_type=types.StringType(),
                    value_id=next(inner),
                    value_type=types.StringType(),
                    value_required=True,
                )

    return IcebergSchema(
        *(
            types.NestedField(number, column.name, form(column), required=not column.nullable, doc=column.doc)
            for number, column in enumerate(record.columns, 1)
        )
    )
