"""LiveView's files, with the headers that keep a page from doing what it should not."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from focus_server.api.page_limits import page_limits

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def install_liveview(app: FastAPI) -> None:
    """Serve the page at `/liveView/`, what it loads beside it, and lead `/liveView` there."""

    @app.get("/liveView", include_in_schema=False)
    async def liveview(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"liveView/{query}")

    @app.get("/liveView/limits.js", include_in_schema=False)
    async def limits() -> Response:
        return Response(page_limits(), media_type="text/javascript", headers=_HEADERS)

    app.mount("/liveView", _Files(directory=Path(str(files("focus_server") / "web")), html=True, check_dir=False))
