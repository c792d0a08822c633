"""Deliveries that were not acknowledged yet, and the fewest acknowledgements that settle some of them."""

from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple

__all__ = ["Ack", "Deliveries"]


class Ack(NamedTuple):
    """An acknowledgement of one delivery, or of all up to it."""

    tag: int
    multiple: bool


class Deliveries:
    """The deliveries of one connection, by their tags, which grow."""

    def __init__(self) -> None:
        self._waiting: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def delivered(self, tag: int) -> None:
        """Note a new delivery."""
        self._waiting[tag] = None

    def settle(self, tags: Iterable[int]) -> list[Ack]:
        """Return how to acknowledge these deliveries; tags of a former connection are nobody's any more."""
        settled = {tag for tag in tags if tag in self._waiting}
        if not settled:
            return []
        begin = list(takewhile(settled.__contains__, self._waiting))
        for tag in settled:
            del self._waiting[tag]
        single = sorted(settled.difference(begin))
        return [Ack(tag, multiple=True) for tag in begin[-1:]] + [Ack(tag, multiple=False) for tag in single]
