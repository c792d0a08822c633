"""Jobs: making, looking up, listing and ending them. Nothing is kept here."""

import re
from typing import Final

import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from focus_server.api.archive import Archive
from focus_server.api.naming import by_name, is_job_id
from focus_server.api.openapi import body_schema
from focus_server.api.pullers import Pullers
from focus_server.api.responses import ERRORS, json_response
from focus_server.contract import (
    IDEMPOTENCY_KEY,
    IDEMPOTENCY_KEY_PATTERN,
    TASK_KEY,
    VIEWER,
    VIEWER_PATTERN,
    ConfigureAnswer,
    ConfigureRequest,
    JobEnded,
    JobList,
    OlderRequest,
    Refusal,
    TaskAnswer,
    check_request,
    task_key,
)
from focus_server.jobs import Orchestrator

_log = structlog.get_logger()
_KEY: Final = re.compile(IDEMPOTENCY_KEY_PATTERN)
_KEYED: Final = {IDEMPOTENCY_KEY: IDEMPOTENCY_KEY_PATTERN}
_VIEWED: Final = {VIEWER: VIEWER_PATTERN}
_VIEWER: Final = re.compile(VIEWER_PATTERN)


def job_routes(orchestrator: Orchestrator, archive: Archive, pullers: Pullers) -> APIRouter:
    """Make the routes `/configure`, `/config/{task_id}`, `/metadata/{job_id}`, `/job/{job_id}` and `/jobs`."""
    router = APIRouter(tags=["jobs"], responses=ERRORS)

    @router.post(
        "/configure", response_model=ConfigureAnswer, openapi_extra=body_schema(ConfigureRequest, _KEYED | _VIEWED)
    )
    async def configure(request: Request) -> Response:
        """Start a job, live or of recordings; nothing is made when the request is refused."""
        wanted = ConfigureRequest.read(await request.body())
        return json_response(await make_job(orchestrator, archive, wanted, _key(request), _viewer(request)))

    @router.post("/config/{task_id}", response_model=TaskAnswer, openapi_extra=body_schema(OlderRequest, _VIEWED))
    async def config(task_id: str, request: Request) -> Response:
        """Start a job by the older form. The same request again is the same job; another one takes its place."""
        key = task_key(task_id)
        wanted = OlderRequest.read(await request.body()).translated()
        await _check_free(orchestrator, task_id, key)
        job = await make_job(orchestrator, archive, wanted, key, _viewer(request))
        pullers.forget(task_id, but=job.job_id)
        _log.info("task.taken", task=task_id, job=job.job_id)
        return json_response(TaskAnswer(task_id=task_id))

    @router.get("/task/{job_id}/metadata", response_model=ConfigureAnswer)
    @router.get("/metadata/{job_id}", response_model=ConfigureAnswer)
    async def metadata(job_id: str) -> Response:
        """Give the same object that `/configure` gave; of a task_id, too."""
        return json_response(await by_name(orchestrator, job_id, orchestrator.job))

    @router.delete("/job/{job_id}", response_model=JobEnded)
    async def cancel(job_id: str) -> Response:
        """End a job: its streams, its port and everything else of it."""

        async def end(job_id: str) -> JobEnded:
            await orchestrator.cancel(job_id)
            pullers.forget(job_id)
            _log.info("job.cancelled", job=job_id)
            return JobEnded(job_id=job_id)

        return json_response(await by_name(orchestrator, job_id, end))

    @router.get("/jobs", response_model=JobList)
    async def jobs() -> Response:
        """List all jobs."""
        return json_response(await orchestrator.jobs())

    return router


async def make_job(
    orchestrator: Orchestrator, archive: Archive, wanted: ConfigureRequest, key: str | None, viewer: str | None = None
) -> ConfigureAnswer:
    """Make the job that a request asks for, live or of recordings; nothing is made when it is refused."""
    check_request(wanted)
    recordings = await archive.recordings_for(wanted) if wanted.historic else None
    job = await orchestrator.configure(wanted, key, recordings, viewer)
    _log.info(
        "job.made",
        job=job.job_id,
        view=job.view_type,
        channels=job.channel_amount,
        port=job.stream_port,
        recordings=None if recordings is None else len(recordings),
    )
    return job


async def _check_free(orchestrator: Orchestrator, task_id: str, key: str) -> None:
    """Refuse a new task_id that is the job_id of another living job, because it would mean that one."""
    if not is_job_id(task_id) or (await orchestrator.jobs(key)).jobs:
        return
    try:
        await orchestrator.job(task_id)
    except Refusal as refusal:
        if refusal.status == 404:
            return
        raise
    raise Refusal(409, f"{task_id} is the job_id of another job; choose another task_id.", "task_id")


def _key(request: Request) -> str | None:
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and _KEY.fullmatch(key) is None:
        raise Refusal(400, f"{IDEMPOTENCY_KEY} must be 1 to 128 visible ASCII characters.", IDEMPOTENCY_KEY)
    if key is not None and key.startswith(TASK_KEY):
        raise Refusal(
            400, f"{IDEMPOTENCY_KEY} must not begin with {TASK_KEY}, as the keys of /config do.", IDEMPOTENCY_KEY
        )
    return key


def _viewer(request: Request) -> str | None:
    viewer = request.headers.get(VIEWER)
    if viewer is not None and _VIEWER.fullmatch(viewer) is None:
        raise Refusal(400, f"{VIEWER} must be 1 to 128 visible ASCII characters.", VIEWER)
    return viewer
