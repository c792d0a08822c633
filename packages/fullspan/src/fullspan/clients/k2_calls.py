"""The calls of K2's query API as values: what to send and how to read the answer, without doing either."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal, TypeAlias, TypedDict
from urllib.parse import quote

import httpx

from fullspan.clients.call import Call, T
from fullspan.clients.k2_answers import K2Health, Page, Quote, Readiness, Trade
from fullspan.clients.metrics import Metrics

Row: TypeAlias = Mapping[str, Any]
Frame: TypeAlias = Literal["1m", "5m", "30m", "1h", "1d"]
Format: TypeAlias = Literal["csv", "parquet", "arrow"]

_READ: Final = frozenset({200})


class Choice(TypedDict, total=False):
    """Which rows: of one symbol or exchange, from `start` to `end` (aware times), which part of them in which order."""

    symbol: str
    exchange: str
    start: datetime
    end: datetime
    limit: int
    offset: int
    order_by: str
    table_type: str


def key_header(key: str | None) -> dict[str, str]:
    """Return the header that says who asks."""
    return {} if key is None else {"X-API-Key": key}


def health() -> Call[K2Health]:
    """Ask how the API is."""
    return Call("GET", "/health", lambda r: K2Health.read(r.json()))


def live() -> Call[None]:
    """Ask whether the process answers."""
    return Call("GET", "/health/live", lambda _: None)


def ready() -> Call[Readiness]:
    """Ask whether data are fresh; that they are not is an answer, too."""
    read: Callable[[httpx.Response], Readiness] = lambda r: Readiness(r.status_code, r.json())  # noqa: E731
    return Call("GET", "/health/ready", read, expected=frozenset({200, 503}))


def metrics() -> Call[Metrics]:
    """Ask for the API's figures."""
    return Call("GET", "/metrics", lambda r: Metrics.read(r.text))


def trades(choice: Choice) -> Call[Page[Trade]]:
    """Ask for trades."""
    return _rows("/v1/trades", Trade.read, choice)


def quotes(choice: Choice) -> Call[Page[Quote]]:
    """Ask for quotes."""
    return _rows("/v1/quotes", Quote.read, choice)


def recent(choice: Choice) -> Call[Page[Trade]]:
    """Ask for the newest trades, those that no table holds yet included."""
    return _rows("/v1/trades/recent", Trade.read, choice)


def symbols() -> Call[Page[Row]]:
    """Ask for what is traded."""
    return _rows("/v1/symbols", _as_it_is, {})


def stats() -> Call[Row]:
    """Ask how much there is of everything."""
    return Call("GET", "/v1/stats", lambda r: _data(r))


def summary(symbol: str, day: date) -> Call[Row]:
    """Ask for one day of a symbol."""
    return Call("GET", f"/v1/summary/{quote(symbol, safe='')}/{day.isoformat()}", lambda r: _data(r))


def candles(frame: Frame, choice: Choice) -> Call[Page[Row]]:
    """Ask for the candles of a symbol."""
    return _rows(f"/v1/ohlcv/{frame}", _as_it_is, choice)


def candles_of_several(document: Mapping[str, Any]) -> Call[Row]:
    """Ask for candles of several symbols or frames at once."""
    return Call("POST", "/v1/ohlcv/batch", lambda r: r.json(), document)


def query(document: Mapping[str, Any]) -> Call[Page[Row]]:
    """Ask with a structured body, for rows as JSON."""
    return Call("POST", "/v1/query", lambda r: Page.reader(_as_it_is)(r.json()), {**document, "format": "json"})


def query_file(document: Mapping[str, Any], form: Format) -> Call[bytes]:
    """Ask with a structured body, for a file."""
    return Call("POST", "/v1/query", lambda r: r.content, {**document, "format": form})


def query_document(
    table: str,
    *,
    columns: Sequence[str] | None = None,
    filters: Sequence[Mapping[str, Any]] | None = None,
    order_by: Sequence[Mapping[str, str]] | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Write the body of POST /v1/query; what is left out has the server's default."""
    document = {"table": table, "columns": columns, "filters": filters, "order_by": order_by, "limit": limit}
    return {name: value for name, value in document.items() if value is not None}


def _rows(path: str, read: Callable[[Row], T], choice: Choice) -> Call[Page[T]]:
    return Call("GET", path, lambda r: Page.reader(read)(r.json()), expected=_READ, query=_query(choice))


def _query(choice: Choice) -> dict[str, str]:
    """Write a choice as the query of a URL. Raises ValueError for a time without its zone."""
    names = {"start": "start_time", "end": "end_time"}
    return {names.get(name, name): _text(name, value) for name, value in choice.items() if value is not None}


def _text(name: str, value: object) -> str:
    if not isinstance(value, datetime):
        return str(value)
    if value.utcoffset() is None:
        raise ValueError(f"{name} is {value.isoformat()}, which does not say in which zone")
    return value.isoformat()


def _as_it_is(row: Row) -> Row:
    return row


def _data(response: httpx.Response) -> Row:
    return dict(response.json()["data"])
