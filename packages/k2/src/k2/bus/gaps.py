"""What is missing between an exchange's trades, as the feed tells it: one record per gap, of which the newest counts.

The topic is compacted by key, so that whoever reads it from its beginning knows every gap that is still open.
"""

import json
from dataclasses import asdict, dataclass
from typing import Final

from k2.errors import CodecError

__all__ = ["COMPACTED", "Gap"]

COMPACTED: Final = {"cleanup.policy": "compact"}
"""The options of the gaps' topic."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Trades `first` to `last` (both included) of a symbol that did not come; times in microseconds since 1970, UTC.

    `missing` of them are still missing: all when it opened, none when it is closed.
    """

    exchange: str
    symbol: str
    first: int
    last: int
    missing: int
    opened: int
    closed: int | None = None
    cause: str = ""

    @property
    def key(self) -> bytes:
        """What names it in the topic; the bounds never change."""
        return f"{self.exchange}:{self.symbol}:{self.first}-{self.last}".encode()

    def encode(self) -> bytes:
        """Write it as JSON."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, value: bytes) -> "Gap":
        """Read one; raises CodecError."""
        try:
            return cls(**json.loads(value))
        except (ValueError, TypeError) as error:
            raise CodecError("malformed", f"A gap cannot be read: {error}.") from None
