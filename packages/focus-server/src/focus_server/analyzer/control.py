"""The analyzer's HTTP interface for the focus server, on a UNIX socket."""

import time
from collections.abc import Sequence
from typing import Final

import structlog
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from focus_server.analyzer.feed import Feed
from focus_server.analyzer.fibre import live_metadata
from focus_server.analyzer.history import read_order
from focus_server.analyzer.intake import Intake
from focus_server.analyzer.jobs import Jobs
from focus_server.analyzer.making import JobMaker
from focus_server.contract import (
    IDEMPOTENCY_KEY,
    VIEWER,
    AnalyzerStatus,
    ChannelRange,
    ConfigureAnswer,
    ConfigureRequest,
    JobList,
    Refusal,
)
from focus_server.errors import FocusError
from focus_server.recordings import RecordingEntry

_log = structlog.get_logger()

_NEWS_S: Final = 0.5
"""How long a question for changed displays waits for one; less than a stop waits for answers."""


class Control:
    """The routes; `app` is the ASGI application."""

    def __init__(self, feed: Feed, intake: Intake, jobs: Jobs, maker: JobMaker) -> None:
        self._feed = feed
        self._intake = intake
        self._jobs = jobs
        self._maker = maker
        self.app = Starlette(
            routes=[
                Route("/status", self._status),
                Route("/figures", self._figures),
                Route("/live_metadata", self._live_metadata),
                Route("/channels", self._channels),
                Route("/displays", self._displays),
                Route("/jobs", self._list, methods=["GET"]),
                Route("/jobs", self._create, methods=["POST"]),
                Route("/history", self._create_historic, methods=["POST"]),
                Route("/jobs/{job_id}", self._job, methods=["GET"]),
                Route("/jobs/{job_id}", self._cancel, methods=["DELETE"]),
                Route("/jobs/{job_id}/state", self._state),
            ],
            exception_handlers={Refusal: _refused, FocusError: _failed, Exception: _defect},
        )

    async def _status(self, _: Request) -> Response:
        state = self._feed.state(time.monotonic(), time.time_ns())
        return _json(AnalyzerStatus(rabbitmq=self._intake.state, feed=state, jobs=len(self._jobs)))

    async def _figures(self, _: Request) -> Response:
        return _json(self._jobs.tally.figures(self._jobs.states(), self._feed, time.time_ns()))

    async def _live_metadata(self, _: Request) -> Response:
        live = self._feed.state(time.monotonic(), time.time_ns()).state == "live"
        return _json(live_metadata(self._feed.announcement if live else None))

    async def _channels(self, _: Request) -> Response:
        samples = self._feed.samples
        if samples is None:
            self._check_feed()
            raise Refusal(503, "The fibre is just changing; try again.", "live feed", retry_after=1)
        return _json(ChannelRange(lowest_channel=1, highest_channel=samples.fibre.channels))

    async def _create(self, request: Request) -> Response:
        wanted = ConfigureRequest.read(await request.body())
        self._check_feed()
        return _json(await self._create_for(request, wanted))

    async def _create_historic(self, request: Request) -> Response:
        wanted, recordings = read_order(await request.body())
        return _json(await self._create_for(request, wanted, recordings))

    async def _create_for(
        self, request: Request, wanted: ConfigureRequest, recordings: Sequence[RecordingEntry] | None = None
    ) -> ConfigureAnswer:
        headers = request.headers
        return await self._maker.create(wanted, headers.get(IDEMPOTENCY_KEY), recordings, headers.get(VIEWER))

    async def _list(self, request: Request) -> Response:
        return _json(JobList(jobs=self._jobs.summaries(request.query_params.get("key"))))

    async def _displays(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            raise Refusal(400, "after must be the revision of an earlier answer, or 0.", "after")
        return _json(await self._jobs.displays(int(after[:30]), _NEWS_S))

    async def _job(self, request: Request) -> Response:
        return _json(self._jobs.get(request.path_params["job_id"]).record.answer)

    async def _state(self, request: Request) -> Response:
        return _json(self._jobs.state(request.path_params["job_id"]))

    async def _cancel(self, request: Request) -> Response:
        self._jobs.cancel(request.path_params["job_id"])
        return Response("{}", media_type="application/json")

    def _check_feed(self) -> None:
        """Refuse what needs a live fibre while there is none, and name what is missing."""
        if self._intake.state.state == "down":
            sentence = f"No live view now: {self._intake.state.detail}"
            raise Refusal(503, sentence, "RabbitMQ", retry_after=2)
        feed = self._feed.state(time.monotonic(), time.time_ns())
        if feed.state != "live":
            raise Refusal(503, f"No live view now: {feed.detail}", "live feed", retry_after=2)


def _json(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(by_alias=True), status, headers, media_type="application/json")


def _about(request: Request) -> dict[str, str | None]:
    """Say in the log which request is meant."""
    return {"method": request.method, "path": request.url.path, "job": request.path_params.get("job_id")}


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - the registration above says so
    return _json(error.body, error.status, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("request.failed", **_about(request), cause=str(error))
    return await _refused(request, Refusal(503, "The analyzer cannot keep jobs now: its log says why.", "state", 10))


async def _defect(request: Request, error: Exception) -> Response:
    _log.error("request.failed", **_about(request), exc_info=error)
    return await _refused(request, Refusal(500, "The analyzer failed at this; its log says why.", "defect"))
