"""A window on the last records of each stream: content to compare with, in memory that does not grow."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fullspan.errors import Inconclusive

__all__ = ["SLOTS", "Window"]

SLOTS: Final = 2_097_152  # of one hop, for all streams together; 16 bytes each
NEVER: Final = np.iinfo(np.int64).min


class Window:
    """The newest digests of one hop, in `slots` places (a power of two) that the streams share equally.

    A record is forgotten when a later one of its stream, as many sequence numbers on as a stream has places, comes.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._shares = 1
        self._sequence = np.full(slots, NEVER, np.int64)
        self._digest = np.zeros(slots, np.uint64)

    def put(self, stream: NDArray[np.int64], sequence: NDArray[np.int64], digest: NDArray[np.uint64]) -> None:
        """Keep n digests."""
        if stream.size:
            self._make_room(int(stream.max()) + 1)
            place = self._places(stream, sequence)
            self._sequence[place] = sequence
            self._digest[place] = digest

    def get(
        self, stream: NDArray[np.int64], sequence: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Return n digests, and of which records one is known."""
        known = np.zeros(stream.shape, bool)
        inside = stream < self._shares
        place = self._places(np.where(inside, stream, 0), sequence)
        known[inside] = self._sequence[place[inside]] == sequence[inside]
        return self._digest[place], known

    def _places(self, stream: NDArray[np.int64], sequence: NDArray[np.int64]) -> NDArray[np.int64]:
        share = self._slots // self._shares
        return stream * share + (sequence & (share - 1))

    def _make_room(self, streams: int) -> None:
        """Give every stream a share; what is kept moves to its new place."""
        shares = self._shares
        while shares < streams:
            shares *= 2
        if shares == self._shares:
            return
        if shares > self._slots:
            raise Inconclusive(
                f"A window of {self._slots:,} places cannot follow {streams:,} streams.", "Give it more `slots`."
            )
        used = np.flatnonzero(self._sequence != NEVER)
        stream, sequence, digest = used // (self._slots // self._shares), self._sequence[used], self._digest[used]
        self._shares = shares
        self._sequence = np.full(self._slots, NEVER, np.int64)
        order = np.argsort(sequence, kind="stable")  # of two that now share a place the later one stays
        place = self._places(stream[order], sequence[order])
        self._sequence[place] = sequence[order]
        self._digest[place] = digest[order]
