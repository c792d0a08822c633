"""Order flow that is made up: the same seed gives the same trades of a symbol, number by number, at any rate.

Times between trades are exponential, the price walks in ticks of a cent around its start, quantities are log-normal.
What a trade is depends on the seed, the symbol and the trade's place only, never on the rate or on when it happens.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

__all__ = ["Draft", "OrderFlow"]

_CHUNK: Final = 1024
_FIRST_NUMBER: Final = 1_000_000
_STARTS: Final = {"BTCUSDT": 6_183_763, "ETHUSDT": 268_380}
"""In cents."""
_PULL: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Draft:
    """A trade without its time: its number, what it says, and the wait before it in mean waits."""

    number: int
    price: str
    quantity: str
    maker: bool
    wait: float


class OrderFlow:
    """The trades of one symbol, from its first."""

    def __init__(self, seed: int, symbol: str) -> None:
        self.symbol = symbol
        self._random = np.random.default_rng([seed, zlib.crc32(symbol.encode())])
        self._start = _STARTS.get(symbol, 1_000_000)
        self._price = float(self._start)

    def drafts(self) -> Iterator[Draft]:
        """Go through the trades, for ever."""
        number = _FIRST_NUMBER
        while True:
            waits = self._random.exponential(1.0, _CHUNK)
            steps = np.rint(self._random.standard_t(3, _CHUNK) * 40)
            sizes = np.clip(np.rint(self._random.lognormal(5.0, 1.5, _CHUNK)), 1, 10**9).astype(np.int64)
            makers = self._random.random(_CHUNK) < 0.5
            for wait, step, size, maker in zip(
                waits.tolist(), steps.tolist(), sizes.tolist(), makers.tolist(), strict=True
            ):
                self._price = max(100.0, self._price + step - _PULL * (self._price - self._start))
                cents = int(self._price)
                price = f"{cents // 100}.{cents % 100:02d}000000"
                quantity = f"{size // 100_000}.{size % 100_000:05d}000"
                yield Draft(number, price, quantity, maker, wait)
                number += 1
