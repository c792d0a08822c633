"""When a call that failed may be tried again, after which pause, and what its failure means."""

from collections.abc import Iterator
from typing import Any, Final

import httpx

from fullspan.clients.call import Call, retry_after_s
from fullspan.clients.errors import ClientError, OutcomeUnknown, Unreachable

_REFUSED_FOR_NOW: Final = frozenset({429, 503})
"""Nothing was done, so anything may be sent again."""
_PASSING: Final = _REFUSED_FOR_NOW | {502, 504}
_NOTHING_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_LONGEST_PAUSE_S: Final = 1.0

Outcome = httpx.Response | httpx.TransportError


class Attempts:
    """The attempts of one call, at most `retries` after the first one.

    What did nothing may be sent again always; what may have had its effect only when a second time adds nothing.
    """

    def __init__(self, call: Call[Any], retries: int) -> None:
        self._call = call
        self._left = retries
        self._pauses_s: Iterator[float] = (min(_LONGEST_PAUSE_S, 0.1 * 2**n) for n in range(1 + max(0, retries)))
        self._perhaps_done = False

    def pause_after(self, outcome: Outcome) -> float | None:
        """Seconds to wait before the next attempt; None when this outcome is the result."""
        if self._left <= 0 or not self._may_repeat(outcome):
            return None
        self._left -= 1
        self._perhaps_done |= not _did_nothing(outcome)
        asked = retry_after_s(outcome) if isinstance(outcome, httpx.Response) else None
        return min(_LONGEST_PAUSE_S, max(asked or 0.0, next(self._pauses_s)))

    def meant(self, response: httpx.Response) -> httpx.Response:
        """Give the answer that is meant: what is gone after an attempt of unknown outcome was ended, as was asked."""
        gone = self._perhaps_done and self._call.method == "DELETE" and response.status_code == 404
        return httpx.Response(200) if gone else response

    def _may_repeat(self, outcome: Outcome) -> bool:
        if isinstance(outcome, httpx.Response):
            status = outcome.status_code
            if status in self._call.expected or status not in _PASSING:
                return False
        return self._call.repeatable or _did_nothing(outcome)


def _did_nothing(outcome: Outcome) -> bool:
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in _REFUSED_FOR_NOW
    return isinstance(outcome, _NOTHING_SENT)


def failure(call: Call[Any], error: httpx.TransportError) -> ClientError:
    """Say what it means that a call was not answered."""
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, _NOTHING_SENT):
        return Unreachable(f"{call} could not be sent ({what})")
    return OutcomeUnknown(f"{call} was sent but not answered ({what})")
