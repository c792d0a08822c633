"""The description of the interface at /openapi.json."""

from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from focus_server.contract import ConfigureRequest, OlderRequest, TimeRange

_REF_TEMPLATE: Final = "#/components/schemas/{model}"
_BODIES: Final[tuple[type[BaseModel], ...]] = (ConfigureRequest, OlderRequest, TimeRange)
"""Bodies that routes read themselves."""


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Describe the body of a route that reads the request itself, so that every wrong body is answered alike."""
    schema = {"$ref": _REF_TEMPLATE.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def openapi_routes(app: FastAPI) -> APIRouter:
    """Make the route `/openapi.json`."""
    router = APIRouter()

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(_description(app))

    return router


def _description(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        description = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = description.setdefault("components", {}).setdefault("schemas", {})
        for model in _BODIES:
            body = model.model_json_schema(ref_template=_REF_TEMPLATE)
            schemas.update(body.pop("$defs", {}))
            schemas[model.__name__] = body
        app.openapi_schema = description
    return app.openapi_schema
