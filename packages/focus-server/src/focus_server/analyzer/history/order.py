"""The body of POST /history: a client's request, and the recordings that the catalogue has for it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from focus_server.contract import ConfigureRequest, Refusal, shape_problems, shape_refusal
from focus_server.recordings import RecordingEntry


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True)

    request: dict[str, Any]
    recordings: tuple[RecordingEntry, ...]


def read_order(body: bytes) -> tuple[ConfigureRequest, tuple[RecordingEntry, ...]]:
    """Read request and recordings. Raises `Refusal`: 422 for a wrong shape, 400 for a request without times."""
    try:
        order = _Order.model_validate_json(body)
    except ValidationError as error:
        raise shape_refusal(shape_problems(error)) from None
    request = ConfigureRequest.read(order.request)
    if not request.historic:
        raise Refusal(400, "start_time and end_time are missing; both say what is played.", "start_time")
    return request, order.recordings
