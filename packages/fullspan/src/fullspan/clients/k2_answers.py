"""What K2's query API answers, typed; the document as it came is kept beside what is picked from it.

Prices and quantities come as text and become `Decimal`: no digit passes through a float. Times are UTC.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade; `price` in `currency` per unit, `quantity` in units, `source_sequence` the exchange's own number."""

    message_id: str
    trade_id: str
    symbol: str
    exchange: str
    timestamp: datetime
    price: Decimal
    quantity: Decimal
    currency: str
    side: str
    source_sequence: int
    document: Mapping[str, Any]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Pick the fields from a row."""
        return cls(
            message_id=str(document["message_id"]),
            trade_id=str(document["trade_id"]),
            symbol=str(document["symbol"]),
            exchange=str(document["exchange"]),
            timestamp=time_of(document["timestamp"]),
            price=exactly(document["price"]),
            quantity=exactly(document["quantity"]),
            currency=str(document["currency"]),
            side=str(document["side"]),
            source_sequence=int(document["source_sequence"]),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class Quote:
    """The best bid and ask at one moment; prices in `currency` per unit, quantities in units."""

    message_id: str
    symbol: str
    exchange: str
    timestamp: datetime
    bid_price: Decimal
    bid_quantity: Decimal
    ask_price: Decimal
    ask_quantity: Decimal
    source_sequence: int
    document: Mapping[str, Any]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Pick the fields from a row."""
        return cls(
            message_id=str(document["message_id"]),
            symbol=str(document["symbol"]),
            exchange=str(document["exchange"]),
            timestamp=time_of(document["timestamp"]),
            bid_price=exactly(document["bid_price"]),
            bid_quantity=exactly(document["bid_quantity"]),
            ask_price=exactly(document["ask_price"]),
            ask_quantity=exactly(document["ask_quantity"]),
            source_sequence=int(document["source_sequence"]),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of rows, newest first unless another order was asked for; `pagination` and `meta` as they came."""

    rows: tuple[T, ...]
    pagination: Mapping[str, Any]
    meta: Mapping[str, Any]

    @classmethod
    def reader(cls, row: Callable[[Mapping[str, Any]], T]) -> "Callable[[Mapping[str, Any]], Page[T]]":
        """Return what reads a page of such rows from an answer."""

        def read(document: Mapping[str, Any]) -> "Page[T]":
            rows = tuple(row(each) for each in document["data"])
            return Page(rows, document.get("pagination") or {}, document.get("meta") or {})

        return read


@dataclass(frozen=True, slots=True)
class K2Health:
    """How the API says that it is, and the state of each dependency."""

    status: str
    version: str
    timestamp: datetime
    dependencies: Mapping[str, Any]
    document: Mapping[str, Any]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Pick the fields from an answer."""
        return cls(
            status=str(document["status"]),
            version=str(document["version"]),
            timestamp=time_of(document["timestamp"]),
            dependencies=dict(document["dependencies"]),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the API's data are fresh and all that it needs is there: the `status` 200 or 503, and the document."""

    status: int
    document: Mapping[str, Any]

    @property
    def ready(self) -> bool:
        """True when the answer was 200."""
        return self.status == 200


def exactly(value: object) -> Decimal:
    """Read a decimal from its text. Raises TypeError for a number, whose last digits are gone already."""
    if not isinstance(value, str):
        raise TypeError(f"a decimal must come as text, not as {value!r}")
    return Decimal(value)


def time_of(value: object) -> datetime:
    """Read a UTC time from ISO text. Raises ValueError for one that does not say that it is UTC."""
    time = datetime.fromisoformat(str(value))
    offset = time.utcoffset()
    if offset is None or offset:
        raise ValueError(f"{value!r} does not say that it is UTC")
    return time
