"""How an answer leaves the server: models as JSON bytes, written once."""

from typing import Any, Final

from pydantic import BaseModel
from starlette.responses import Response

from focus_server.contract import ErrorBody

ERRORS: Final[dict[int | str, dict[str, Any]]] = {"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}}
"""What the description of each route says about its refusals."""


def json_response(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Write a model as the body; a NaN becomes null."""
    return Response(model.model_dump_json(), status, headers, media_type="application/json")
