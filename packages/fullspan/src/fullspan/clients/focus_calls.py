"""The calls of a Focus Server, as values."""

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from fullspan.clients.call import Call
from fullspan.clients.errors import NothingCame
from fullspan.clients.focus_answers import ChannelRange, Health, Job, JobSummary, LiveMetadata
from fullspan.clients.focus_pull import Pulled
from fullspan.clients.metrics import Metrics


def ack() -> Call[None]:
    """Ask whether the server is there."""
    return Call("GET", "/ack", lambda _: None)


def info() -> Call[str]:
    """Ask for the version."""
    return Call("GET", "/info", lambda r: str(r.json()["version"]))


def openapi() -> Call[Mapping[str, Any]]:
    """Ask for the description of the interface."""
    return Call("GET", "/openapi.json", lambda r: dict(r.json()))


def health() -> Call[Health]:
    """Ask how the server's dependencies are; being unhealthy is an answer, too."""
    return Call("GET", "/health", lambda r: Health.read(r.status_code, r.json()), expected=frozenset({200, 503}))


def metrics() -> Call[Metrics]:
    """Ask for the server's figures."""
    return Call("GET", "/metrics", lambda r: Metrics.read(r.text))


def channels() -> Call[ChannelRange]:
    """Ask for the fibre's channels."""
    return Call("GET", "/channels", lambda r: ChannelRange(r.json()["lowest_channel"], r.json()["highest_channel"]))


def sensors() -> Call[tuple[int, ...]]:
    """Ask for the fibre's sensors."""
    return Call("GET", "/sensors", lambda r: tuple(int(sensor) for sensor in r.json()["sensors"]))


def live_metadata() -> Call[LiveMetadata]:
    """Ask for the fibre's description."""
    return Call("GET", "/live_metadata", lambda r: LiveMetadata.read(r.json()))


def jobs() -> Call[list[JobSummary]]:
    """Ask for all jobs."""
    return Call("GET", "/jobs", lambda r: [JobSummary.read(job) for job in r.json()["jobs"]])


def metadata(job_id: str) -> Call[Job]:
    """Ask for what `/configure` answered."""
    return Call("GET", f"/metadata/{_part(job_id)}", _job)


def recordings(start: float, end: float) -> Call[list[tuple[float, float]]]:
    """Ask what was recorded between two times, in epoch seconds."""
    document = {"start_time": start, "end_time": end}
    return Call("POST", "/recordings_in_time_range", lambda r: [(low, high) for low, high in r.json()], document)


def recordings_page(between: tuple[float, float] | None) -> Call[str]:
    """Ask for the page that draws what was recorded; none: in the last 24 hours."""
    query = {} if between is None else {"start_time": repr(between[0]), "end_time": repr(between[1])}
    return Call("GET", "/get_recordings_timeline", lambda r: r.text, query=query)


def cancel(job_id: str) -> Call[None]:
    """Ask to end a job."""
    return Call("DELETE", f"/job/{_part(job_id)}", lambda _: None)


def configure(document: Mapping[str, Any], key: str | None) -> Call[Job]:
    """Ask for a job, with the body as it is sent; without a key it gets one of its own, so that it can be repeated."""
    return Call("POST", "/configure", _job, document, headers={"Idempotency-Key": key or uuid.uuid4().hex})


def older_config(task_id: str, document: Mapping[str, Any]) -> Call[str]:
    """Ask for a job in the older form; repeated with the same task_id and body it is the same job."""
    return Call("POST", f"/config/{_part(task_id)}", lambda r: str(r.json()["task_id"]), document)


def pull(job_id: str, row_count: int) -> Call[Pulled]:
    """Ask for rows that were not given yet. What was given and got lost on the way does not come again."""
    path = f"/waterfall/{_part(job_id)}/{row_count}"
    return Call("GET", path, Pulled.read, expected=frozenset({200, 201, 208}), repeatable=False)


def nothing_pulled(job_id: str, silence_s: float) -> NothingCame:
    """Say that a job gave no row for too long."""
    return NothingCame(f"job {job_id} gave no row for {silence_s:g} s; GET /jobs tells how it is.")


def _job(response: httpx.Response) -> Job:
    return Job.read(response.json())


def _part(text: str) -> str:
    """Write a part of a path that cannot leave its place."""
    return quote(text, safe="")
