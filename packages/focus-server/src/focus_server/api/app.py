"""The server put together: routes, error bodies, checks in front, and what lives as long as the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from focus_server import __version__
from focus_server.api.bridge import Bridge
from focus_server.api.errors import install_error_bodies
from focus_server.api.fiber import fiber_routes
from focus_server.api.health import health_routes
from focus_server.api.jobs import job_routes
from focus_server.api.liveview import install_liveview
from focus_server.api.openapi import openapi_routes
from focus_server.api.prefix import Prefix
from focus_server.api.security import Guard
from focus_server.api.streams import stream_routes
from focus_server.jobs import LocalAnalyzer
from focus_server.settings import ServeSettings


def create_app(settings: ServeSettings) -> FastAPI:
    """Make the application; it holds no job, only connections."""
    analyzer = LocalAnalyzer(settings.analyzer_socket)
    bridge = Bridge(analyzer)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with analyzer, bridge:
            yield

    app = FastAPI(
        title="Focus Server",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_error_bodies(app)
    for routes in (health_routes(analyzer), fiber_routes(analyzer), job_routes(analyzer), stream_routes(bridge)):
        app.include_router(routes)
    app.include_router(openapi_routes(app))
    install_liveview(app)
    app.add_middleware(
        Guard,
        hosts=settings.allowed_hosts,
        origins=settings.allowed_origins,
        max_body_bytes=settings.max_body_bytes,
    )
    app.add_middleware(Prefix)
    return app
