"""A client of K2's query API for asynchronous code; `K2Client` is the one that blocks."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeVar, Unpack

import httpx

from fullspan.clients import k2_calls as calls
from fullspan.clients.call import http_options
from fullspan.clients.k2_answers import K2Health, Page, Quote, Readiness, Trade
from fullspan.clients.metrics import Metrics
from fullspan.clients.typed_http import AsyncTypedHttp

T = TypeVar("T")


class AsyncK2Client(AsyncTypedHttp):
    """The same client for asynchronous code. What goes wrong is a `ClientError`, which says it in a sentence.

    `key` is the API key. Every call only reads, so one that failed is repeated up to `retries` times; readiness, which
    may be 503 for long, is told at once. `raw` sends anything, once, for what a typed call cannot say.
    """

    def __init__(self, base_url: str, key: str | None = None, *, timeout_s: float = 10.0, retries: int = 2) -> None:
        super().__init__(httpx.AsyncClient(**http_options(base_url, timeout_s, calls.key_header(key))), retries)

    async def health(self) -> K2Health:
        """Tell how the API is."""
        return await self._run(calls.health())

    async def live(self) -> None:
        """Return when the process answers."""
        return await self._run(calls.live())

    async def ready(self) -> Readiness:
        """Tell whether data are fresh and all that the API needs is there."""
        return await self._run(calls.ready())

    async def metrics(self) -> Metrics:
        """Give the API's figures."""
        return await self._run(calls.metrics())

    async def trades(self, **choice: Unpack[calls.Choice]) -> Page[Trade]:
        """Give trades of the table."""
        return await self._run(calls.trades(choice))

    async def quotes(self, **choice: Unpack[calls.Choice]) -> Page[Quote]:
        """Give quotes of the table."""
        return await self._run(calls.quotes(choice))

    async def recent(self, **choice: Unpack[calls.Choice]) -> Page[Trade]:
        """Give the newest trades, those that no table holds yet included."""
        return await self._run(calls.recent(choice))

    async def symbols(self) -> Page[calls.Row]:
        """List what is traded."""
        return await self._run(calls.symbols())

    async def stats(self) -> calls.Row:
        """Tell how much there is of everything."""
        return await self._run(calls.stats())

    async def summary(self, symbol: str, day: date) -> calls.Row:
        """Give one UTC day of a symbol."""
        return await self._run(calls.summary(symbol, day))

    async def candles(self, frame: calls.Frame, **choice: Unpack[calls.Choice]) -> Page[calls.Row]:
        """Give candles of a symbol."""
        return await self._run(calls.candles(frame, choice))

    async def candles_of_several(self, document: Mapping[str, Any]) -> calls.Row:
        """Give candles of several symbols or frames at once."""
        return await self._run(calls.candles_of_several(document))

    async def query(self, table: str, **body: Any) -> Page[calls.Row]:
        """Give rows of a table; `k2_calls.query_document` has `columns`, `filters`, `order_by` and `limit`."""
        return await self._run(calls.query(calls.query_document(table, **body)))

    async def query_file(self, table: str, form: calls.Format, **body: Any) -> bytes:
        """Give the same rows as a file: CSV, Parquet, or an Arrow stream."""
        return await self._run(calls.query_file(calls.query_document(table, **body), form))

    async def every_trade(self, page: int = 10_000, **choice: Unpack[calls.Choice]) -> Sequence[Trade]:
        """Give all trades of a choice, page by page, newest first; what is stored meanwhile can shift the pages."""
        found: list[Trade] = []
        while True:
            choice["limit"], choice["offset"] = page, len(found)
            rows = (await self.trades(**choice)).rows
            found.extend(rows)
            if len(rows) < page:
                return found
