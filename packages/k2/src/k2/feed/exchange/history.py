"""All trades of the local exchange, in memory for who asks and in a file for a restart, and as the truth to test by.

A trade is in the file before anybody is told of it, so an exchange that was killed goes on after the last one that a
client can know. The file is a capture.
"""

import time
from bisect import bisect_left
from pathlib import Path
from typing import IO

from k2.feed.exchange.capture import read_capture
from k2.feed.exchange.event import Traded

__all__ = ["History"]

_NAME = "trades.ndjson"


class History:
    """What has been traded, per symbol, in order."""

    def __init__(self, folder: Path | None) -> None:
        self._trades: dict[str, list[Traded]] = {}
        self._file: IO[bytes] | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / _NAME
            if path.exists():
                _mend(path)
                for _, event in read_capture(path):
                    assert isinstance(event, Traded)  # noqa: S101 - only those are written
                    self._trades.setdefault(event.symbol, []).append(event)
            self._file = path.open("ab")

    def add(self, trade: Traded) -> None:
        """Keep a trade; `flush` brings it to the file."""
        self._trades.setdefault(trade.symbol, []).append(trade)
        if self._file is not None:
            frame = f'{time.time_ns()} {{"stream":"{trade.stream}","data":{trade.payload()}}}\n'
            self._file.write(frame.encode())

    def flush(self) -> None:
        """Bring to the file what was added."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    @property
    def counts(self) -> dict[str, int]:
        """How many trades there are of each symbol."""
        return {symbol: len(trades) for symbol, trades in self._trades.items()}

    def last(self, symbol: str) -> Traded | None:
        """Return the newest trade of a symbol."""
        trades = self._trades.get(symbol)
        return trades[-1] if trades else None

    def bounds(self) -> dict[str, dict[str, int]]:
        """Return first and last number and the count of each symbol."""
        return {
            symbol: {"first": trades[0].number, "last": trades[-1].number, "count": len(trades)}
            for symbol, trades in self._trades.items()
            if trades
        }

    def since(self, symbol: str, number: int | None, limit: int) -> list[Traded]:
        """Return at most `limit` trades from a number on, or without one the newest."""
        trades = self._trades.get(symbol, [])
        if number is None:
            return trades[-limit:]
        start = bisect_left(trades, number, key=lambda trade: trade.number)
        return trades[start : start + limit]


def _mend(path: Path) -> None:
    """Cut off a line that a kill left unfinished; nobody was told of it."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
