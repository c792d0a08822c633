"""A moment as a person writes it on a command line, exact to the nanosecond."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from focus_server.errors import FocusError

__all__ = ["moment_ns"]

_EPOCH: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?", re.ASCII)
_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.([0-9]{1,9}))?)?Z?", re.ASCII
)


def moment_ns(text: str) -> int:
    """Read `2026-11-21T10:54:30.123456789Z` (always UTC) or seconds since 1970; gives ns since 1970.

    Raises `FocusError`.
    """
    if _EPOCH.fullmatch(text):
        return int(Decimal(text) * 1_000_000_000)
    match = _ISO.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        begin = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}").replace(tzinfo=UTC)
    except ValueError:
        raise FocusError(
            f"{text!r} is no time; write it as 2026-11-21T10:54:30.5Z (UTC), or as seconds since 1970."
        ) from None
    return int(begin.timestamp()) * 1_000_000_000 + int((match[3] or "0").ljust(9, "0"))
