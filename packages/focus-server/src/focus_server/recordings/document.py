"""A recording as a document of MongoDB: the fields that other programs read, and ours, which are exact."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from bson import Int64
from bson.datetime_ms import DatetimeMS
from pydantic import ValidationError

from focus_server.errors import RecordingError
from focus_server.recordings.entry import RecordingEntry

Document = dict[str, Any]

MILLISECOND: Final = 1_000_000
"""ns; dates of MongoDB are no finer."""
_LAST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, after which Python knows no dates."""
_SAME: Final = (
    "uuid",
    "deleted",
    "path",
    "first_channel",
    "dx",
    "units",
    "dtype",
    "site",
    "scale",
    "fiber_start_meters",
)
_EXACT: Final = ("channels", "samples", "t0_ns", "fs_num", "fs_den", "first_sample", "start_ns")


def to_document(entry: RecordingEntry) -> Document:
    """Write an entry as its whole document; dates are rounded down to milliseconds, `start_ns`, `end_ns` are exact."""
    return {
        **{name: getattr(entry, name) for name in _SAME},
        **{name: Int64(getattr(entry, name)) for name in _EXACT},
        "end_ns": None if entry.end_ns is None else Int64(entry.end_ns),
        "gaps": entry.gaps,
        "prr": float(entry.fs),
        "start_time": date(entry.start_ns),
        "end_time": None if entry.end_ns is None else date(entry.end_ns),
    }


def from_document(base_path: str, document: Mapping[str, Any]) -> RecordingEntry:
    """Read a document that this or another program wrote.

    Raises `RecordingError` when it lacks what places its samples in time, or when its path leads out of the base path.
    """
    running = document.get("end_time") is None
    fields = {**document, "base_path": base_path, **({"end_ns": None} if running else {})}
    try:
        entry = RecordingEntry.model_validate(fields)
    except ValidationError as error:
        wrong = ", ".join(sorted({str(problem["loc"][0]) for problem in error.errors(include_input=False)}))
        raise RecordingError(f"A document of the catalogue is not that of a recording: see its {wrong}.") from None
    if not running:
        entry.file()
    return entry


def date(ns: int) -> datetime:
    """Make MongoDB's date of a time in ns since 1970, UTC, rounded down; what no date can tell becomes the last one."""
    seconds, ms = divmod(date_ms(ns), 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=ms * 1000)


def date_ms(ns: int) -> int:
    """Give the milliseconds since 1970 of `date`."""
    return min(max(ns // MILLISECOND, 0), _LAST_MS)


def date_ns(value: object) -> int | None:
    """Give a date of MongoDB in ns since 1970, or None when the value is no date."""
    if isinstance(value, datetime):
        value = DatetimeMS(value)
    return int(value) * MILLISECOND if isinstance(value, DatetimeMS) else None
