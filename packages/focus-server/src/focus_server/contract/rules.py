"""The rules of POST /configure about values; the first one that is broken refuses the request and names its field."""

import time

from focus_server.contract.limits import (
    MAX_CHANNELS,
    MAX_DURATION_S,
    MAX_FREQUENCY,
    MAX_HEIGHT,
    MAX_OVERLAP,
    MAX_PLAYRATE,
    MIN_FREQUENCY_SPAN,
    MIN_LINES_PER_SECOND,
    MIN_PLAYRATE,
    NFFT_VALUES,
)
from focus_server.contract.refusal import Refusal
from focus_server.contract.request import Channels, ConfigureRequest


def check_request(request: ConfigureRequest, channels: Channels | None = None, now: float | None = None) -> None:
    """Refuse a request that breaks a rule: 400, or 422 for a field that its view does not have.

    `channels` is the range that the fibre has; None leaves that one rule out, because no fibre is known yet.
    `now` is the present in epoch seconds. Whether the band holds a bin needs the sampling rate: see `band_bins`.
    """
    _check_view(request)
    _check_channels(request, channels)
    _check_shown(request)
    _check_nfft(request)
    _check_band(request)
    _check_rate(request)
    _check_times(request, time.time() if now is None else now)
    _check_playrate(request)


def _broken(field: str, what: str, status: int = 400) -> Refusal:
    return Refusal(status, f"{field} {what}", field)


def _check_view(request: ConfigureRequest) -> None:
    if not request.is_waterfall:
        return
    forbidden = {
        "displayTimeAxisDuration": request.duration_s is not None,
        "nfftSelection": request.nfft not in (None, 1),
        "frequencyRange": request.frequency_range is not None,
        "overlap": request.overlap is not None,
    }
    for field, present in forbidden.items():
        if present:
            remedy = "leave it out or send 1" if field == "nfftSelection" else "leave it out"
            raise _broken(field, f"does not exist for a waterfall (view_type 2); {remedy}.", 422)


def _check_channels(request: ConfigureRequest, fibre: Channels | None) -> None:
    asked = request.channels
    if asked.min < 1:
        raise _broken("channels.min", f"must be at least 1; it was {_short(asked.min)}.")
    if asked.max < asked.min:
        raise _broken(
            "channels.max", f"must not be below channels.min ({_short(asked.min)}); it was {_short(asked.max)}."
        )
    if asked.max > MAX_CHANNELS:
        raise _broken("channels.max", f"must be at most {MAX_CHANNELS}; it was {_short(asked.max)}.")
    if fibre is not None and (asked.min < fibre.min or asked.max > fibre.max):
        raise _broken(
            "channels",
            f"must lie within the fibre's channels {fibre.min} to {fibre.max}; asked for {asked.min} to {asked.max}.",
        )


def _check_shown(request: ConfigureRequest) -> None:
    height, duration_s = request.display_info.height, request.duration_s
    if height <= 0:
        raise _broken("displayInfo.height", f"must be positive, a number of lines above 0; it was {_short(height)}.")
    if height > MAX_HEIGHT:
        raise _broken("displayInfo.height", f"must be at most {MAX_HEIGHT}; it was {_short(height)}.")
    if duration_s is None:
        return
    if duration_s <= 0:
        raise _broken(
            "displayTimeAxisDuration", f"must be positive, a number of seconds above 0; it was {duration_s:g}."
        )
    if duration_s > MAX_DURATION_S:
        raise _broken(
            "displayTimeAxisDuration", f"must be at most {MAX_DURATION_S:.0f} seconds; it was {duration_s:g}."
        )


def _check_nfft(request: ConfigureRequest) -> None:
    if request.is_waterfall or request.nfft is None or request.nfft in NFFT_VALUES:
        return
    allowed = ", ".join(map(str, NFFT_VALUES))
    raise _broken("nfftSelection", f"(NFFT) must be a power of 2, one of {allowed}; it was {_short(request.nfft)}.")


def _check_band(request: ConfigureRequest) -> None:
    band = request.frequency_range
    if band is None:
        return
    if band.min < 0:
        raise _broken("frequencyRange.min", f"must be at least 0 Hz; it was {band.min:g}.")
    for end, value in (("min", band.min), ("max", band.max)):
        if value > MAX_FREQUENCY:
            raise _broken(f"frequencyRange.{end}", f"must be at most {MAX_FREQUENCY:g} Hz; it was {value:g}.")
    if band.max - band.min < MIN_FREQUENCY_SPAN:
        raise _broken(
            "frequencyRange",
            f"must span at least {MIN_FREQUENCY_SPAN:g} Hz with max above min; it was {band.min:g} to {band.max:g}.",
        )


def _check_rate(request: ConfigureRequest) -> None:
    if request.overlap is not None and request.lines_per_second is not None:
        raise _broken("overlap", "and lines_per_second both set the line rate; send one of them.")
    if request.overlap is not None and not 0 <= request.overlap <= MAX_OVERLAP:
        raise _broken("overlap", f"must lie between 0 and {MAX_OVERLAP:g}; it was {request.overlap:g}.")
    if request.lines_per_second is not None and request.lines_per_second < MIN_LINES_PER_SECOND:
        raise _broken(
            "lines_per_second", f"must be at least {MIN_LINES_PER_SECOND:g}; it was {request.lines_per_second:g}."
        )


def _check_times(request: ConfigureRequest, now: float) -> None:
    start, end = request.start_time, request.end_time
    if start is None and end is None:
        return
    if start is None or end is None:
        raise _broken(
            "start_time" if start is None else "end_time",
            "is missing: send both start_time and end_time for a recording, or neither for a live view.",
        )
    if start < 0:
        raise _broken("start_time", f"must not be negative, in epoch seconds; it was {start:g}.")
    if end <= start:
        raise _broken("end_time", f"must be after start_time ({start:.3f}); it was {end:.3f}.")
    if end > now:
        raise _broken(
            "end_time", f"must not lie in the future (now is {now:.3f} in epoch seconds, UTC); it was {end:.3f}."
        )


def _check_playrate(request: ConfigureRequest) -> None:
    playrate = request.playrate
    if playrate is None:
        return
    if playrate <= 0:
        raise _broken("playrate", f"must be above 0, times real time; it was {playrate:g}.")
    if not MIN_PLAYRATE <= playrate <= MAX_PLAYRATE:
        allowed = f"{MIN_PLAYRATE:g} to {MAX_PLAYRATE:.0f}"
        raise _broken("playrate", f"must be {allowed} times real time; it was {playrate:g}.")


def _short(number: int) -> str:
    """Write a number of any size in a few characters."""
    return str(number) if abs(number) < 10**20 else f"a number of {number.bit_length()} bits"
