"""A capture as the course of the local exchange: at any speed, its times moved, kept, or those of the clock."""

import heapq
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from k2.errors import SettingsError
from k2.feed.exchange.capture import read_capture
from k2.feed.exchange.course import Course
from k2.feed.exchange.event import Event, Quoted, Traded
from k2.feed.exchange.history import History

__all__ = ["Recorded", "Retime"]

Retime = Literal["shift", "keep", "now"]


class Recorded(Course):
    """A capture, after what `history` has of it; times are moved by one constant, kept, or those of the clock."""

    def __init__(
        self, history: History, trades: Path, quotes: Path | None, speed: float, retime: Retime, loop: bool
    ) -> None:
        self._speed, self._retime, self._loop = speed, retime, loop
        self._paths = [path for path in (trades, quotes) if path is not None]
        self._first: dict[str, int] = {}
        self._highest: dict[str, int] = {}
        self._events = self._all(dict(history.counts))
        self._next = next(self._events, None)
        if self._next is None and not history.counts:
            raise SettingsError(f"The capture {trades} is empty. Give another one.")
        self._origin = (0.0, 0.0)  # the wall clock and the capture's, at the same moment
        self._constant: int | None = None
        self._history = history
        self._usual, self._fast_until = speed, 0.0

    def begin(self, now: float) -> None:
        """Start the clock at the first event."""
        self._origin = (now, self._next[0] if self._next else 0.0)

    def hurry(self, factor: float, until: float) -> None:
        """Run so many times faster until a moment."""
        now = time.time()
        capture = self._origin[1] + (now - self._origin[0]) * self._speed
        self._origin = (now, capture)
        self._speed, self._fast_until = self._usual * factor, until

    def next_at(self) -> float | None:
        """Return when the next event is due."""
        if self._next is None:
            return None
        return self._origin[0] + (self._next[0] - self._origin[1]) / self._speed

    def due(self, now: float) -> list[Event]:
        """Return what has happened until now."""
        if self._fast_until and now >= self._fast_until:
            until = self._fast_until
            self._origin = (until, self._origin[1] + (until - self._origin[0]) * self._speed)
            self._speed, self._fast_until = self._usual, 0.0
        found: list[Event] = []
        while self._next is not None and (at := self.next_at()) is not None and at <= now:
            found.append(self._timed(self._next[1], at))
            self._next = next(self._events, None)
        return found

    def _timed(self, event: Event, at: float) -> Event:
        if isinstance(event, Quoted) or self._retime == "keep":
            return event
        if self._retime == "now":
            moment = int(at * 1000)
            return event.moved(moment - event.time)
        if self._constant is None:
            self._constant = self._kept_constant(event, at)
        return event.moved(self._constant)

    def _kept_constant(self, event: Traded, at: float) -> int:
        """Return what is added to all times: as before a restart, else so that the first trade happens now."""
        first = next(
            (trade for symbol in self._history.counts for trade in self._history.since(symbol, 0, 1)), None
        )  # fmt: skip
        if first is not None:
            for _, known in read_capture(self._paths[0]):
                if isinstance(known, Traded) and (known.symbol, known.number) == (first.symbol, first.number):
                    return first.time - known.time
        return int(at * 1000) - event.time

    def _all(self, skip: dict[str, int]) -> Iterator[tuple[float, Event]]:
        """Go through the captures by time; those trades that have happened already are left out."""
        shift = 0.0
        for turn in itertools.count():
            first = last = None
            for at, event in heapq.merge(*map(read_capture, self._paths), key=lambda entry: entry[0]):
                first, last = (at if first is None else first), at
                if isinstance(event, Traded):
                    moved = self._again(event, turn, shift)
                    if skip.get(event.symbol, 0):
                        skip[event.symbol] -= 1
                        continue
                    yield at + shift, moved
                else:
                    yield at + shift, event
            if not self._loop or first is None or last is None:
                return
            shift += last - first + 1.0

    def _again(self, event: Traded, turn: int, shift: float) -> Traded:
        """Give a trade of a later round a number that goes on, and a later time."""
        if turn == 0:
            self._first.setdefault(event.symbol, event.number)
            self._highest[event.symbol] = max(event.number, self._highest.get(event.symbol, 0))
            return event
        length = self._highest[event.symbol] - self._first[event.symbol] + 1
        milliseconds = int(shift * 1000)
        return Traded(
            event.symbol,
            event.number + turn * length,
            event.price,
            event.quantity,
            event.time + milliseconds,
            event.told + milliseconds,
            event.maker,
        )
