"""What the local exchange does wrong on demand: it drops, doubles, reorders and spoils frames, is silent, hangs up.

All trades are in its history whatever it does to their frames, so a client can ask for those that it missed.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from k2.errors import CodecError

__all__ = ["MALFORMED", "Mischief", "Outgoing"]

MALFORMED: Final[Mapping[str, bytes]] = {
    "cut off": b'{"stream":"btcusdt@trade","data":{"e":"trade","E":17231612553',
    "no json": b"<html>502 Bad Gateway</html>",
    "not unicode": b'{"e":"trade","s":"\xff\xfe"}',
    "empty": b"",
    "null": b"null",
    "list": b"[1,2,3]",
    "text": b'"trade"',
    "no data": b'{"stream":"btcusdt@trade","data":null}',
    "unknown event": b'{"e":"aggTrade","E":1723161255343,"s":"BTCUSDT","a":1,"p":"1.0","q":"1.0","T":1723161255342}',
    "no price": b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"q":"1.0","T":1723161255342,"m":true}',
    "no number": b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","p":"1.0","q":"1.0","T":1723161255342,"m":true}',
    "price as number": b'{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":1.5,"q":"1.0","T":1723161255342,"m":true}',
    "price in words": b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"high","q":"1.0","T":1723161255342}',
    "price not a number": b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"NaN","q":"1","T":1723161255342}',
    "price below zero": b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"-1.0","q":"1","T":1723161255342}',
    "too exact": b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"1.0000000001","q":"1","T":1723161255342}',
    "too large": b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"12345678901.0","q":"1","T":1723161255342}',
    "number in words": b'{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":"1","p":"1.0","q":"1.0","T":1723161255342}',
    "time far away": b'{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.0","q":"1.0","T":99999999999999999,"m":true}',
    "maker in words": b'{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1","q":"1","T":1723161255342,"m":"yes"}',
    "symbol empty": b'{"e":"trade","E":1723161255343,"s":"","t":1,"p":"1.0","q":"1.0","T":1723161255342,"m":true}',
}
"""Frames that are none, by what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame's data on its way, and the stream that carries it; a `raw` one goes to all as it is."""

    stream: str
    payload: bytes
    raw: bool = False


@dataclass
class Mischief:
    """What is wrong at present. Counts are of frames of trades that come next and go down to 0."""

    drop: int = 0
    """So many are not sent."""
    duplicate: int = 0
    """So many are sent twice."""
    reorder: int = 0
    """So many are sent in another order, `within` at a time."""
    within: int = 10
    malformed_every: int = 0
    """After each of so many a frame that is none is sent; 0: never."""
    spoil_every: int = 0
    """Each of so many is cut off in the middle; 0: never."""
    silence_s: float = 0.0
    """So long nothing is sent at all."""
    close_next: int = 0
    """So many connections are closed, cleanly, as soon as they are there."""
    clock_offset_s: float = 0.0
    """The exchange's clock is ahead of ours by so much."""
    _sent: int = field(default=0, repr=False, compare=False)
    _spoilt: int = field(default=0, repr=False, compare=False)
    _held: list[Outgoing] = field(default_factory=list, repr=False, compare=False)
    _random: random.Random = field(default_factory=lambda: random.Random(1), repr=False, compare=False)  # noqa: S311

    def set(self, wanted: Mapping[str, Any]) -> None:
        """Change what is wrong; CodecError names what does not exist or cannot be meant, and nothing is changed."""
        known = {entry.name: type(entry.default) for entry in fields(self) if entry.repr}
        for name, value in wanted.items():
            if name not in known:
                raise CodecError("value", f"There is no mischief {name!r}; there are {', '.join(known)}.")
            whole = isinstance(value, int) and not isinstance(value, bool)
            fits = whole or (known[name] is float and isinstance(value, float))
            if not fits or (name != "clock_offset_s" and value < 0):
                raise CodecError("value", f"The mischief {name} cannot be {value!r}.")
        for name, value in wanted.items():
            setattr(self, name, value)

    def present(self) -> dict[str, Any]:
        """Tell what is wrong."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.repr}

    def apply(self, trades: Iterable[Outgoing]) -> Iterator[Outgoing]:
        """Return what is sent in place of frames of trades."""
        for trade in trades:
            if self.drop:
                self.drop -= 1
                continue
            if self.reorder:
                self.reorder -= 1
                self._held.append(trade)
                if len(self._held) >= self.within or not self.reorder:
                    self._random.shuffle(self._held)
                    yield from self._sending(self._held)
                    self._held = []
                continue
            yield from self._sending([trade])

    def _sending(self, trades: Iterable[Outgoing]) -> Iterator[Outgoing]:
        for trade in trades:
            self._sent += 1
            if self.spoil_every and self._sent % self.spoil_every == 0:
                yield Outgoing(trade.stream, trade.payload[: len(trade.payload) // 2])
            else:
                yield trade
            if self.duplicate:
                self.duplicate -= 1
                yield trade
            if self.malformed_every and self._sent % self.malformed_every == 0:
                yield Outgoing(trade.stream, list(MALFORMED.values())[self._spoilt % len(MALFORMED)], raw=True)
                self._spoilt += 1
