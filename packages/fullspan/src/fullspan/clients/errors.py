"""What can go wrong when a client speaks to a system; a time-out is neither success nor failure.

FullspanError
└── ClientError
    ├── Refused          the server answered, and said no
    ├── Unreachable      nothing was sent or nobody took it, so nothing happened
    ├── OutcomeUnknown   it was sent, and whether it happened nobody knows
    ├── NotUnderstood    the answer is not what the contract says
    ├── StreamLost       a stream was refused, or broke off before its end
    └── NothingCame      a stream is open, and silent for longer than it was waited for
"""

from collections.abc import Mapping
from typing import Any

from fullspan.errors import FullspanError


class ClientError(FullspanError):
    """A call to a system did not give an answer that can be used."""


class Refused(ClientError):  # noqa: N818 - named as in the list above
    """The server said no: its `status`, its sentence `error`, its `detail`, and after how many seconds to try again."""

    def __init__(self, call: str, status: int, body: Mapping[str, Any], retry_after_s: float | None) -> None:
        self.status = status
        self.error = str(body.get("error", ""))
        self.detail = body.get("detail", "")
        self.retry_after_s = retry_after_s
        super().__init__(f"{call} was answered with {status}: {self.error or 'no reason given'}")


class Unreachable(ClientError):  # noqa: N818 - named as in the list above
    """No connection could be made, or nobody took what was sent, so the call did nothing."""


class OutcomeUnknown(ClientError):  # noqa: N818 - named as in the list above
    """The connection was lost or the deadline passed after sending; the call may or may not have had its effect."""


class NotUnderstood(ClientError):  # noqa: N818 - named as in the list above
    """The answer does not have the shape that the contract gives it."""


class StreamLost(ClientError):  # noqa: N818 - named as in the list above
    """A stream ended otherwise than by its job's end: the `code` of its protocol, and the server's `reason`.

    The code is a name of gRPC's status codes, or the number of a WebSocket's close code, as text.
    """

    def __init__(self, stream: str, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{stream} ended with {code}: {reason or 'no reason given'}")


class NothingCame(ClientError):  # noqa: N818 - named as in the list above
    """A stream gave nothing for as long as its reader was ready to wait."""
