"""The description of the interface at /openapi.json."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from focus_server.contract import TASK_ID_PATTERN, ConfigureRequest, OlderRequest, TimeRange

_REF_TEMPLATE: Final = "#/components/schemas/{model}"
_BODIES: Final[tuple[type[BaseModel], ...]] = (ConfigureRequest, OlderRequest, TimeRange)
"""Bodies that routes read themselves."""


def body_schema(model: type[BaseModel], headers: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Describe the body of a route that reads the request itself, so that every wrong body is answered alike.

    `headers` are those that may be sent with it, each with its pattern.
    """
    body = {"schema": {"$ref": _REF_TEMPLATE.format(model=model.__name__)}}
    described: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": body}}}
    if headers:
        described["parameters"] = [_header(name, pattern) for name, pattern in headers.items()]
    return described


def _header(name: str, pattern: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string", "pattern": f"^{pattern}$"}}


def openapi_routes(app: FastAPI) -> APIRouter:
    """Make the route `/openapi.json`."""
    router = APIRouter()

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(describe(app))

    return router


def describe(app: FastAPI) -> dict[str, Any]:
    """Give the description of an application, as /openapi.json has it."""
    if app.openapi_schema is None:
        description = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = description.setdefault("components", {}).setdefault("schemas", {})
        for model in _BODIES:
            body = model.model_json_schema(ref_template=_REF_TEMPLATE)
            schemas.update(body.pop("$defs", {}))
            schemas[model.__name__] = body
        for path in description["paths"].values():
            for operation in path.values():
                _describe_refusals(operation)
                _describe_names(operation)
        app.openapi_schema = description
    return app.openapi_schema


def _describe_names(operation: dict[str, Any]) -> None:
    """Say what a job may be named by: its job_id, or the task_id of the older form."""
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in {"job_id", "task_id"}:
            parameter["schema"]["pattern"] = f"^{TASK_ID_PATTERN}$"


def _describe_refusals(operation: dict[str, Any]) -> None:
    """Say what is true of every route: whatever it answers with otherwise, its refusals are JSON of one form."""
    content = {"application/json": {"schema": {"$ref": _REF_TEMPLATE.format(model="ErrorBody")}}}
    retry = {"Retry-After": {"description": "Seconds, when waiting may help.", "schema": {"type": "integer"}}}
    operation["responses"]["4XX"] = {"description": "Refused.", "content": content, "headers": retry}
    operation["responses"]["5XX"] = {"description": "Not now.", "content": content, "headers": retry}
