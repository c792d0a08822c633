"""A client of K2's query API for asynchronous code; `K2Client` is the one that blocks."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Self, TypeVar, Unpack

import anyio
import httpx

from fullspan.clients import k2_calls as calls
from fullspan.clients.focus_attempts import Attempts, Outcome, failure
from fullspan.clients.focus_calls import Call, http_options
from fullspan.clients.focus_metrics import Metrics
from fullspan.clients.k2_answers import K2Health, Page, Quote, Readiness, Trade

T = TypeVar("T")


class AsyncK2Client:
    """The same client for asynchronous code. What goes wrong is a `ClientError`, which says it in a sentence.

    `key` is the API key. Every call only reads, so one that failed is repeated up to `retries` times; readiness, which
    may be 503 for long, is told at once. `raw` sends anything, once, for what a typed call cannot say.
    """

    def __init__(self, base_url: str, key: str | None = None, *, timeout_s: float = 10.0, retries: int = 2) -> None:
        self._http = httpx.AsyncClient(**http_options(base_url, timeout_s, calls.key_header(key)))
        self._retries = retries

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def raw(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request as it is, once."""
        return await self._http.request(method, path, **options)

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

    async def _run(self, call: Call[T]) -> T:
        attempts = Attempts(call, self._retries)
        while True:
            outcome = await self._send(call)
            pause_s = attempts.pause_after(outcome)
            if pause_s is None:
                break
            await anyio.sleep(pause_s)
        if isinstance(outcome, httpx.TransportError):
            raise failure(call, outcome) from outcome
        return call.result(attempts.meant(outcome))

    async def _send(self, call: Call[Any]) -> Outcome:
        try:
            return await self._http.request(call.method, call.path, json=call.document, params=call.query)
        except httpx.TransportError as error:
            return error
