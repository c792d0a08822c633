"""Places for playbacks: each takes memory for samples and lines, so not any number of them may run at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from focus_server.contract import Refusal

_RETRY_S: Final = 5
"""Most recordings are played to their end within seconds."""


class Places:
    """So many playbacks may run at once, of all jobs together; one is a viewer of one stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def check(self, wanted: int, freed: int = 0) -> None:
        """Raise `Refusal` 503 unless so many streams could be played now, when some others had ended.

        A job of more streams than there are places plays some after others.
        """
        if self._taken - freed + min(wanted, self._most) > self._most:
            raise self._full(wanted)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Keep a place for as long as the context is open. Raises `Refusal` 503 when none is free."""
        if self._taken >= self._most:
            raise self._full(1)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def _full(self, wanted: int) -> Refusal:
        return Refusal(
            503,
            f"Of {self._most} streams of recordings that may be played at once {self._taken} are, and this needs "
            f"{wanted}; try again when others have ended, or close some.",
            "capacity",
            retry_after=_RETRY_S,
        )
