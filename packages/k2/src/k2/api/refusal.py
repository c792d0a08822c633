"""Every answer that is no success has the same body, whoever refuses."""

import json
from collections.abc import Mapping
from typing import Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from k2.errors import LakeDown, QueryError

__all__ = ["Refusal", "install_refusals", "refusal_response"]

_log = structlog.get_logger()

_SENTENCES: Final = {
    404: "There is nothing at this path; /openapi.json lists what exists.",
    405: "This path does not take this method; the Allow header names those it takes.",
}
_STATUS: Final = {"time": 400, "value": 400, "column": 400, "memory": 413, "files": 503}


class Refusal(Exception):  # noqa: N818 - an answer to a client
    """A request that is refused: the status, and what happened and what to do in a sentence."""

    def __init__(self, status: int, sentence: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.detail = detail
        self.headers = dict(headers or {})


def refusal_response(refusal: Refusal) -> Response:
    """Write a refusal as the client reads it."""
    body = {"success": False, "error": refusal.sentence, "detail": refusal.detail}
    return Response(json.dumps(body), refusal.status, refusal.headers, "application/json")


def install_refusals(app: FastAPI) -> None:
    """Give all errors of an application the one body."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(QueryError, _question)
    app.add_exception_handler(LakeDown, _lake_down)
    app.add_exception_handler(RequestValidationError, _wrong_shape)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _defect)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - the registration above says so
    return refusal_response(error)


async def _question(_: Request, error: Exception) -> Response:
    assert isinstance(error, QueryError)  # noqa: S101
    return refusal_response(Refusal(_STATUS[error.reason], str(error), error.reason))


async def _lake_down(_: Request, error: Exception) -> Response:
    return refusal_response(Refusal(503, str(error), "lake", {"Retry-After": "1"}))


async def _wrong_shape(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    return refusal_response(Refusal(422, f"{where}: {first['msg']}.", str(first["type"])))


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    sentence = _SENTENCES.get(error.status_code, str(error.detail))
    detail = f"{request.method} is answered with {error.status_code}"
    return refusal_response(Refusal(error.status_code, sentence, detail, error.headers))


async def _defect(request: Request, error: Exception) -> Response:
    _log.error("request.failed", method=request.method, path=request.url.path, exc_info=error)
    return refusal_response(Refusal(500, "The server failed at this request; its log says why.", type(error).__name__))
