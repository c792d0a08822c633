"""A client of K2's query API that blocks; `AsyncK2Client` has the same calls for asynchronous code."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeVar, Unpack

import httpx

from fullspan.clients import k2_calls as calls
from fullspan.clients.call import http_options
from fullspan.clients.k2_answers import K2Health, Page, Quote, Readiness, Trade
from fullspan.clients.metrics import Metrics
from fullspan.clients.typed_http import TypedHttp

T = TypeVar("T")


class K2Client(TypedHttp):
    """A client that blocks. What goes wrong is a `ClientError`, which says it in a sentence.

    `key` is the API key. Every call only reads, so one that failed is repeated up to `retries` times; readiness, which
    may be 503 for long, is told at once. `raw` sends anything, once, for what a typed call cannot say.
    """

    def __init__(self, base_url: str, key: str | None = None, *, timeout_s: float = 10.0, retries: int = 2) -> None:
        super().__init__(httpx.Client(**http_options(base_url, timeout_s, calls.key_header(key))), retries)

    def health(self) -> K2Health:
        """Tell how the API is."""
        return self._run(calls.health())

    def live(self) -> None:
        """Return when the process answers."""
        return self._run(calls.live())

    def ready(self) -> Readiness:
        """Tell whether data are fresh and all that the API needs is there."""
        return self._run(calls.ready())

    def metrics(self) -> Metrics:
        """Give the API's figures."""
        return self._run(calls.metrics())

    def trades(self, **choice: Unpack[calls.Choice]) -> Page[Trade]:
        """Give trades of the table."""
        return self._run(calls.trades(choice))

    def quotes(self, **choice: Unpack[calls.Choice]) -> Page[Quote]:
        """Give quotes of the table."""
        return self._run(calls.quotes(choice))

    def recent(self, **choice: Unpack[calls.Choice]) -> Page[Trade]:
        """Give the newest trades, those that no table holds yet included."""
        return self._run(calls.recent(choice))

    def symbols(self) -> Page[calls.Row]:
        """List what is traded."""
        return self._run(calls.symbols())

    def stats(self) -> calls.Row:
        """Tell how much there is of everything."""
        return self._run(calls.stats())

    def summary(self, symbol: str, day: date) -> calls.Row:
        """Give one UTC day of a symbol."""
        return self._run(calls.summary(symbol, day))

    def candles(self, frame: calls.Frame, **choice: Unpack[calls.Choice]) -> Page[calls.Row]:
        """Give candles of a symbol."""
        return self._run(calls.candles(frame, choice))

    def candles_of_several(self, document: Mapping[str, Any]) -> calls.Row:
        """Give candles of several symbols or frames at once."""
        return self._run(calls.candles_of_several(document))

    def query(self, table: str, **body: Any) -> Page[calls.Row]:
        """Give rows of a table; `k2_calls.query_document` has `columns`, `filters`, `order_by` and `limit`."""
        return self._run(calls.query(calls.query_document(table, **body)))

    def query_file(self, table: str, form: calls.Format, **body: Any) -> bytes:
        """Give the same rows as a file: CSV, Parquet, or an Arrow stream."""
        return self._run(calls.query_file(calls.query_document(table, **body), form))

    def every_trade(self, page: int = 10_000, **choice: Unpack[calls.Choice]) -> Sequence[Trade]:
        """Give all trades of a choice, page by page, newest first; what is stored meanwhile can shift the pages."""
        found: list[Trade] = []
        while True:
            choice["limit"], choice["offset"] = page, len(found)
            rows = self.trades(**choice).rows
            found.extend(rows)
            if len(rows) < page:
                return found
