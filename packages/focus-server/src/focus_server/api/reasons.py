"""What a refusal was for, in a word of a fixed list, so that clients cannot make up figures."""

import re
from typing import Final

from starlette.types import Scope

from focus_server.contract import IDEMPOTENCY_KEY, VIEWER, ConfigureRequest, OlderRequest, Refusal

REASONS: Final = "focus_server.reasons"
"""The key in a request's scope of the list into which the reasons of its refusals go."""

_FIELDS: Final = frozenset(
    field.alias or name for model in (ConfigureRequest, OlderRequest) for name, field in model.model_fields.items()
)
_HEADERS: Final = frozenset(("Host", "Origin", "Content-Length", "Content-Type", IDEMPOTENCY_KEY, VIEWER))
_PARTS: Final = frozenset(
    ("analyzer", "body", "capacity", "live feed", "MongoDB", "RabbitMQ", "recordings", "row_count", "state", "task_id")
)
_BY_STATUS: Final = {404: "not found", 405: "method", 422: "shape", 500: "defect", 502: "versions"}
_HEAD: Final = re.compile(r"[^:.]*")


def note(scope: Scope, refusal: Refusal) -> None:
    """Tell whoever counts, if anybody does, that a request is refused."""
    scope.get(REASONS, []).append(reason_of(refusal))


def reason_of(refusal: Refusal) -> str:
    """Name the field, header or part that a refusal is about; otherwise what its status says."""
    if refusal.status in _BY_STATUS:
        return _BY_STATUS[refusal.status]
    match = _HEAD.match(refusal.detail) if isinstance(refusal.detail, str) else None
    head = match[0] if match else ""
    return head if head in _FIELDS | _HEADERS | _PARTS else "other"
