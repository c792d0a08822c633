"""Every answer that is not a success has the same body, whoever refuses: a rule, the framework or a defect."""

from collections.abc import Mapping
from typing import Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from focus_server.api.reasons import note
from focus_server.contract import Refusal, ShapeProblem, shape_refusal

_log = structlog.get_logger()

_SENTENCES: Final = {
    404: "There is nothing at this path; /openapi.json lists what exists.",
    405: "This path does not take this method; the Allow header names those it takes.",
}


class _Refused(JSONResponse):
    """A refusal as the client reads it, which tells whoever counts what it was for."""

    def __init__(self, refusal: Refusal, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(refusal.body.model_dump(mode="json"), refusal.status, headers or refusal.headers)
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        note(scope, self._refusal)
        await super().__call__(scope, receive, send)


def refusal_response(refusal: Refusal) -> Response:
    """Write a refusal as the client reads it."""
    return _Refused(refusal)


def install_error_bodies(app: FastAPI) -> None:
    """Give all errors of an application the one body."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _wrong_shape)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _defect)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - the registration above says so
    return refusal_response(error)


async def _wrong_shape(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = [ShapeProblem(loc=tuple(e["loc"]), msg=e["msg"], type=e["type"]) for e in error.errors()]
    return refusal_response(shape_refusal(problems))


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    sentence = _SENTENCES.get(error.status_code, str(error.detail))
    refusal = Refusal(error.status_code, sentence, f"{request.method} is answered with {error.status_code}")
    return _Refused(refusal, error.headers)


async def _defect(request: Request, error: Exception) -> Response:
    job = request.path_params.get("job_id")
    _log.error("request.failed", method=request.method, path=request.url.path, job=job, exc_info=error)
    return refusal_response(Refusal(500, "The server failed at this request; its log says why.", type(error).__name__))
