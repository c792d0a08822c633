"""The bodies of requests that make a job: in today's form, and in the older one."""

from datetime import UTC, datetime
from typing import Any, TypedDict


class Wishes(TypedDict, total=False):
    """What POST /configure takes beside the channels; what is left out has the server's default.

    `view`: 0 multichannel, 1 single channel (the client's default), 2 waterfall. `height`: lines on the screen.
    `band` in Hz, `duration_s` in s; `overlap` from 0 to 0.98, or instead `lines_per_second`. `between`: epoch seconds
    of a recording (left out: live), played at `playrate` times real time (left out: as fast as it is read).
    """

    view: int
    height: int
    nfft: int | None
    band: tuple[float, float] | None
    duration_s: float | None
    lines_per_second: float | None
    overlap: float | None
    between: tuple[float, float] | None
    playrate: float | None


class OlderWishes(TypedDict, total=False):
    """What POST /config/{task_id} takes beside the sensors.

    `height`: lines on the screen; `nfft` samples; `band` in Hz; `duration_s` in s; `between`: epoch seconds of a
    recording, sent as whole seconds (left out: live).
    """

    height: int
    nfft: int
    band: tuple[float, float]
    duration_s: float
    between: tuple[float, float] | None


def configure_document(
    channels: int | tuple[int, int],
    *,
    view: int = 1,
    height: int = 200,
    nfft: int | None = None,
    band: tuple[float, float] | None = None,
    duration_s: float | None = None,
    lines_per_second: float | None = None,
    overlap: float | None = None,
    between: tuple[float, float] | None = None,
    playrate: float | None = None,
) -> dict[str, Any]:
    """Write the body of POST /configure; band in Hz, `between` in epoch seconds (none: live), `playrate` times real."""
    start, end = between if between is not None else (None, None)
    document = {
        "view_type": view,
        "channels": _range(channels),
        "displayInfo": {"height": height},
        "displayTimeAxisDuration": duration_s,
        "nfftSelection": nfft,
        "frequencyRange": None if band is None else {"min": band[0], "max": band[1]},
        "lines_per_second": lines_per_second,
        "overlap": overlap,
        "start_time": start,
        "end_time": end,
        "playrate": playrate,
    }
    return {key: value for key, value in document.items() if value is not None}


def older_document(
    sensors: int | tuple[int, int],
    *,
    height: int = 200,
    nfft: int = 1024,
    band: tuple[float, float] = (0, 500),
    duration_s: float = 10,
    between: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Write the body of POST /config/{task_id}; sensors as GET /sensors lists them."""
    start, end = between if between is not None else (None, None)
    return {
        "displayTimeAxisDuration": duration_s,
        "nfftSelection": nfft,
        "canvasInfo": {"height": height},
        "sensors": _range(sensors),
        "frequencyRange": {"min": band[0], "max": band[1]},
        "start_time": _older_time(start),
        "end_time": _older_time(end),
    }


def _range(numbers: int | tuple[int, int]) -> dict[str, int]:
    low, high = (numbers, numbers) if isinstance(numbers, int) else numbers
    return {"min": low, "max": high}


def _older_time(epoch_s: float | None) -> str | None:
    """Write a time as yymmddHHMMSS, UTC."""
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC).strftime("%y%m%d%H%M%S")
