"""The small page at `/`, with the headers that keep a page from doing what it should not."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from k2.settings import ServeSettings

__all__ = ["install_page"]

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def install_page(app: FastAPI, settings: ServeSettings) -> None:
    """Serve the page at `/` and what it loads below `/page/`.

    Where no key was set, the page is told the well-known one; otherwise it asks the viewer for theirs.
    """
    folder = Path(str(files("k2") / "api" / "web"))
    page = (folder / "index.html").read_text(encoding="utf-8")
    known = settings.key if settings.api_key is None else ""

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return Response(page.replace("{{key}}", known), headers=_HEADERS, media_type="text/html; charset=utf-8")

    app.mount("/page", _Files(directory=folder))
