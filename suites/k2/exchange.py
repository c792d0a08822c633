"""The local exchange from outside: what it has traded, which is the truth, and what it shall do wrong."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.sync.client import connect

from fullspan.clients.call import http_options
from suites.k2.records import trade_of

PAGE = 1000
ANSWER_S = 60.0
"""It may be told to do more than a busy machine can."""
LONGEST_BURST_S = 600.0


class Exchange:
    """Asks and commands the exchange at `url` (http://...)."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(**http_options(url, ANSWER_S, {}))
        self._control = f"ws://{urlsplit(url).netloc}/control"

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def state(self) -> dict[str, Any]:
        """Tell what it has traded and what it does wrong."""
        answer = self._http.get("/state")
        answer.raise_for_status()
        state: dict[str, Any] = answer.json()
        return state

    def last(self) -> dict[str, int]:
        """Give the number of the newest trade of each symbol."""
        return {symbol: int(bounds["last"]) for symbol, bounds in self.state()["symbols"].items()}

    def trades(self, symbol: str, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Yield the rows that trades first to last, both included, must become."""
        while first <= last:
            query = {"symbol": symbol, "fromId": str(first), "limit": str(min(PAGE, last - first + 1))}
            answer = self._http.get("/api/v3/historicalTrades", params=query)
            answer.raise_for_status()
            page = answer.json()
            if not page:
                raise LookupError(f"the exchange has no trades of {symbol} from {first} on")
            for trade in page:
                frame = {"s": symbol, "t": trade["id"], "p": trade["price"], "q": trade["qty"], "T": trade["time"]}
                yield trade_of({**frame, "m": trade["isBuyerMaker"]})
            first = int(page[-1]["id"]) + 1

    def command(self, method: str, **params: object) -> dict[str, Any]:
        """Tell it to do something; raises RuntimeError when it refuses."""
        with connect(self._control, open_timeout=ANSWER_S, proxy=None) as socket:
            socket.send(json.dumps({"method": method, "params": params, "id": 1}))
            answer = json.loads(socket.recv(ANSWER_S))
        if "error" in answer:
            raise RuntimeError(f"the exchange refuses {method}: {answer['error']['msg']}")
        result: dict[str, Any] = answer["result"]
        return result

    @contextmanager
    def hurrying(self, factor: float) -> Iterator[None]:
        """Have so many times as much happen while the block runs."""
        self.command("burst", factor=factor, seconds=LONGEST_BURST_S)
        try:
            yield
        finally:
            self.command("burst", factor=1, seconds=0)

    @contextmanager
    def doing_wrong(self, **mischief: object) -> Iterator[None]:
        """Have it do something wrong while the block runs."""
        self.command("mischief", **mischief)
        try:
            yield
        finally:
            self.command("mischief", **dict.fromkeys(mischief, 0))
