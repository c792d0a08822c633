"""Jobs: making, looking up, listing and ending them. Nothing is kept here."""

import re
from typing import Final

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from focus_server.api.archive import Archive
from focus_server.api.openapi import body_schema
from focus_server.api.responses import ERRORS, json_response
from focus_server.contract import (
    IDEMPOTENCY_KEY,
    IDEMPOTENCY_KEY_PATTERN,
    JOB_ID_PATTERN,
    ConfigureAnswer,
    ConfigureRequest,
    JobEnded,
    JobList,
    Refusal,
    check_request,
)
from focus_server.jobs import Orchestrator

_log = structlog.get_logger()
_JOB_ID: Final = re.compile(JOB_ID_PATTERN, re.ASCII)
_KEY: Final = re.compile(IDEMPOTENCY_KEY_PATTERN)


def job_routes(orchestrator: Orchestrator, archive: Archive) -> APIRouter:
    """Make the routes `/configure`, `/metadata/{job_id}`, `/job/{job_id}` and `/jobs`."""
    router = APIRouter(tags=["jobs"], responses=ERRORS)

    @router.post("/configure", response_model=ConfigureAnswer, openapi_extra=body_schema(ConfigureRequest))
    async def configure(request: Request) -> Response:
        """Start a job, live or of recordings; nothing is made when the request is refused."""
        wanted = ConfigureRequest.read(await request.body())
        check_request(wanted)
        key = _key(request)
        recordings = await archive.recordings_for(wanted) if wanted.historic else None
        job = await orchestrator.configure(wanted, key, recordings)
        _log.info(
            "job.made",
            job=job.job_id,
            view=job.view_type,
            channels=job.channel_amount,
            port=job.stream_port,
            recordings=None if recordings is None else len(recordings),
        )
        return json_response(job)

    @router.get("/task/{job_id}/metadata", response_model=ConfigureAnswer)
    @router.get("/metadata/{job_id}", response_model=ConfigureAnswer)
    async def metadata(job_id: str) -> Response:
        """Give the same object that `/configure` gave."""
        return json_response(await orchestrator.job(known(job_id)))

    @router.delete("/job/{job_id}", response_model=JobEnded)
    async def cancel(job_id: str) -> Response:
        """End a job: its streams, its port and everything else of it."""
        await orchestrator.cancel(known(job_id))
        _log.info("job.cancelled", job=job_id)
        return json_response(JobEnded(job_id=job_id))

    @router.get("/jobs", response_model=JobList)
    async def jobs() -> Response:
        """List all jobs."""
        return json_response(await orchestrator.jobs())

    return router


def known(job_id: str) -> str:
    """Let only through what can be a job; the rest never reaches the analyzer."""
    if _JOB_ID.fullmatch(job_id) is None:
        raise Refusal(404, "Invalid job_id", "A job_id is the window, a hyphen and the serial, as /configure gave it.")
    return job_id


def _key(request: Request) -> str | None:
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and _KEY.fullmatch(key) is None:
        raise Refusal(400, f"{IDEMPOTENCY_KEY} must be 1 to 128 visible ASCII characters.", IDEMPOTENCY_KEY)
    return key
