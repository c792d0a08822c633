"""What an exchange's frame says: a trade, a quote, or a notice; everything else is an error with its reason."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from k2.errors import CodecError
from k2.schema import Quote, Trade, quote_message_id, trade_message_id

__all__ = ["Notice", "read_frame", "read_trade"]

_EXCHANGE: Final = "BINANCE"
# Longest first, where one ends with another.
_CURRENCIES: Final = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "AEUR", "EURI", "DOGE", "BIDR", "IDRT", "BTC", "ETH", "BNB", "TRX",
    "XRP", "DAI", "PAX", "EUR", "GBP", "AUD", "BRL", "TRY", "RUB", "UAH", "ZAR", "PLN", "RON", "ARS", "JPY", "MXN",
    "CZK", "COP", "NGN", "VAI", "DOT", "SOL", "USD",
)  # fmt: skip
_FIRST_MS: Final = 946_684_800_000  # the year 2000
_LAST_MS: Final = 7_258_118_400_000  # the year 2200
_LARGEST: Final = 2**63 - 1
_ABBREVIATED: Final = 80


@dataclass(frozen=True, slots=True)
class Notice:
    """What the exchange says about the connection: the answer to a subscription, a refusal, a farewell."""

    text: str
    refused: bool = False


def read_frame(raw: str | bytes, received: int, sequence: int) -> Trade | Quote | Notice:
    """Read a frame, wrapped or bare, that was received at a time (microseconds since 1970).

    Raises CodecError; `sequence` is the number that the feed gives to the record.
    """
    try:
        content = json.loads(raw, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise CodecError("malformed", f"A frame is no JSON: {error}.") from None
    if not isinstance(content, dict):
        raise CodecError("malformed", "A frame is no JSON object.")
    stream = content.get("stream")
    data = content["data"] if "data" in content and "stream" in content else content
    if not isinstance(data, dict):
        raise CodecError("malformed", "A frame's data are no JSON object.")
    event = data.get("e")
    if event == "trade":
        return read_trade(data, received, sequence)
    if event == "bookTicker" or (event is None and _is_quote(stream, data)):
        return _read_quote(data, received, sequence)
    if event is None and ("result" in data or "error" in data or "code" in data):
        return Notice(json.dumps(data, default=str), refused="result" not in data)
    if event == "serverShutdown":
        return Notice("The exchange is about to hang up.")
    if event is None:
        raise CodecError("missing", "A frame names no event, in e.")
    raise CodecError("unknown_event", f"A frame is of the event {str(event)[:_ABBREVIATED]!r}, which is not known.")


def read_trade(data: dict[str, Any], received: int, sequence: int) -> Trade:
    """Read the data of a trade; raises CodecError."""
    symbol = _symbol(data)
    number = _whole(data, "t", 0, _LARGEST)
    maker = data.get("m")
    if maker is not None and not isinstance(maker, bool):
        raise CodecError("value", "A trade's m is neither true nor false.")
    vendor: dict[str, str] = {}
    if "E" in data:
        vendor["event_time"] = str(_whole(data, "E", 0, _LARGEST))
    for field, name in (("b", "buyer_order_id"), ("a", "seller_order_id")):
        if data.get(field) is not None:
            vendor[name] = str(_whole(data, field, -_LARGEST, _LARGEST))
    if isinstance(data.get("M"), bool):
        vendor["best_match"] = "true" if data["M"] else "false"
    return Trade(
        trade_message_id(_EXCHANGE, symbol, number),
        f"{_EXCHANGE}-{number}",
        symbol,
        _EXCHANGE,
        "crypto",
        _micros(data, "T"),
        _decimal(data, "p", 18),
        _decimal(data, "q", 28),
        _currency(symbol),
        "UNKNOWN" if maker is None else "SELL" if maker else "BUY",
        number,
        received,
        sequence,
        (),
        vendor,
    )


def _read_quote(data: dict[str, Any], received: int, sequence: int) -> Quote:
    symbol = _symbol(data)
    number = _whole(data, "u", 0, _LARGEST)
    time_name = next((name for name in ("T", "E") if name in data), None)
    return Quote(
        quote_message_id(_EXCHANGE, symbol, number),
        f"{_EXCHANGE}-{number}",
        symbol,
        _EXCHANGE,
        "crypto",
        received if time_name is None else _micros(data, time_name),
        _decimal(data, "b", 18),
        _decimal(data, "B", 28),
        _decimal(data, "a", 18),
        _decimal(data, "A", 28),
        _currency(symbol),
        number,
        received,
        sequence,
    )


def _is_quote(stream: object, data: dict[str, Any]) -> bool:
    return (isinstance(stream, str) and stream.endswith("@bookTicker")) or data.keys() >= {"u", "s", "b", "B", "a", "A"}


def _given(data: dict[str, Any], name: str) -> Any:
    if name not in data:
        raise CodecError("missing", f"A frame lacks {name}.")
    return data[name]


def _symbol(data: dict[str, Any]) -> str:
    symbol = _given(data, "s")
    if not isinstance(symbol, str) or not 0 < len(symbol) <= 32 or not symbol.isprintable():
        raise CodecError("value", f"A frame's symbol cannot be {str(symbol)[:_ABBREVIATED]!r}.")
    return symbol.upper()


def _whole(data: dict[str, Any], name: str, low: int, high: int) -> int:
    value = _given(data, name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise CodecError("value", f"A frame's {name} cannot be {str(value)[:_ABBREVIATED]!r}.")
    return value


def _micros(data: dict[str, Any], name: str) -> int:
    """Read a time in milliseconds, or in microseconds where the exchange was asked for those."""
    value = _whole(data, name, 0, _LARGEST)
    for unit in (1000, 1):
        if _FIRST_MS * 1000 <= value * unit <= _LAST_MS * 1000:
            return value * unit
    raise CodecError("value", f"A frame's {name}, {value}, is no time of this age.")


def _decimal(data: dict[str, Any], name: str, precision: int) -> Decimal:
    """Read a decimal written as text; with more than 8 digits behind the point, or too many before, it does not fit."""
    text = _given(data, name)
    whole, _, rest = text.partition(".") if isinstance(text, str) else ("", "", "")
    if not (whole.isascii() and whole.isdigit()) or (rest and not (rest.isascii() and rest.isdigit())):
        raise CodecError("value", f"A frame's {name} is no decimal number in text: {str(text)[:_ABBREVIATED]!r}.")
    if len(rest.rstrip("0")) > 8 or len(whole.lstrip("0")) > precision - 8:
        raise CodecError("precision", f"A frame's {name}, {text[:_ABBREVIATED]}, does not fit decimal({precision},8).")
    return Decimal(f"{whole}.{rest[:8]}" if rest else whole)


def _currency(symbol: str) -> str:
    return next((name for name in _CURRENCIES if symbol.endswith(name) and len(symbol) > len(name)), "UNKNOWN")
