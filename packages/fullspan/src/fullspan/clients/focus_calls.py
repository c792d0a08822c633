"""The calls of a Focus Server as values: what to send and how to read the answer, without doing either."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from fullspan.clients.errors import NotUnderstood, Refused
from fullspan.clients.focus_answers import ChannelRange, Health, Job, LiveMetadata

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request; `read` makes the result of an answer whose status is among `expected`."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    document: Mapping[str, Any] | None = None
    expected: frozenset[int] = frozenset({200})
    asks_only: bool = False

    @property
    def repeatable(self) -> bool:
        """True when sending it twice does no more than sending it once."""
        return self.asks_only or self.method == "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def result(self, response: httpx.Response) -> T:
        """Read an answer, or say why it cannot be used."""
        if response.status_code not in self.expected:
            raise _refused(str(self), response)
        try:
            return self.read(response)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotUnderstood(f"the answer to {self} is not what the contract says: {error!r}") from error


def _refused(call: str, response: httpx.Response) -> Refused:
    try:
        body = response.json()
    except ValueError:
        body = None
    return Refused(call, response.status_code, body if isinstance(body, dict) else {}, retry_after_s(response))


def retry_after_s(response: httpx.Response) -> float | None:
    """Seconds after which the server asks to try again, when it says so."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def ack() -> Call[None]:
    """Ask whether the server is there."""
    return Call("GET", "/ack", lambda _: None)


def health() -> Call[Health]:
    """Ask how the server's dependencies are; being unhealthy is an answer, too."""
    return Call("GET", "/health", lambda r: Health.read(r.status_code, r.json()), expected=frozenset({200, 503}))


def channels() -> Call[ChannelRange]:
    """Ask for the fibre's channels."""
    return Call("GET", "/channels", lambda r: ChannelRange(r.json()["lowest_channel"], r.json()["highest_channel"]))


def live_metadata() -> Call[LiveMetadata]:
    """Ask for the fibre's description."""
    return Call("GET", "/live_metadata", lambda r: LiveMetadata.read(r.json()))


def jobs() -> Call[list[Mapping[str, Any]]]:
    """Ask for all jobs."""
    return Call("GET", "/jobs", lambda r: list(r.json()["jobs"]))


def metadata(job_id: str) -> Call[Job]:
    """Ask for what `/configure` answered."""
    return Call("GET", f"/metadata/{quote(job_id, safe='')}", lambda r: Job.read(r.json()))


def recordings(start: float, end: float) -> Call[list[tuple[float, float]]]:
    """Ask what was recorded between two times, in epoch seconds."""
    document = {"start_time": start, "end_time": end}
    return Call(
        "POST", "/recordings_in_time_range", lambda r: [(low, high) for low, high in r.json()], document, asks_only=True
    )


def cancel(job_id: str) -> Call[None]:
    """Ask to end a job."""
    return Call("DELETE", f"/job/{quote(job_id, safe='')}", lambda _: None)


def configure(document: Mapping[str, Any]) -> Call[Job]:
    """Ask for a job, with the body as it is sent."""
    return Call("POST", "/configure", lambda r: Job.read(r.json()), document)


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
    low, high = (channels, channels) if isinstance(channels, int) else channels
    start, end = between if between is not None else (None, None)
    document = {
        "view_type": view,
        "channels": {"min": low, "max": high},
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
