"""The course of the local exchange when all of it is made up: trades and quotes at the pace of the wall clock."""

import heapq
import itertools
import time
from collections.abc import Iterator
from typing import Final

from k2.feed.exchange.course import Course
from k2.feed.exchange.event import Event, Quoted, Traded
from k2.feed.exchange.history import History
from k2.feed.exchange.simulation import OrderFlow

__all__ = ["Simulated"]

_BEHIND_S: Final = 1.0
"""What could not be made up in time, because the machine was too busy or stood still, does not all happen later."""


class Simulated(Course):
    """Trades that are made up, after those that `history` has; quotes beside them at their own rate."""

    def __init__(
        self, history: History, symbols: tuple[str, ...], seed: int, rate: float, quote_rate: float, total: int | None
    ) -> None:
        self._rate, self._quote_rate = rate, quote_rate
        self._left = None if total is None else max(0, total - sum(history.counts.values()))
        self._drafts = {}
        self._last: dict[str, tuple[str, int]] = {}
        for symbol in symbols:
            done = history.counts.get(symbol, 0)
            self._drafts[symbol] = itertools.islice(OrderFlow(seed, symbol).drafts(), done, None)
            if last := history.last(symbol):
                self._last[symbol] = (last.price, last.time)
        self._quotes = dict.fromkeys(symbols, int(time.time() * 1000))
        self._heap: list[tuple[float, str, bool]] = []
        self._waiting = {symbol: next(self._drafts[symbol]) for symbol in symbols}
        self._fast, self._fast_until = 1.0, 0.0

    def begin(self, now: float) -> None:
        """Draw the first moments."""
        for symbol, draft in self._waiting.items():
            heapq.heappush(self._heap, (now + draft.wait / self._rate, symbol, True))
            if self._quote_rate:
                heapq.heappush(self._heap, (now + 1 / self._quote_rate, symbol, False))

    def hurry(self, factor: float, until: float) -> None:
        """Run so many times faster until a moment."""
        self._fast, self._fast_until = factor, until

    def next_at(self) -> float | None:
        """Return when the next event is due."""
        return self._heap[0][0] if self._heap and self._left != 0 else None

    def due(self, now: float) -> list[Event]:
        """Return what has happened until now."""
        found: list[Event] = []
        while self._heap and self._heap[0][0] <= now and self._left != 0:
            at, symbol, trade = heapq.heappop(self._heap)
            faster = self._fast if at < self._fast_until else 1.0
            if trade:
                found.append(self._trade(symbol, at))
                wait = self._waiting[symbol].wait / self._rate
            else:
                found += self._quote(symbol)
                wait = 1 / self._quote_rate
            heapq.heappush(self._heap, (max(at, now - _BEHIND_S) + wait / faster, symbol, trade))
        return found

    def _trade(self, symbol: str, at: float) -> Traded:
        draft = self._waiting[symbol]
        self._waiting[symbol] = next(self._drafts[symbol])
        if self._left is not None:
            self._left -= 1
        # A symbol's time never goes back, also when the machine's clock does.
        milliseconds = max(int(at * 1000), self._last.get(symbol, ("", 0))[1])
        self._last[symbol] = (draft.price, milliseconds)
        return Traded(symbol, draft.number, draft.price, draft.quantity, milliseconds, milliseconds, draft.maker)

    def _quote(self, symbol: str) -> Iterator[Quoted]:
        price = self._last.get(symbol)
        if price is not None:
            self._quotes[symbol] += 1
            whole, _, rest = price[0].partition(".")
            above = int(whole + rest[:2]) + 1
            ask = f"{above // 100}.{above % 100:02d}000000"
            yield Quoted(symbol, self._quotes[symbol], price[0], "1.50000000", ask, "2.25000000")
