"""What happens on the local exchange: a trade or a quote of a symbol at a moment of its own time."""

import json
from dataclasses import dataclass, replace

__all__ = ["Event", "Quoted", "Traded"]


@dataclass(frozen=True, slots=True)
class Traded:
    """A trade as the exchange tells it; times in ms since 1970, price and quantity as it writes them."""

    symbol: str
    number: int
    price: str
    quantity: str
    time: int
    told: int
    maker: bool

    @property
    def stream(self) -> str:
        """The stream that carries it."""
        return f"{self.symbol.lower()}@trade"

    def moved(self, milliseconds: int) -> "Traded":
        """Return it as a clock that is ahead by so much would tell it."""
        return replace(self, time=self.time + milliseconds, told=self.told + milliseconds) if milliseconds else self

    def payload(self) -> str:
        """Write the frame's data, in the order in which the real exchange writes its fields."""
        return (
            f'{{"e":"trade","E":{self.told},"s":"{self.symbol}","t":{self.number},"p":"{self.price}",'
            f'"q":"{self.quantity}","T":{self.time},"m":{"true" if self.maker else "false"},"M":true}}'
        )

    @classmethod
    def of(cls, data: dict[str, object]) -> "Traded":
        """Take the fields of a frame; raises KeyError, TypeError or ValueError when it is none of a trade."""
        return cls(
            str(data["s"]), int(str(data["t"])), str(data["p"]), str(data["q"]),
            int(str(data["T"])), int(str(data["E"])), data["m"] is True,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quoted:
    """The best bid and ask of a symbol; `number` counts the book's changes."""

    symbol: str
    number: int
    bid: str
    bid_quantity: str
    ask: str
    ask_quantity: str

    @property
    def stream(self) -> str:
        """The stream that carries it."""
        return f"{self.symbol.lower()}@bookTicker"

    def payload(self) -> str:
        """Write the frame's data."""
        return json.dumps(
            {
                "u": self.number,
                "s": self.symbol,
                "b": self.bid,
                "B": self.bid_quantity,
                "a": self.ask,
                "A": self.ask_quantity,
            },
            separators=(",", ":"),
        )

    @classmethod
    def of(cls, data: dict[str, object]) -> "Quoted":
        """Take the fields of a frame; raises KeyError, TypeError or ValueError when it is none of a quote."""
        return cls(
            str(data["s"]), int(str(data["u"])), str(data["b"]), str(data["B"]), str(data["a"]), str(data["A"])
        )  # fmt: skip


Event = Traded | Quoted
