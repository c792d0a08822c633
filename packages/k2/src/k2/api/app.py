"""The API put together: routes, refusals, the door in front, and what lives as long as the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from k2 import __version__
from k2.api.door import Door
from k2.api.figures import Figures
from k2.api.health import health_routes
from k2.api.overview import overview_routes
from k2.api.page import install_page
from k2.api.query import query_routes
from k2.api.refusal import install_refusals
from k2.api.rows import row_routes
from k2.api.service import Service
from k2.settings import ServeSettings

__all__ = ["create_app"]


def create_app(settings: ServeSettings, service: Service | None = None) -> FastAPI:
    """Make the application; its threads start and end with its lifespan."""
    service = service or Service(settings)
    figures = Figures(service)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.end()

    app = FastAPI(
        title="K2 query API",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_refusals(app)
    for routes in (
        health_routes(service, figures),
        row_routes(service, figures),
        overview_routes(service),
        query_routes(service, figures),
    ):
        app.include_router(routes)
    install_page(app, settings)
    app.add_middleware(
        Door,
        figures=figures,
        key=settings.key,
        hosts=settings.allowed_hosts,
        rate=settings.rate_limit,
        max_body_bytes=settings.max_body_bytes,
    )
    return app
