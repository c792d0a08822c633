"""Memory for finished lines, used round and round: fresh pages from the kernel would cost as much as the spectra."""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MOST_LOANS: Final = 4096
_LARGEST_SHARE: Final = 4
"""What needs more than this part of the arena gets memory of its own, and counts as so much."""


class Loan:
    """Some memory of the arena, for as long as it is `valid`; afterwards its `values` are somebody else's."""

    __slots__ = ("valid", "values")

    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values = values
        self.valid = True


class Arena:
    """Lends arrays of float32, and takes the oldest back when it needs their memory again."""

    def __init__(self, size_bytes: int) -> None:
        self._memory = np.empty(size_bytes // 4, np.float32)
        self._head = 0  # counts on for ever; the place in memory is what is left over of it
        self._lent: deque[tuple[int, Loan]] = deque()

    def lend(self, shape: tuple[int, ...]) -> Loan:
        """Give an array whose content is undefined."""
        size, count = len(self._memory), int(np.prod(shape))
        own = count > size // _LARGEST_SHARE
        taken = size // _LARGEST_SHARE if own else count
        place = self._head % size
        if place + taken > size:
            self._head += size - place
            place = 0
        begin, self._head = self._head, self._head + taken
        self._take_back(self._head - size)
        loan = Loan((np.empty(count, np.float32) if own else self._memory[place : place + count]).reshape(shape))
        self._lent.append((begin, loan))
        return loan

    def _take_back(self, before: int) -> None:
        while self._lent and (self._lent[0][0] < before or len(self._lent) >= _MOST_LOANS):
            _, loan = self._lent.popleft()
            loan.valid = False
            loan.values = loan.values[:0]
