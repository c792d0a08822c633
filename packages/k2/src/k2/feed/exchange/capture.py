"""A capture of an exchange's frames: one a line, the receipt time in ns since 1970, a space, the frame."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from k2.errors import SettingsError
from k2.feed.exchange.event import Event, Quoted, Traded

__all__ = ["read_capture"]


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def read_capture(path: Path) -> Iterator[tuple[float, Event]]:
    """Go through a capture (.gz too): when each frame came, in seconds since 1970, and what it tells.

    Raises SettingsError, which names the line that is none.
    """
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, 1):
                yield _read(path, number, line)
    except OSError as error:
        raise SettingsError(f"The capture {path} cannot be read: {error}. Give another one.") from None


def _read(path: Path, number: int, line: bytes) -> tuple[float, Event]:
    try:
        received, _, frame = line.partition(b" ")
        read = json.loads(frame)
        data = read.get("data", read)
        return int(received) / 1e9, (Traded if data.get("e") == "trade" else Quoted).of(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__} {error}"
        raise SettingsError(
            f"Line {number} of the capture {path} is none: {what}. A line is: nanoseconds, a space, the frame."
        ) from None
