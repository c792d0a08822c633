"""Asking the exchange for trades that did not come, by their numbers."""

from decimal import Decimal
from json import loads
from typing import Any, Final

import httpx

from k2.errors import CodecError, FeedError
from k2.feed.frames import read_trade
from k2.schema import Trade

__all__ = ["Backfill"]

_MOST: Final = 1000


class Backfill:
    """The exchange's `GET /api/v3/historicalTrades`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def trades(self, symbol: str, first: int, last: int, received: int, sequence: int) -> list[Trade]:
        """Return those of the trades `first` to `last` that the exchange has, at most a thousand, in order.

        `received` (microseconds since 1970) and `sequence` are given to them. Raises FeedError when it does not answer.
        """
        wanted: dict[str, str | int] = {"symbol": symbol, "fromId": first, "limit": min(_MOST, last - first + 1)}
        try:
            answer = await self._client.get("/api/v3/historicalTrades", params=wanted)
            answer.raise_for_status()
            told = loads(answer.content, parse_float=Decimal)
            return [
                read_trade(_as_frame(symbol, entry), received, sequence)
                for entry in told
                if first <= entry["id"] <= last
            ]
        except httpx.HTTPStatusError as error:
            raise FeedError(
                f"The exchange refused to tell old trades of {symbol}: {error.response.status_code}."
            ) from None
        except httpx.HTTPError as error:
            raise FeedError(f"The exchange did not tell old trades of {symbol}: {type(error).__name__}.") from None
        except (ValueError, KeyError, TypeError, CodecError) as error:
            raise FeedError(f"The exchange's old trades of {symbol} cannot be read: {error}.") from None


def _as_frame(symbol: str, entry: dict[str, Any]) -> dict[str, Any]:
    made = {"s": symbol, "t": entry["id"], "p": entry["price"], "q": entry["qty"], "T": entry["time"]}
    return made | {
        name: entry[told] for name, told in (("m", "isBuyerMaker"), ("M", "isBestMatch")) if told in entry
    }  # fmt: skip
