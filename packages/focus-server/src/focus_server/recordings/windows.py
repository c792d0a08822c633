"""A long time looked through piece by piece, so that no question asks for more than is answered in its deadline."""

from typing import Final

_FIRST_MS: Final = 2 * 3600 * 1000
_QUICK_S: Final = 0.1
_GROWTH: Final = 4
_GROWTH_WHERE_NOTHING_IS: Final = 16


class Windows:
    """Half-open pieces of a time in ms, newest first; wider ones are tried for as long as answers come quickly."""

    def __init__(self, begin_ms: int, end_ms: int) -> None:
        self._begin_ms = begin_ms
        self._end_ms = end_ms
        self._width_ms = _FIRST_MS

    def __bool__(self) -> bool:
        return self._end_ms > self._begin_ms

    @property
    def piece(self) -> tuple[int, int]:
        """The piece to ask for."""
        return max(self._begin_ms, self._end_ms - self._width_ms), self._end_ms

    @property
    def is_a_try(self) -> bool:
        """True when the piece may be too wide."""
        return self._width_ms > _FIRST_MS

    def answered(self, took_s: float, found: int) -> None:
        """Go on to the next piece."""
        self._end_ms = self.piece[0]
        if took_s < _QUICK_S:
            self._width_ms *= _GROWTH if found else _GROWTH_WHERE_NOTHING_IS
        elif self.is_a_try:
            self._width_ms = max(_FIRST_MS, self._width_ms // _GROWTH)

    def too_wide(self) -> None:
        """Ask for less."""
        self._width_ms = _FIRST_MS
