"""LiveView's files, with the headers that keep a page from doing what it should not."""

from functools import cache
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from focus_server.api.page_files import PageFiles

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_ASK_AGAIN: Final = "no-cache"
_FOR_EVER: Final = "public, max-age=31536000, immutable"


_files = cache(PageFiles.read)


def install_liveview(app: FastAPI) -> None:
    """Serve the page at `/liveView/`, what it loads below that, and lead `/liveView` there."""
    page = _files()

    async def lead(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"liveView/{query}")

    async def show(request: Request) -> Response:
        headers = {**_HEADERS, "Cache-Control": _ASK_AGAIN, "ETag": page.tag}
        if request.headers.get("If-None-Match") == page.tag:
            return Response(status_code=304, headers=headers)
        return Response(page.page, media_type="text/html", headers=headers)

    async def send(request: Request) -> Response:
        file = page.files.get(request.path_params["name"])
        if file is None or request.path_params["folder"] != page.folder:
            raise HTTPException(404)
        return Response(file.content, media_type=file.kind, headers={**_HEADERS, "Cache-Control": _FOR_EVER})

    app.add_route("/liveView", lead, include_in_schema=False)
    app.add_route("/liveView/", show, include_in_schema=False)
    app.add_route("/liveView/{folder:path}/{name}", send, include_in_schema=False)
